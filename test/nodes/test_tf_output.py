# SPDX-License-Identifier: Apache-2.0
"""nodes/tf_output.py: what goes out on /tf, mode by mode."""

from __future__ import annotations

import numpy as np
import pytest
from tf2_msgs.msg import TFMessage
from tf2_ros import TransformBroadcaster

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
