# SPDX-License-Identifier: Apache-2.0
"""nodes/tf_output.py: what goes out on /tf, mode by mode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tf2_msgs.msg import TFMessage
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from dsac_ros.geometry.planar import planar_correction
from dsac_ros.nodes import conversions
from dsac_ros.nodes.fix_queue import Fix
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.tf_output import TfOutput
from dsac_ros.nodes.transforms import Transforms
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.types import Localization, Result

BASE = conversions.matrix_from_xyz_rpy([1.0, 2.0, 0.1, 0.02, 0.0, 0.5])
ODOM_FROM_BASE = conversions.matrix_from_xyz_rpy([3.0, 0.0, 0.0, 0.0, 0.0, 1.0])


@pytest.fixture
def make_output(make_node, spin_until):
    node, listener = make_node('under_test'), make_node('listener')
    heard = []
    listener.create_subscription(TFMessage, '/tf', lambda m: heard.extend(m.transforms), 100)
    broadcaster = TransformBroadcaster(node)
    outputs = []

    def make(**changed):
        values = RelocalizerParameters(**changed)
        outputs.append(TfOutput(node, values, Transforms(node, {}), broadcaster))
        assert spin_until(lambda: broadcaster.pub_tf.get_subscription_count() >= 1)
        spin_until(lambda: False, 0.3)
        return outputs[-1], heard, node

    yield make
    for output in outputs:
        output.close()


def fix(node, odom_from_base=ODOM_FROM_BASE):
    now = node.get_clock().now().nanoseconds
    return Fix(
        NodeOutput(Localization(Result.ACCEPTED), now, 'camera', BASE, BASE), odom_from_base
    )


def take(output, fix):
    """Do with an accepted pose as the node does."""
    output.publish(fix.output)
    output.on_fix(fix)


def children(heard):
    return {t.child_frame_id for t in heard}


def test_map_odom_is_repeated_and_flat(make_output, spin_until):
    output, heard, node = make_output(tf_mode='map_odom', tf_rate=50.0, transform_tolerance=0.5)
    take(output, fix(node))
    assert spin_until(lambda: sum(t.child_frame_id == 'odom' for t in heard) > 5)
    sent = [t for t in heard if t.child_frame_id == 'odom'][-1]
    assert np.allclose(
        conversions.matrix_from_transform(sent.transform),
        planar_correction(BASE, ODOM_FROM_BASE),
    )
    ahead = stamp_ns(sent.header.stamp) - node.get_clock().now().nanoseconds
    assert 0 < ahead < 0.5e9


def test_map_base_goes_out_once_with_its_fix(make_output, spin_until):
    output, heard, node = make_output(tf_mode='map_base', two_d_mode=False, pose_tf_child='')
    answer = fix(node).output
    output.publish(answer)
    assert spin_until(lambda: heard)
    spin_until(lambda: False, 0.3)
    (sent,) = heard
    assert sent.child_frame_id == 'base_link'
    assert stamp_ns(sent.header.stamp) == answer.stamp
    assert np.allclose(conversions.matrix_from_transform(sent.transform), BASE)


@pytest.mark.parametrize(
    ('options', 'odom_from_base'),
    [
        ({'tf_mode': 'none'}, ODOM_FROM_BASE),
        ({'tf_mode': 'auto'}, ODOM_FROM_BASE),
        ({'tf_mode': 'map_odom'}, None),
    ],
)
def test_only_the_leaf_frame(make_output, spin_until, options, odom_from_base):
    """Mode none, mode auto while it still listens, and a robot without odometry."""
    output, heard, node = make_output(**options)
    take(output, fix(node, odom_from_base))
    assert spin_until(lambda: heard)
    spin_until(lambda: False, 0.3)
    assert children(heard) == {'dsac_base_link'}


def test_a_rival_silences_map_odom(make_output, make_node, spin_until):
    output, heard, node = make_output(tf_mode='map_odom', tf_rate=50.0)
    other_publisher = TransformBroadcaster(make_node('rival'))
    assert spin_until(lambda: other_publisher.pub_tf.get_subscription_count() >= 3)
    now = node.get_clock().now().nanoseconds
    other_publisher.sendTransform(conversions.transform_message('map', 'odom', now, np.eye(4)))
    assert spin_until(lambda: heard)
    spin_until(lambda: False, 0.2)
    heard.clear()
    take(output, fix(node))
    spin_until(lambda: False, 0.4)
    assert children(heard) == {'dsac_base_link'}


def test_a_static_rival_is_told_and_read(make_output, make_node, spin_until):
    output, heard, node = make_output(tf_mode='map_odom', tf_rate=50.0)
    assert output.problem == ''
    rival = StaticTransformBroadcaster(make_node('rival'))
    rival.sendTransform(conversions.transform_message('map', 'odom', 0, np.eye(4)))
    assert spin_until(lambda: 'map -> odom on /tf_static' in output.problem)
    take(output, fix(node))
    assert spin_until(lambda: heard)
    spin_until(lambda: False, 0.2)
    assert children(heard) == {'dsac_base_link'}


@pytest.mark.parametrize(('mode', 'told'), [('auto', 'no odom'), ('none', ''), ('map_base', '')])
def test_the_problem_of_odometry_matters_to_map_odom(make_node, mode, told):
    node = make_node('under_test')
    transforms = Transforms(node, {})
    output = TfOutput(
        node,
        RelocalizerParameters(tf_mode=mode),
        transforms,
        TransformBroadcaster(node),
        odometry_problem=lambda: 'no odom',
    )
    assert output.problem == told
    output.close()
    transforms.close()


def test_our_own_transforms_are_known_by_their_stamp(make_output):
    output, _, node = make_output(tf_mode='map_odom', transform_tolerance=0.5)
    now = node.get_clock().now().nanoseconds
    assert not output.is_own(now)
    take(output, fix(node))
    assert output.is_own(now) and not output.is_own(now + 10**10)
    output.reset()
    assert not output.is_own(now)


def test_a_jump_is_rejected_in_own_mode_only(make_output, make_node, spin_until):
    output, _, node = make_output(tf_mode='map_odom', max_jump=0.5)
    far = conversions.matrix_from_xyz_rpy([9.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    assert output.gates_fixes and output.on_fix(fix(node)) == ''
    assert 'max_jump' in output.on_fix(fix(node, far))
    output.values = RelocalizerParameters(tf_mode='map_odom', max_jump=0.0)
    assert not output.gates_fixes and output.on_fix(fix(node, far)) == ''
    output.values = RelocalizerParameters(tf_mode='map_odom', max_jump=0.5)
    rival = StaticTransformBroadcaster(make_node('rival'))
    rival.sendTransform(conversions.transform_message('map', 'odom', 0, np.eye(4)))
    assert spin_until(lambda: output.problem)
    assert not output.gates_fixes and output.on_fix(fix(node)) == ''


def test_smoothing_follows_the_robot_in_odometry(make_output, spin_until):
    output, heard, node = make_output(tf_mode='map_odom', tf_rate=50.0, smoothing_tau=0.3)
    take(output, fix(node))
    moved = BASE.copy()
    moved[0, 3] += 1.0
    later = fix(node)
    take(output, replace(later, output=replace(later.output, map_from_base=moved)))
    assert spin_until(lambda: len([t for t in heard if t.child_frame_id == 'odom']) > 30)
    way = [
        (conversions.matrix_from_transform(t.transform) @ ODOM_FROM_BASE)[0, 3]
        for t in heard
        if t.child_frame_id == 'odom'
    ]
    assert way == sorted(way) and way[0] < 1.2 and 1.5 < way[-1] < 2.0
