# SPDX-License-Identifier: Apache-2.0
"""Two robots in one graph, each in its namespace with the same frames, as nav2 starts them."""

from __future__ import annotations

import sys

import pytest
from geometry_msgs.msg import PoseStamped
from robot import ACCEPT_ALL, BASE_FROM_CAMERA, LOOSE, camera_info, texture, untrained_map, yaml
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from dsac_ros.msg import RelocalizationStatus
from dsac_ros.nodes import conversions
from dsac_ros.nodes.launch_arguments import RELOCALIZER
from dsac_ros.sources.image_messages import stamp_ns

NAMES = ('r1', 'r2')
NODE = RELOCALIZER.name
REMAPPINGS = ('/tf:=tf', '/tf_static:=tf_static')


class Side:
    """One robot: its camera and transforms, and all that is said in its namespace."""

    def __init__(self, node, name):
        self.node, self.name = node, name
        self.images = node.create_publisher(Image, f'/{name}/image', LOOSE)
        self.infos = node.create_publisher(CameraInfo, f'/{name}/camera_info', LOOSE)
        self.tf = node.create_publisher(TFMessage, f'/{name}/tf', 100)
        self.heard = {}
        for kind, topic in (
            (RelocalizationStatus, f'/{name}/{NODE}/status'),
            (PoseStamped, f'/{name}/{NODE}/pose'),
            (TFMessage, f'/{name}/tf'),
        ):
            heard = self.heard[topic.rsplit('/', 1)[1]] = []
            node.create_subscription(kind, topic, heard.append, 100)

    def show(self, x):
        """Publish an image, and where the robot is in its own odometry."""
        stamp = self.node.get_clock().now().nanoseconds
        head = conversions.header('camera', stamp)
        base_from_camera = BASE_FROM_CAMERA.copy()
        base_from_camera[0, 3] = x  # each robot has its camera elsewhere
        self.tf.publish(
            TFMessage(
                transforms=[
                    conversions.transform_message(
                        'base_link', 'camera', stamp + shift, base_from_camera
                    )
                    for shift in (-(10**8), 0, 10**8)
                ]
            )
        )
        info = camera_info()
        info.header = head
        self.infos.publish(info)
        self.images.publish(conversions.image_message(texture(0), head))

    @property
    def leaf(self):
        return [
            t
            for message in self.heard['tf']
            for t in message.transforms
            if t.child_frame_id == 'dsac_base_link'
        ]


@pytest.fixture
def sides(make_node, run_process, spin_until, tmp_path):
    parameters = {**ACCEPT_ALL, 'map': str(untrained_map(tmp_path / 'x.map'))}
    processes = [
        run_process(
            [sys.executable, '-m', 'dsac_ros.cli.main', 'run', 'relocalizer', '--ros-args']
            + [w for key, value in parameters.items() for w in ('-p', f'{key}:={yaml(value)}')]
            + [w for rule in (*REMAPPINGS, f'__ns:=/{name}') for w in ('-r', rule)]
        )
        for name in NAMES
    ]
    node = make_node('robots')
    found = [Side(node, name) for name in NAMES]
    assert spin_until(
        lambda: (
            all(s.images.get_subscription_count() and s.tf.get_subscription_count() for s in found)
            and all(s.infos.get_subscription_count() for s in found)
        ),
        90.0,
    ), [process.output for process in processes]
    return found


def test_two_robots_do_not_hear_each_other(sides, spin_until):
    first, second = sides
    spin_until(lambda: False, 1.0)  # the outputs are known too
    assert spin_until(lambda: first.show(0.3) or first.heard['pose'], 60.0)
    spin_until(lambda: False, 1.0)
    assert not second.heard['status'] and not second.heard['pose'] and not second.leaf
    assert spin_until(lambda: second.show(7.3) or (second.heard['pose'] and second.leaf), 60.0)
    # one image, one map, another camera on the robot: seven metres between their bases
    a, b = (side.heard['pose'][0].pose.position for side in sides)
    away = ((a.x - b.x) ** 2 + (a.y - b.y) ** 2 + (a.z - b.z) ** 2) ** 0.5
    assert away == pytest.approx(7.0, abs=0.05)
    for side in sides:
        stamps = {stamp_ns(message.header.stamp) for message in side.heard['pose']}
        assert {stamp_ns(t.header.stamp) for t in side.leaf} <= stamps | {
            stamp_ns(message.header.stamp) for message in side.heard['status']
        }
    topics = dict(first.node.get_topic_names_and_types())
    ours = [t for t in topics if NODE in t or t.endswith(('/tf', '/tf_static', '/image'))]
    assert ours and all(topic.startswith(('/r1/', '/r2/')) for topic in ours), ours
