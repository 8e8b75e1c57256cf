# SPDX-License-Identifier: Apache-2.0
"""Faults of the graph: rivals on TF, a clock that jumps, a process that dies, a map that changes."""

from __future__ import annotations

import figures
import numpy as np
import pytest
import se2
from places import Place
from robot import untrained_map
from simulated_robot import SimulatedRobot
from simulation import IN_TIME_S

from dsac_ros.msg import RelocalizationStatus as Status
from dsac_ros.nodes import conversions
from dsac_ros.sources.image_messages import stamp_ns

pytestmark = pytest.mark.slow


def healthy(simulate, room_map, seed, **options):
    simulation = simulate(SimulatedRobot(Place(), seed=seed), room_map, **options)
    simulation.amcl.place_at(simulation.robot.truth)
    simulation.run(5.0)
    return simulation


def of_the_relocalizer(simulation):
    """The map -> odom that the stand-in did not send."""
    sent = simulation.amcl.sent_stamps
    return [t for t in simulation.transforms('odom') if stamp_ns(t.header.stamp) not in sent]


@pytest.mark.both_runtimes
def test_two_tf_publishers_own_mode(simulate, room_map):
    """It steps aside for whoever publishes map -> odom, and says so."""
    simulation = simulate(
        SimulatedRobot(Place(), seed=11), room_map, tf_mode='auto', publish_initialpose='never'
    )
    simulation.run(10.0)
    alone = len(of_the_relocalizer(simulation))
    simulation.amcl.place_at(simulation.robot.truth)
    simulation.run(3.0)
    before = len(of_the_relocalizer(simulation))
    simulation.run(10.0)
    beside = len(of_the_relocalizer(simulation)) - before
    figures.record('two TF publishers, own mode', sent_alone=alone, sent_beside_a_localizer=beside)
    assert alone > 20 and beside == 0
    assert 'another node publishes map -> odom' in simulation.process.output


def test_two_tf_publishers_seed_mode(simulate, room_map):
    """A rival that contradicts the healthy localizer does not make it seed for ever."""
    simulation = healthy(simulate, room_map, 12)
    assert simulation.is_localized() and not simulation.seeds
    far = se2.to_matrix(np.array((4.0, 3.0, 1.0)))
    for _ in range(300):
        simulation.tick()
        stamp = simulation.now_ns + 500_000_000
        simulation.tf.sendTransform(conversions.transform_message('map', 'odom', stamp, far))
    figures.record(
        'two TF publishers, seed mode',
        seeds=len(simulation.seeds),
        wrong_seeds=simulation.wrong_seeds(),
    )
    assert len(simulation.seeds) <= 3 and simulation.wrong_seeds() == 0


def test_clock_set_back(simulate, room_map):
    simulation = healthy(simulate, room_map, 13)
    simulation.run(30.0)
    simulation.jump_back(25.0)
    begin = len(simulation.status)
    simulation.run(10.0)
    after = simulation.status[begin:]
    stale = sum(m.result == Status.STALE for m in after)
    resets = len(simulation.seeds)
    localized = simulation.is_localized()
    simulation.kidnap(np.random.default_rng(13))
    seconds = simulation.seconds_to_recover()
    figures.record(
        'clock set back by 25 s',
        stale_images=stale,
        resets=resets,
        kidnap_recovered_s=figures.seconds(seconds),
        wrong_seeds=simulation.wrong_seeds(),
    )
    assert stale <= 1 and resets == 0 and localized
    assert seconds <= IN_TIME_S and simulation.wrong_seeds() == 0


def test_killed_and_restarted(simulate, room_map):
    """Once beside a healthy localizer, once while the robot is carried away."""
    simulation = healthy(simulate, room_map, 14)
    restarted(simulation)
    simulation.run(15.0)
    resets = len(simulation.seeds)
    assert simulation.is_localized()
    simulation.process.kill()
    simulation.kidnap(np.random.default_rng(14))
    restarted(simulation)
    seconds = simulation.seconds_to_recover()
    figures.record(
        'killed and restarted',
        resets=resets,
        kidnap_meanwhile_recovered_s=figures.seconds(seconds),
        wrong_seeds=simulation.wrong_seeds(),
    )
    assert resets == 0 and seconds <= IN_TIME_S and simulation.wrong_seeds() == 0


def restarted(simulation):
    """Drive on without the relocalizer, then with a new one."""
    simulation.process.kill()
    simulation.sends_images = False
    assert simulation.spin(lambda: not simulation.images.get_subscription_count())
    simulation.run(5.0)
    simulation.start()
    simulation.wait_for_node()
    simulation.sends_images = True


def drive_until_loaded(simulation, path):
    """Drive on while the old map answers and the new one is loaded and warmed up."""
    loaded = simulation.run(120.0, lambda: simulation.of('map_info')[-1].map_url == str(path))
    assert loaded, simulation.process.output


@pytest.mark.both_runtimes
def test_map_swapped_while_driving(simulate, room_map, tmp_path):
    """A map that knows nothing and back: the localizer is left alone, and every image answered."""
    simulation = healthy(simulate, room_map, 15)
    other = untrained_map(tmp_path / 'other.map')
    ids = {m.map_id for m in simulation.status}
    for path in (other, room_map):
        assert simulation.set_parameter('map', str(path)).successful
        drive_until_loaded(simulation, path)
        begin = len(simulation.status)
        simulation.run(8.0)
        ids |= {m.map_id for m in simulation.status[begin:]}
        accepted = sum(m.result == Status.ACCEPTED for m in simulation.status[begin:])
        assert (accepted > 8) == simulation.is_localized() == (path == room_map)
    resets = len(simulation.seeds)
    simulation.kidnap(np.random.default_rng(15))
    seconds = simulation.seconds_to_recover()
    figures.record(
        'map swapped while driving',
        resets=resets,
        lost_images=simulation.lost_images,
        kidnap_then_recovered_s=figures.seconds(seconds),
        wrong_seeds=simulation.wrong_seeds(),
    )
    assert len(ids) == 2 and resets == 0 and simulation.lost_images == 0
    assert seconds <= IN_TIME_S and simulation.wrong_seeds() == 0
