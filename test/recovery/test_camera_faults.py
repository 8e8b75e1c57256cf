# SPDX-License-Identifier: Apache-2.0
"""A camera that is covered, dirty, or comes without camera_info."""

from __future__ import annotations

import figures
import numpy as np
import pytest
from places import Place
from simulated_robot import SimulatedRobot
from simulation import IN_TIME_S

from dsac_ros.msg import RelocalizationStatus as Status
from dsac_ros.sources.image_messages import stamp_ns

pytestmark = pytest.mark.slow
KIDNAPS = 5


@pytest.mark.both_runtimes
def test_camera_covered(simulate, room_map):
    """Carried away under cover: nothing is said until the camera sees again."""
    simulation = simulate(SimulatedRobot(Place(), seed=8), room_map)
    simulation.amcl.place_at(simulation.robot.truth)
    simulation.run(5.0)
    assert simulation.is_localized()
    simulation.robot.covered, begin = True, simulation.now_ns
    simulation.run(8.0)
    assert not simulation.is_localized() and not simulation.seeds
    dark = [m for m in simulation.status if stamp_ns(m.header.stamp) > begin]
    # The sensor's noise is left of the image, and some contrast.
    assert {m.result for m in dark} <= {Status.BAD_IMAGE, Status.LOW_INLIERS}
    simulation.kidnap(np.random.default_rng(8))
    simulation.run(4.0)
    seeds_under_cover = len(simulation.seeds)
    simulation.robot.covered = False
    seconds = simulation.seconds_to_recover()
    figures.record(
        'camera covered, kidnapped, uncovered',
        seeds_under_cover=seeds_under_cover,
        recovered_s=figures.seconds(seconds),
        wrong_seeds=simulation.wrong_seeds(),
    )
    assert seeds_under_cover == 0 and seconds <= IN_TIME_S and simulation.wrong_seeds() == 0


@pytest.mark.both_runtimes
def test_camera_info_missing(simulate, room_map):
    simulation = simulate(SimulatedRobot(Place(), seed=9), room_map)
    simulation.sends_info = False
    simulation.run(6.0)
    assert {m.result for m in simulation.status} == {Status.NO_CAMERA_INFO}
    assert 'camera_info' in simulation.status[-1].reason
    assert not simulation.seeds and not simulation.is_localized()
    simulation.sends_info = True
    seconds = simulation.seconds_to_recover()
    figures.record(
        'camera_info missing, then there',
        recovered_s=figures.seconds(seconds),
        wrong_seeds=simulation.wrong_seeds(),
    )
    assert seconds <= IN_TIME_S and simulation.wrong_seeds() == 0


def test_lens_dirty_for_good(simulate, room_map):
    rng = np.random.default_rng(10)
    simulation = simulate(SimulatedRobot(Place(), seed=10), room_map)
    simulation.amcl.place_at(simulation.robot.truth)
    simulation.robot.dirty = True
    simulation.run(30.0)
    share, resets = simulation.accepted_share(), len(simulation.seeds)
    seconds = []
    for _ in range(KIDNAPS):
        simulation.kidnap(rng)
        seconds.append(simulation.seconds_to_recover())
        simulation.run(5.0, lambda: simulation.status[-1].state == Status.LOCALIZED)
    in_time = sum(s <= IN_TIME_S for s in seconds)
    figures.record(
        'a third of the image dark for good',
        accepted_of_good_views=f'{100 * share:.0f} %',
        resets=resets,
        kidnaps=KIDNAPS,
        recovered_in_10_s=in_time,
        wrong_seeds=simulation.wrong_seeds(),
        false_accepts=simulation.false_accepts,
    )
    assert resets == 0 and simulation.wrong_seeds() == 0 and simulation.false_accepts == 0
    assert share >= 0.5 and in_time >= KIDNAPS - 1
