# SPDX-License-Identifier: Apache-2.0
"""A healthy localizer is never disturbed."""

from __future__ import annotations

import figures
import pytest
from places import Place
from simulated_robot import SimulatedRobot

from dsac_ros.msg import RelocalizationStatus as Status

pytestmark = pytest.mark.slow
MINUTES = 10


def test_ten_minutes_without_a_reset(simulate, room_map):
    simulation = simulate(SimulatedRobot(Place(), seed=1), room_map, image_period=2.0)
    simulation.amcl.place_at(simulation.robot.truth)
    errors = []
    for _ in range(60 * MINUTES):
        simulation.run(1.0)
        errors.append(simulation.amcl.error()[0])
    figures.record(
        'drive 10 minutes beside a healthy localizer',
        resets=len(simulation.seeds),
        images=len(simulation.status),
        accepted_of_good_views=f'{100 * simulation.accepted_share():.1f} %',
        false_accepts=simulation.false_accepts,
        localizer_error_max_m=round(max(errors), 2),
    )
    assert not simulation.seeds and not any(m.data for m in simulation.kidnapped)
    assert not {Status.KIDNAPPED, Status.GAVE_UP} & set(simulation.states)
    assert simulation.is_localized() and simulation.states[-1] == Status.LOCALIZED
    assert simulation.accepted_share() >= 0.95 and simulation.false_accepts == 0
    assert simulation.lost_images <= 3 and max(errors) < 0.3
