# SPDX-License-Identifier: Apache-2.0
"""The TF of a bag without the map -> odom of its localizer: the rule, and the node over DDS."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from dsac_ros.nodes.conversions import matrix_from_transform, transform_message
from dsac_ros.nodes.tf_rules import ACTIONS, TfRule, Verdict

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
MAP_FROM_ODOM = np.array([[0, -1, 0, 2.0], [1, 0, 0, 3.0], [0, 0, 1, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ('rule', 'parent', 'child', 'expected'),
    [
        (TfRule(), 'map', 'odom', Verdict.DROP),
        (TfRule(), '/map', '/odom', Verdict.DROP),
        (TfRule('rename'), 'map', 'odom', Verdict.INVERT),
        (TfRule('keep'), 'map', 'odom', Verdict.PASS),
        (TfRule(), 'odom', 'base_link', Verdict.PASS),
        (TfRule(), 'map', 'base_link', Verdict.PASS),
        (TfRule(), 'earth', 'map', Verdict.PASS),
        (TfRule(map_frame='hall', odom_frame='wheels'), 'hall', 'wheels', Verdict.DROP),
        (TfRule(map_frame='hall', odom_frame='wheels'), 'map', 'odom', Verdict.PASS),
        (TfRule(), 'map', 'dsac_base_link', Verdict.DROP),
        (TfRule('keep'), 'map', 'dsac_base_link', Verdict.DROP),
        (TfRule(leaf_frame=''), 'map', 'dsac_base_link', Verdict.PASS),
    ],
)
def test_one_node_is_left_for_each_edge(rule, parent, child, expected):
    assert rule.verdict(parent, child) is expected


@pytest.fixture
def replay(make_node, spin_until, run_process):
    """Start the filter, publish on the bag's topics, and return the transforms handed on."""

    def play(messages, static=(), *arguments):
        process = run_process(
            [sys.executable, '-m', 'dsac_ros.cli.main', 'run', 'tf_filter', '--ros-args']
            + [word for argument in arguments for word in ('-p', argument)]
            + ['-p', 'leaf_frame:=leaf']
        )
        player, heard = make_node('player'), {'/tf': [], '/tf_static': []}
        player.create_subscription(
            TFMessage, '/tf', lambda m: heard['/tf'].extend(m.transforms), 100
        )
        player.create_subscription(
            TFMessage, '/tf_static', lambda m: heard['/tf_static'].extend(m.transforms), LATCHED
        )
        publishers = [
            player.create_publisher(TFMessage, topic, qos)
            for topic, qos in (('tf_bag', 100), ('tf_static_bag', LATCHED))
        ]
        assert spin_until(
            lambda: (
                all(p.get_subscription_count() for p in publishers)
                and all(player.count_publishers(topic) for topic in heard)
            ),
            60.0,
        ), process.output
        publishers[1].publish(TFMessage(transforms=list(static)))
        for message in messages:
            publishers[0].publish(TFMessage(transforms=message))
        last = messages[-1][-1].child_frame_id
        assert spin_until(
            lambda: (
                any(t.child_frame_id == last for t in heard['/tf'])
                and (heard['/tf_static'] or not static)
            )
        ), process.output
        return heard, process

    return play


def edges(transforms):
    return [(t.header.frame_id, t.child_frame_id) for t in transforms]


ODOMETRY = transform_message('odom', 'base_link', 7, np.eye(4))


def test_the_map_frame_of_the_bag_is_left_out(replay):
    localizer = transform_message('map', 'odom', 5, MAP_FROM_ODOM)
    camera = transform_message('base_link', 'camera', 0, np.eye(4))
    heard, process = replay([[localizer], [localizer, ODOMETRY]], [camera])
    assert edges(heard['/tf']) == [('odom', 'base_link')]
    assert edges(heard['/tf_static']) == [('base_link', 'camera')]
    assert heard['/tf'][0] == ODOMETRY
    assert process.output.count('map -> odom of the bag is left out') == 1


def test_the_map_frame_of_the_bag_as_reference(replay):
    localizer = transform_message('map', 'odom', 5_000_000_007, MAP_FROM_ODOM)
    broken = TransformStamped(child_frame_id='odom')
    broken.header.frame_id = 'map'
    broken.transform.rotation.w = float('nan')
    heard, process = replay([[broken], [localizer], [ODOMETRY]], [], 'map_odom:=rename')
    assert edges(heard['/tf']) == [('odom', 'map_gt'), ('odom', 'base_link')]
    inverse = matrix_from_transform(heard['/tf'][0].transform)
    np.testing.assert_allclose(inverse @ MAP_FROM_ODOM, np.eye(4), atol=1e-12)
    assert heard['/tf'][0].header.stamp == localizer.header.stamp
    assert 'map -> odom: ' in process.output  # the broken one, told


def test_an_unknown_action_is_one_line(run_process):
    process = run_process(
        [sys.executable, '-m', 'dsac_ros.cli.main', 'run', 'tf_filter']
        + ['--ros-args', '-p', 'map_odom:=turn']
    )
    assert process.wait(60.0) == 1
    assert f"map_odom is 'turn', expected one of {', '.join(ACTIONS)}" in process.output
    assert 'Traceback' not in process.output
