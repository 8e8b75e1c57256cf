# SPDX-License-Identifier: Apache-2.0
"""nodes/fix_queue.py: accepted poses wait for odometry, bounded, and nothing blocks."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from tf2_msgs.msg import TFMessage

from dsac_ros.nodes import conversions, fix_queue
from dsac_ros.nodes.fix_queue import FixQueue
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.transforms import SETTLING_TIME_S, Transforms
from dsac_ros.types import Localization, Result

POSE = conversions.matrix_from_xyz_rpy([1.0, 2.0, 0.0, 0.0, 0.0, 0.5])
MS = 1_000_000
SPEED = 1.0  # m/s


def odometry(stamp):
    """The robot's pose at a time [ns]: it drives along x."""
    return conversions.matrix_from_xyz_rpy([SPEED * (stamp / 1e9 % 1000.0), 0, 0, 0, 0, 0])


def output(stamp, **fields):
    return NodeOutput(
        Localization(Result.ACCEPTED), stamp, 'camera', POSE, **{'map_from_base': POSE, **fields}
    )


class Bench:
    """A queue and its TF, fed without a network."""

    def __init__(self, node, complete=lambda output, is_last: output, **changed):
        self.node, self.fixes, self.lost = node, [], []
        self.transforms = Transforms(node, {'odom': 'odom_frame'})
        self.queue = FixQueue(
            node,
            self.transforms,
            RelocalizerParameters(**changed),
            self.fixes.append,
            lambda output, reason: self.lost.append((output, reason)),
            complete=complete,
        )

    def now(self):
        return self.node.get_clock().now().nanoseconds

    def hear(self, stamp, parent='odom', child='base_link', matrix=None):
        """Deliver a TF message as the executor does."""
        matrix = odometry(stamp) if matrix is None else matrix
        self.transforms._listener.callback(
            TFMessage(transforms=[conversions.transform_message(parent, child, stamp, matrix)])
        )

    def close(self):
        self.queue.close()
        self.transforms.close()


@pytest.fixture
def make_bench(make_node):
    benches = []

    def make(**changed):
        benches.append(Bench(make_node(f'under_test_{len(benches)}'), **changed))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()


