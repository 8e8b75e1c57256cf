# SPDX-License-Identifier: Apache-2.0
"""Recovery of a lost or kidnapped robot: evidence and time in, decisions out.

A pure reducer: `advance(state, event, config)` returns the next state and what is to be done. It
knows neither clock nor ROS; `nodes.recovery_driver` feeds it and carries out the decisions.

An accepted image alone never moves a robot. Fixes count when they agree with one another through
odometry, which a wrong pose does not follow while the robot moves. Where enough of them agree and
the localizer (AMCL, slam_toolbox, ..) says otherwise, the robot is kidnapped; where nobody says
where it is, it is lost. Then the localizer gets one seed, and must follow: fixes taken after the
seed have to agree with it. Attempts are bounded, and a localizer that agrees is left alone.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dsac_ros.recovery.agreement import (
    agree,
    agreeing_fixes,
    contradicts,
    is_standing,
    planar_difference,
    viewpoint_changed,
)
from dsac_ros.recovery.config import RecoveryConfig
from dsac_ros.recovery.events import (
    Decision,
    Event,
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
from dsac_ros.recovery.state import Policy, State


def advance(
    state: State, event: Event, now_s: float, config: RecoveryConfig
) -> tuple[State, tuple[Decision, ...]]:
    """Return the state after an event at now_s, and the decisions that it leads to."""
    # 0: simulated time has not started yet.
    state = replace(state, now_s=now_s, began_s=state.began_s or now_s)
    match event:
        case VisualFix():
            state = _with_fix(state, event, config)
        case Refusal():
            state = _with_refusal(state, event)
        case Tick():
            seen = now_s if event.has_localizer else state.localizer_seen_s
            came = now_s if event.listeners > state.listeners else state.listener_came_s
            state = replace(
                state, localizer_seen_s=seen, listeners=event.listeners, listener_came_s=came
            )
        case Request():
            # A new request arms what was given up; a seed under way is its first attempt.
            state = replace(
                state,
                is_wanted=True,
                gave_up=False,
                attempts=int(state.is_verifying),
                place_unknown=False,
                first_refusal_s=math.inf,
                refusals=0,
            )
        case Withdrawal():
            state = replace(state, is_wanted=False)
        case Reset():
            state = State(
                state.policy,
                began_s=now_s,
                now_s=now_s,
                listeners=state.listeners,
                listener_came_s=min(state.listener_came_s, now_s),
                is_wanted=state.is_wanted,
                reason=event.reason,
            )
    state = _without_old(_with_settling(state, config), config)
    if state.is_confirmed and now_s - state.last_fix_s > config.localization_timeout:
        reason = f'no image was accepted for {config.localization_timeout:g} s'
        state = replace(state, is_confirmed=False, reason=reason)
    if isinstance(event, VisualFix):
        is_evidence = bool(state.fixes) and state.fixes[-1] is event
        return _judged(state, config) if is_evidence else (state, ())
    if isinstance(event, Refusal) and event.is_usable:
        return _with_patience(state, config)
    return state, ()


def _with_fix(state: State, fix: VisualFix, config: RecoveryConfig) -> State:
    if state.is_verifying and fix.stamp_s < state.seeded_s:
        return state  # taken before the seed: TF had the old pose then
    seen = state.now_s if fix.localizer_map_from_base is not None else state.localizer_seen_s
    return replace(
        state,
        fixes=(*state.fixes, fix)[-config.recent_fixes :],
        last_fix_s=state.now_s,
        localizer_seen_s=seen,
        first_refusal_s=math.inf,
        refusals=0,
        place_unknown=False,
    )


def _with_refusal(state: State, refusal: Refusal) -> State:
    if not refusal.is_usable:
        return replace(state, last_refusal=refusal.reason)
    return replace(
        state,
        fixes=() if refusal.is_ambiguous else state.fixes,
        first_refusal_s=min(state.first_refusal_s, state.now_s),
        refusals=state.refusals + 1,
        last_refusal=refusal.reason,
    )


def _without_old(state: State, config: RecoveryConfig) -> State:
    fresh = tuple(fix for fix in state.fixes if state.now_s - fix.stamp_s <= config.evidence_time)
    return state if len(fresh) == len(state.fixes) else replace(state, fixes=fresh)


def _with_settling(state: State, config: RecoveryConfig) -> State:
    """End the time in which the localizer must follow."""
    if not state.is_verifying or state.now_s - state.seeded_s <= config.settle_time:
        return state
    seed = f'seed {state.attempts} of {config.max_attempts} within {config.settle_time:g} s'
    found = (
        f'the localizer did not follow {seed}'
        if state.fixes
        else f'no image told if the localizer followed {seed}'
    )
    return replace(state, is_verifying=False, reason=found)


def _judged(state: State, config: RecoveryConfig) -> tuple[State, tuple[Decision, ...]]:
    """Judge the evidence when a fix came."""
    fixes, newest = agreeing_fixes(state.fixes, config), state.fixes[-1]
    if newest.localizer_map_from_base is not None and not contradicts(newest, config):
        return _with_agreement(state, newest, config)
    state = replace(state, confirmations=0, is_confirmed=False)
    if not fixes:
        return replace(state, reason=_collecting(state, config)), ()
    if newest.localizer_map_from_base is None:
        return _without_localizer(state, fixes, config)
    if not all(contradicts(fix, config) for fix in fixes):
        return replace(state, reason='one of the last fixes contradicts the localizer'), ()
    return _with_contradiction(state, fixes, config)


def _with_agreement(
    state: State, newest: VisualFix, config: RecoveryConfig
) -> tuple[State, tuple[Decision, ...]]:
    """The localizer and the newest fix agree; several in a row end a recovery."""
    state = replace(
        state,
        confirmations=state.confirmations + 1,
        is_confirmed=True,
        was_localized=True,
        reason='the localizer agrees with the camera',
    )
    is_open = state.is_wanted or state.kidnapped or state.is_verifying or state.gave_up
    if state.confirmations < config.min_agreeing_fixes or not (is_open or state.attempts):
        return state, ()
    settled = replace(
        state, kidnapped=False, gave_up=False, is_verifying=False, attempts=0, is_wanted=False
    )
    return settled, (Verified(newest, state.reason),) if is_open else ()


def _without_localizer(
    state: State, fixes: tuple[VisualFix, ...], config: RecoveryConfig
) -> tuple[State, tuple[Decision, ...]]:
    """Fixes agree, and no localizer says anything: verified, or the start of one."""
    if state.has_localizer(config):
        return replace(state, reason='the pose by the localizer is missing at the image stamp'), ()
    state = replace(
        state,
        is_confirmed=True,
        was_localized=True,
        kidnapped=False,
        reason=f'{len(fixes)} fixes agree; no localizer gives a pose',
    )
    assert state.began_s is not None
    # A localizer that has just been discovered gets time to say where the robot is.
    since = max(state.began_s, state.listener_came_s)
    is_silent = state.now_s - since >= config.localizer_timeout
    if is_silent and _may_seed(state) and state.has_listener:
        return _seeded(state, fixes, config, 'no localizer gives a pose of the robot')
    if state.is_wanted and (state.policy is Policy.NEVER or not state.has_listener):
        return replace(state, is_wanted=False), (Verified(fixes[-1], state.reason),)
    return state, ()


def _with_contradiction(
    state: State, fixes: tuple[VisualFix, ...], config: RecoveryConfig
) -> tuple[State, tuple[Decision, ...]]:
    """Fixes agree with one another and contradict the localizer: kidnapped."""
    newest = fixes[-1]
    assert newest.localizer_map_from_base is not None
    distance, angle = planar_difference(newest.map_from_base, newest.localizer_map_from_base)
    found = (
        f'{len(fixes)} fixes agree that the localizer is off by {distance:.2f} m and '
        f'{math.degrees(angle):.0f} deg'
    )
    if state.gave_up:
        return state, ()
    state = replace(state, kidnapped=True, reason=found)
    if state.policy is Policy.NEVER and state.is_wanted:
        return replace(state, is_wanted=False), (Verified(newest, found),)
    if not _may_seed(state):
        return state, ()
    if not state.has_listener:
        return replace(state, reason=f'{found}; nobody subscribes to the seeds'), ()
    poses = [
        fix.map_from_base if fix.odom_from_base is None else fix.odom_from_base for fix in fixes
    ]
    if not state.is_wanted and not viewpoint_changed(poses, config):
        return replace(
            state,
            reason=f'{found}; the robot must move {config.viewpoint_change_xy:g} m or turn '
            f'{config.viewpoint_change_yaw:g} deg to be sure',
        ), ()
    return _seeded(state, fixes, config, found)


def _may_seed(state: State) -> bool:
    return state.policy is Policy.AUTO or (state.policy is Policy.ON_REQUEST and state.is_wanted)


def _seeded(
    state: State, fixes: tuple[VisualFix, ...], config: RecoveryConfig, found: str
) -> tuple[State, tuple[Decision, ...]]:
    """Send a seed if it is time, give up if there were enough."""
    wait = config.min_seconds_between_attempts - (state.now_s - state.seeded_s)
    if state.is_verifying or wait > 0:
        return replace(state, reason=f'{found}; seed {state.attempts} was just sent'), ()
    if state.attempts >= config.max_attempts:
        reason = (
            f'{found}; it did not follow {state.attempts} seeds: set its pose by hand, or call '
            '~/clear'
        )
        return replace(state, gave_up=True, is_wanted=False, reason=reason), (GiveUp(reason),)
    if config.require_stopped and not is_standing(state.fixes):
        return replace(state, reason=f'{found}; the robot must stop for a seed'), ()
    best = fixes[-1]
    if all(fix.odom_from_base is not None for fix in fixes):
        best = min(reversed(fixes), key=lambda fix: float(np.trace(fix.covariance[:2, :2])))
    state = replace(
        state,
        attempts=state.attempts + 1,
        seeded_s=state.now_s,
        is_verifying=True,
        confirmations=0,
        fixes=(),
        reason=f'{found}; seed {state.attempts + 1} of {config.max_attempts} sent',
    )
    return state, (Seed(best, found),)


def _with_patience(state: State, config: RecoveryConfig) -> tuple[State, tuple[Decision, ...]]:
    """Nothing is accepted for long: the place may be unknown to the map."""
    waited = state.now_s - state.first_refusal_s
    if state.place_unknown or waited <= config.give_up_time:
        return state, ()
    reason = (
        f'none of {state.refusals} images in {waited:.0f} s was accepted (the last: '
        f'{state.last_refusal}): the place is not in the map, or the camera sees too little of it'
    )
    return replace(state, place_unknown=True, is_wanted=False, reason=reason), (GiveUp(reason),)


def _collecting(state: State, config: RecoveryConfig) -> str:
    newest = state.fixes[-1]
    count = sum(agree(fix, newest, config) for fix in state.fixes)
    return (
        f'{count} of the last {len(state.fixes)} fixes agree, expected '
        f'{config.min_agreeing_fixes} and one more for each that contradicts'
    )
