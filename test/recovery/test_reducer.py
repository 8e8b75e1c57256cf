# SPDX-License-Identifier: Apache-2.0
"""The recovery reducer on a robot whose wheels, camera and localizer are made of matrices."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dsac_ros.recovery.agreement import agreeing_fixes, planar_difference
from dsac_ros.recovery.config import RecoveryConfig
from dsac_ros.recovery.events import (
    GiveUp,
    Refusal,
    Request,
    Reset,
    Seed,
    Tick,
    Verified,
    VisualFix,
    Withdrawal,
)
from dsac_ros.recovery.reducer import advance
from dsac_ros.recovery.state import Condition, Policy, State

CONFIG = RecoveryConfig()
SURE = np.diag([1e-4] * 6)


def pose(x: float, y: float, yaw_deg: float = 0.0) -> np.ndarray:
    """A pose (4, 4) in the plane."""
    yaw = math.radians(yaw_deg)
    found = np.eye(4)
    found[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    found[:2, 3] = x, y
    return found


class Place:
    """A robot that drives along x at 0.5 m/s, seen twice a second; odometry begins elsewhere."""

    def __init__(self, policy: Policy = Policy.AUTO, config: RecoveryConfig = CONFIG) -> None:
        self.config, self.state, self.now = config, State(policy), 100.0
        self.map_from_odom = pose(3.0, -2.0, 40.0)
        self.localizer_from_odom: np.ndarray | None = self.map_from_odom
        self.odom_from_base = pose(0.0, 0.0)
        self.decisions: list = []
        self.listeners = 1
        self.speed, self.turn, self.has_odometry = 0.5, 2.0, True

    def tell(self, event) -> list:
        self.state, decisions = advance(self.state, event, self.now, self.config)
        self.decisions += decisions
        return list(decisions)

    def drive(self, seconds: float = 0.5) -> None:
        self.now += seconds
        self.odom_from_base = self.odom_from_base @ pose(self.speed * seconds, 0.0, self.turn)
        self.tell(Tick(self.localizer_from_odom is not None, self.listeners))

    def fix(self, wrong: np.ndarray | None = None, covariance: np.ndarray = SURE) -> VisualFix:
        truth = self.map_from_odom @ self.odom_from_base
        by_localizer = self.localizer_from_odom
        return VisualFix(
            self.now,
            truth if wrong is None else wrong,
            covariance,
            self.odom_from_base if self.has_odometry else None,
            None if by_localizer is None else by_localizer @ self.odom_from_base,
        )

    def see(self, times: int = 1, **of_the_fix) -> list:
        """Drive on and accept an image, several times; the decisions."""
        before = len(self.decisions)
        for _ in range(times):
            self.drive()
            self.tell(self.fix(**of_the_fix))
        return self.decisions[before:]

    def refuse(self, times: int, is_usable: bool = True) -> None:
        for _ in range(times):
            self.drive()
            self.tell(Refusal('LOW_INLIERS: 3 inliers', is_usable))

    def kidnap(self) -> None:
        self.map_from_odom = pose(-6.0, 1.0, -120.0)

    def obey(self, seed: Seed) -> None:
        """Do as AMCL does: take over the seed, carried by odometry."""
        fix = seed.fix
        self.localizer_from_odom = fix.map_from_base @ np.linalg.inv(fix.odom_from_base)

    @property
    def condition(self) -> Condition:
        return self.state.condition(self.config)


def seeds_in(decisions: list) -> list[Seed]:
    return [one for one in decisions if isinstance(one, Seed)]


def kinds(decisions: list) -> list[type]:
    return [type(one) for one in decisions]


def test_healthy_localizer_is_left_alone():
    place = Place()
    assert place.see(200) == []
    assert place.condition is Condition.LOCALIZED


def test_healthy_localizer_and_wrong_fixes():
    place, generator = Place(), np.random.default_rng(0)
    for index in range(300):
        x, y, yaw = generator.uniform(-5, 5, 2).tolist() + [generator.uniform(-180, 180)]
        place.see(wrong=pose(x, y, yaw) if index % 2 else None)
    assert place.decisions == []


def test_kidnap_is_seeded_once_and_verified():
    place = Place()
    place.see(5)
    place.kidnap()
    assert seeds_in(place.see(2)) == []
    (seed,) = seeds_in(place.see(1))
    assert place.condition is Condition.KIDNAPPED
    place.obey(seed)
    decisions = place.see(10)
    assert kinds(decisions) == [Verified]
    assert place.condition is Condition.LOCALIZED
    assert place.state.attempts == 0


def test_seed_is_where_the_robot_is():
    place = Place()
    place.see(5)
    place.kidnap()
    (seed,) = seeds_in(place.see(3))
    place.drive(3.0)
    moved = seed.fix.map_from_base @ np.linalg.solve(seed.fix.odom_from_base, place.odom_from_base)
    assert planar_difference(moved, place.map_from_odom @ place.odom_from_base)[0] < 1e-9


def test_old_fixes_before_a_kidnap_do_not_delay():
    place = Place()
    place.see(20)
    place.kidnap()
    assert len(seeds_in(place.see(CONFIG.min_agreeing_fixes))) == 1


def test_kidnap_with_one_wrong_fix_between():
    place = Place()
    place.see(5)
    place.kidnap()
    place.see(2)
    place.see(1, wrong=pose(9.0, 9.0))
    assert seeds_in(place.see(1)) == []
    assert len(seeds_in(place.see(1))) == 1


def test_two_places_in_turn_are_no_evidence():
    place = Place()
    place.see(5)
    place.kidnap()
    alias = pose(12.0, 0.0)
    for index in range(60):
        truth = place.map_from_odom @ place.odom_from_base
        place.see(1, wrong=alias @ truth if index % 2 else None)
    assert place.decisions == []


def test_standing_robot_is_asked_to_move():
    place = Place()
    place.see(5)
    place.kidnap()
    place.speed = 0.0
    for _ in range(20):
        place.now += 0.5
        place.tell(place.fix())
    assert place.decisions == []
    assert place.condition is Condition.KIDNAPPED
    assert 'must move' in place.state.reason
    place.speed = 0.5
    assert len(seeds_in(place.see(1))) == 1


def test_request_needs_no_movement():
    place = Place(Policy.ON_REQUEST)
    place.see(5)
    place.kidnap()
    place.speed = 0.0
    place.see(5)
    assert place.decisions == []
    place.tell(Request())
    assert len(seeds_in(place.see(1))) == 1


def test_covered_after_a_seed_blames_no_localizer():
    place = Place(config=replace(CONFIG, localization_timeout=20.0))
    place.localizer_from_odom = None
    while not seeds_in(place.decisions):
        place.see()
    place.tell(Request())
    reasons = set()
    for _ in range(12):
        place.refuse(1, is_usable=False)
        reasons.add(place.state.reason)
    assert 'no image told if the localizer followed seed 1 of 3 within 5 s' in reasons
    assert not any('did not follow' in reason for reason in reasons)


def test_request_of_a_healthy_robot_sends_no_seed():
    place = Place(Policy.ON_REQUEST)
    place.see(5)
    place.tell(Request())
    assert kinds(place.see(1)) == [Verified]
    assert not place.state.is_wanted


def test_withdrawn_request_sends_no_seed():
    place = Place(Policy.ON_REQUEST)
    place.see(5)
    place.kidnap()
    place.tell(Request())
    place.tell(Withdrawal())
    assert place.see(10) == []


def test_never_observes_only():
    place = Place(Policy.NEVER)
    place.see(5)
    place.kidnap()
    place.see(10)
    assert place.decisions == []
    assert place.condition is Condition.KIDNAPPED
    place.tell(Request())
    assert kinds(place.see(1)) == [Verified]


def test_start_without_localizer_is_seeded():
    place = Place()
    place.localizer_from_odom = None
    place.speed = 0.0
    decisions = place.see(20)
    assert len(seeds_in(decisions)) == 2, 'a second one, since nobody followed'
    first = seeds_in(decisions)[0]
    assert place.state.attempts == 2
    place.obey(first)
    assert kinds(place.see(4)) == [Verified]


def test_localizer_gets_its_time_from_first_clock():
    """The node starts before /clock: until then it is 0, which is no time."""
    place = Place()
    place.now, place.localizer_from_odom = 0.0, None
    place.tell(Tick(False, 1))
    place.now = 1_700_000_000.0
    assert seeds_in(place.see(3)) == []
    assert len(seeds_in(place.see(3))) == 1


def test_localizer_gets_its_time_from_discovery():
    """A node that DDS finds late says late in TF where the robot is."""
    place = Place()
    truth, place.localizer_from_odom = place.localizer_from_odom, None
    place.listeners = 0
    place.see(8)
    place.listeners = 1
    assert place.see(3) == []
    place.localizer_from_odom = truth
    assert seeds_in(place.see(8)) == []


def test_own_transform_needs_no_seed():
    place = Place()
    place.localizer_from_odom, place.listeners = None, 0
    assert place.see(20) == []
    assert place.condition is Condition.LOCALIZED


def test_attempts_are_bounded_and_armed_anew():
    place = Place()
    place.see(5)
    place.kidnap()
    decisions = place.see(200)
    assert kinds(decisions) == [Seed] * CONFIG.max_attempts + [GiveUp]
    assert place.condition is Condition.GAVE_UP
    assert 'by hand' in place.state.reason
    place.tell(Request())
    assert kinds(place.see(1)) == [Seed]


def test_attempts_keep_their_distance():
    place = Place()
    place.see(5)
    place.kidnap()
    times = []
    for _ in range(100):
        if seeds_in(place.see(1)):
            times.append(place.now)
    assert len(times) == CONFIG.max_attempts
    assert min(np.diff(times)) >= CONFIG.min_seconds_between_attempts


def test_operator_ends_what_was_given_up():
    place = Place()
    place.see(5)
    place.kidnap()
    place.see(200)
    place.localizer_from_odom = place.map_from_odom
    assert kinds(place.see(5)) == [Verified]
    assert place.condition is Condition.LOCALIZED


def test_unknown_place_is_given_up_without_seed():
    place = Place()
    place.see(5)
    place.kidnap()
    place.refuse(100)
    assert kinds(place.decisions) == [GiveUp]
    assert place.condition is Condition.GAVE_UP
    assert 'LOW_INLIERS' in place.state.reason
    place.see(1)
    assert place.condition is Condition.COLLECTING


def test_covered_camera_is_no_unknown_place():
    place = Place()
    place.see(5)
    place.refuse(100, is_usable=False)
    assert place.decisions == []
    assert place.condition is Condition.DEGRADED


def test_uncertain_fix_does_not_contradict():
    place = Place()
    place.see(5)
    place.localizer_from_odom = pose(1.0, 0.0) @ place.map_from_odom
    assert place.see(20, covariance=np.diag([0.25, 0.25, 1, 1, 1, 1e-4])) == []
    assert place.condition is Condition.LOCALIZED


def test_without_odometry_only_at_rest():
    place = Place(Policy.ON_REQUEST)
    place.has_odometry = False
    place.see(5)
    place.kidnap()
    place.tell(Request())
    place.speed = 2.0
    assert place.see(10) == []
    place.speed = 0.0
    assert len(seeds_in(place.see(5))) == 1


def test_reset_voids_all_evidence():
    place = Place()
    place.see(5)
    place.kidnap()
    place.see(2)
    place.tell(Reset('the clock jumped back by 30 s'))
    assert place.condition is Condition.LOST
    assert place.state.reason.startswith('the clock jumped')
    assert seeds_in(place.see(2)) == []


def test_fix_before_the_seed_is_no_verification():
    place = Place()
    place.see(5)
    place.kidnap()
    old = place.fix()
    (seed,) = seeds_in(place.see(3))
    place.obey(seed)
    for _ in range(5):
        place.tell(old)
    assert place.state.confirmations == 0


def test_image_of_two_places_voids_the_evidence():
    place = Place()
    place.see(5)
    place.kidnap()
    for _ in range(20):
        place.see(2)
        place.drive()
        place.tell(Refusal('AMBIGUOUS: another place fits', is_ambiguous=True))
    assert place.decisions == []


def test_old_fixes_are_forgotten():
    place = Place()
    place.see(3)
    place.now += CONFIG.evidence_time + 1
    place.tell(Tick())
    assert place.state.fixes == ()


@pytest.mark.parametrize('drift_deg', [0.0, 1.0])
def test_agreement_tolerates_drift(drift_deg):
    place = Place()
    for _ in range(CONFIG.recent_fixes):
        place.map_from_odom = place.map_from_odom @ pose(0.02, 0.0, drift_deg)
        place.see(1)
    assert len(agreeing_fixes(place.state.fixes, CONFIG)) == CONFIG.recent_fixes


def test_lost_says_how_many_agree():
    place = Place()
    place.localizer_from_odom = None
    place.see(1)
    assert place.condition is Condition.COLLECTING
    assert place.state.reason == (
        '1 of the last 1 fixes agree, expected 3 and one more for each that contradicts'
    )


def test_single_fix_suffices_where_asked_for():
    place = Place(config=replace(CONFIG, min_agreeing_fixes=1))
    place.localizer_from_odom = None
    place.see(1)
    assert place.condition is Condition.LOCALIZED


def stopping(policy=Policy.AUTO):
    """A place whose robot was carried away, and gets seeds only while it stands."""
    place = Place(policy, replace(CONFIG, require_stopped=True))
    place.see(3)
    place.localizer_from_odom = pose(5.0, 5.0) @ place.map_from_odom
    return place


def test_a_moving_robot_waits_for_its_seed():
    place = stopping()
    assert not any(isinstance(decision, Seed) for decision in place.see(8))
    assert place.state.condition(place.config) is Condition.KIDNAPPED
    assert place.state.reason.endswith('the robot must stop for a seed')
    place.speed, place.turn = 0.0, 0.0
    assert [type(decision) for decision in place.see(2)] == [Seed]


def test_a_robot_that_turns_does_not_stand():
    place = stopping()
    place.speed = 0.0
    assert not any(isinstance(decision, Seed) for decision in place.see(12))


@pytest.mark.parametrize('policy', [Policy.AUTO, Policy.ON_REQUEST])
def test_without_odometry_nobody_knows_it_stands(policy):
    place = stopping(policy)
    place.speed, place.turn, place.has_odometry = 0.0, 0.0, False
    if policy is Policy.ON_REQUEST:
        place.tell(Request())
    assert not any(isinstance(decision, Seed) for decision in place.see(8))


def test_a_request_waits_for_the_stop_too():
    place = stopping(Policy.ON_REQUEST)
    place.tell(Request())
    assert not any(isinstance(decision, Seed) for decision in place.see(6))
    place.speed, place.turn = 0.0, 0.0
    assert [type(decision) for decision in place.see(2)] == [Seed]