@pytest.mark.parametrize(
    ('rate_hz', 'late_ms'), [(50, 0), (50, 40), (50, 120), (10, 0), (10, 120), (200, 5)]
)
def test_no_fix_is_lost_to_late_odometry(make_bench, spin_until, rate_hz, late_ms):
    bench = make_bench()
    period, begin, stamps = 1_000_000_000 // rate_hz, bench.now(), []
    coming = [begin + n * period for n in range(-rate_hz // 5, 2 * rate_hz)]
    while bench.now() < begin + 1_500 * MS:
        while coming and coming[0] + late_ms * MS <= bench.now():
            bench.hear(coming.pop(0))
        if not stamps or bench.now() - stamps[-1] > 97 * MS:
            stamps.append(bench.now() - 7 * MS)
            bench.queue.put(output(stamps[-1]))
        spin_until(lambda: False, 0.003)
    for stamp in coming:
        bench.hear(stamp)
    assert spin_until(lambda: len(bench.fixes) == len(stamps), 2.0)
    assert not bench.lost and bench.queue.without_odometry == 0 and bench.queue.problem == ''
    for fix in bench.fixes:
        error = fix.odom_from_base[0, 3] - odometry(fix.output.stamp)[0, 3]
        assert abs(error) < 1e-6  # interpolated, not the sample before


def test_without_odometry_the_fix_says_why(make_bench, spin_until):
    bench = make_bench(odometry_timeout=0.2)
    bench.hear(bench.now(), 'odometry', 'base_link')
    begin = time.monotonic()
    for _ in range(3):
        bench.queue.put(output(bench.now()))
    assert spin_until(lambda: len(bench.fixes) == 3, 2.0)
    assert 0.2 <= time.monotonic() - begin < 2.0
    assert all(fix.odom_from_base is None for fix in bench.fixes)
    reason = "TF does not contain frame 'odom', only base_link, odometry"
    assert reason in bench.fixes[0].reason and 'odom_frame' in bench.queue.problem
    assert bench.queue.without_odometry == 3 and bench.queue.waiting == 0


def test_odometry_that_ended_is_told_once(make_bench, spin_until, monkeypatch):
    bench = make_bench(odometry_timeout=0.15)
    lines = []
    monkeypatch.setattr(
        type(bench.node.get_logger()), 'warning', lambda self, line, **_: lines.append(line)
    )
    bench.hear(bench.now() - 500 * MS)
    bench.hear(bench.now() - 400 * MS)
    for _ in range(3):
        bench.queue.put(output(bench.now()))
        assert spin_until(lambda: bench.queue.waiting == 0, 2.0)
    assert 'the newest sample of odom -> base_link is 0.' in bench.queue.problem
    assert 'after 0.15 s of waiting (odometry_timeout): is it' in bench.queue.problem
    assert len(lines) == 1 and 'tf_mode auto cannot publish map -> odom: the newest' in lines[0]
    for offset in (-50, 50):
        bench.hear(bench.now() + offset * MS)
    bench.queue.put(output(bench.now()))
    assert spin_until(lambda: len(bench.fixes) == 4, 2.0)
    assert bench.fixes[-1].reason == bench.queue.problem == ''


def test_a_missing_frame_is_told_without_a_pose(make_bench, spin_until, monkeypatch):
    lines = []
    bench = make_bench()
    monkeypatch.setattr(
        type(bench.node.get_logger()), 'warning', lambda self, line, **_: lines.append(line)
    )
    bench.transforms._begin -= SETTLING_TIME_S
    for _ in range(3):
        bench.hear(bench.now(), 'odometry', 'base_link')
        spin_until(lambda: False, 0.7)
    assert len(lines) == 1 and "TF does not contain frame 'odom'" in lines[0]
    assert 'or name another frame with odom_frame' in bench.queue.problem
    bench.hear(bench.now(), 'odom', 'odometry')
    assert spin_until(lambda: bench.queue.problem == '', 3.0)


@pytest.mark.parametrize('mode', ['map_base', 'none'])
def test_robots_without_odometry_hear_nothing(make_bench, spin_until, monkeypatch, mode):
    lines = []
    bench = make_bench(tf_mode=mode)
    monkeypatch.setattr(
        type(bench.node.get_logger()), 'warning', lambda self, line, **_: lines.append(line)
    )
    bench.transforms._begin -= SETTLING_TIME_S
    spin_until(lambda: False, 1.5)
    assert not lines and bench.queue.problem == ''


def test_what_is_known_to_be_absent_is_not_waited_for(make_bench, spin_until):
    bench = make_bench(odometry_timeout=5.0)
    bench.transforms._begin -= SETTLING_TIME_S
    bench.queue.put(output(bench.now()))
    assert spin_until(lambda: bench.fixes, 1.0)
    assert 'no transform was received' in bench.fixes[0].reason


def test_odometry_from_the_future_is_refused(make_bench, spin_until):
    bench = make_bench()
    for offset in range(-500, 3001, 100):
        bench.hear(bench.now() + offset * MS)
    bench.queue.put(output(bench.now()))
    assert spin_until(lambda: bench.fixes, 2.0)
    assert bench.fixes[0].odom_from_base is None
    assert 'odom -> base_link is stamped 3.0 s in the future: synchronise' in bench.queue.problem


def test_a_gap_in_odometry_is_not_interpolated(make_bench, spin_until):
    bench = make_bench(odometry_max_gap=0.3)
    bench.hear(bench.now() - 400 * MS)
    bench.hear(bench.now() + 50 * MS)
    bench.queue.put(output(bench.now() - 100 * MS))
    assert spin_until(lambda: bench.fixes, 2.0)
    told = r'0\.4\d s apart, at most 0\.3 s are allowed \(odometry_max_gap\)'  # the clock goes on
    assert re.search(told, bench.fixes[0].reason)


@pytest.mark.parametrize('own', [False, True])
def test_the_localizers_pose_comes_with_the_fix(make_bench, spin_until, own):
    bench = make_bench()
    bench.queue._is_own = lambda stamp: own
    stamp = bench.now()
    map_from_odom = conversions.matrix_from_xyz_rpy([0.0, 5.0, 0, 0, 0, 0])
    for at in (stamp - 50 * MS, stamp + 50 * MS):
        bench.hear(at)
    bench.hear(stamp - 50 * MS, 'map', 'odom', map_from_odom)
    bench.queue.put(output(stamp))
    if not own:
        spin_until(lambda: False, 0.1)
        assert not bench.fixes  # the localizer is a little late
        bench.hear(stamp + 60 * MS, 'map', 'odom', map_from_odom)
    assert spin_until(lambda: bench.fixes, 0.4)
    found = bench.fixes[0].tf_map_from_base
    assert found is None if own else np.allclose(found, map_from_odom @ odometry(stamp))


def test_clearing_drops_and_tells(make_bench, spin_until):
    bench = make_bench()
    bench.queue.put(output(bench.now()))
    bench.queue.clear('the clock jumped')
    spin_until(lambda: False, 0.6)
    assert [reason for _, reason in bench.lost] == ['the clock jumped']
    assert not bench.fixes and bench.queue.dropped == 1


def test_a_late_worker_finds_the_queue_closed(make_bench):
    bench = make_bench()
    bench.queue.put(output(bench.now()))
    bench.queue.close()
    bench.queue.put(output(bench.now()))
    assert bench.queue.waiting == 0 and len(bench.lost) == 1


def test_in_a_full_queue_the_oldest_waits_no_longer(make_bench, spin_until, monkeypatch):
    monkeypatch.setattr(fix_queue, 'MAX_WAITING', 2)
    bench = make_bench(odometry_timeout=5.0)
    stamps = [bench.now() + n for n in range(4)]
    for stamp in stamps:
        bench.queue.put(output(stamp))
    assert spin_until(lambda: len(bench.fixes) == 2, 2.0)
    assert [fix.output.stamp for fix in bench.fixes] == stamps[:2] and bench.queue.waiting == 2
    assert all(fix.reason for fix in bench.fixes) and not bench.lost


def test_the_base_may_come_late_too(make_bench, spin_until):
    there = []

    def complete(output, is_last):
        if there:
            return replace(output, map_from_base=POSE)
        if is_last:
            lost = replace(output.localization, result=Result.TF_UNAVAILABLE, reason='no base')
            return replace(output, localization=lost)
        return output

    bench = make_bench(complete=complete, odometry_timeout=0.0, tf_lookup_timeout=0.2)
    bench.queue.put(output(bench.now(), map_from_base=None))
    assert spin_until(lambda: bench.lost, 2.0)
    assert bench.lost[0][0].localization.result == Result.TF_UNAVAILABLE
    bench.queue.put(output(bench.now(), map_from_base=None))
    there.append(True)
    assert spin_until(lambda: bench.fixes, 2.0)
    assert np.allclose(bench.fixes[0].output.map_from_base, POSE)


def test_a_fault_of_a_consumer_ends_nothing(make_bench, spin_until):
    bench = make_bench(odometry_timeout=0.0)
    calls = []

    def on_fix(fix):
        calls.append(fix)
        raise RuntimeError('bug')

    bench.queue._on_fix = on_fix
    for _ in range(2):
        bench.queue.put(output(bench.now()))
    assert spin_until(lambda: len(calls) == 2, 2.0)


def test_put_is_safe_from_other_threads(make_bench, spin_until):
    bench = make_bench(odometry_timeout=0.0)
    threads = [
        threading.Thread(target=lambda: [bench.queue.put(output(bench.now())) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert spin_until(lambda: len(bench.fixes) == 80, 5.0)
    assert not any(thread.is_alive() for thread in threads)
