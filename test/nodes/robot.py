# SPDX-License-Identifier: Apache-2.0
"""A small robot for tests of nodes: a camera, a TF tree, and ears for what the node says."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import forked
import numpy as np
import rclpy
import torch
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Bool
from tf2_msgs.msg import TFMessage
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from dsac_ros.map_file import save_map
from dsac_ros.msg import MapInfo, RelocalizationStatus
from dsac_ros.network.encoder import load_encoder
from dsac_ros.network.head import Head, HeadConfig
from dsac_ros.network.scene_network import SceneNetwork
from dsac_ros.nodes import conversions
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.types import Camera
from embedded_ros.testing import RunningProcess, reserve_domain

CAMERA = Camera((128, 96), np.array([[110.0, 0, 63.5], [0, 110.0, 47.5], [0, 0, 1]]))
BASE_FROM_CAMERA = np.array([[0, 0, 1, 0.3], [-1, 0, 0, 0.1], [0, -1, 0, 0.8], [0, 0, 0, 1.0]])
# An untrained map agrees with nothing; with these every image has a pose nevertheless.
ACCEPT_ALL = {
    'min_inlier_ratio': 0.0,
    'min_inliers': 0,
    'min_spread': 0.0,
    'min_agreement': 0.0,
    'max_position_sigma': 0.0,
    'max_focal_error': 0.0,
    'min_agreeing_fixes': 1,
    'num_hypotheses': 64,
    'max_rate': 0.0,
    'max_image_age': 10.0,
}
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LOOSE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def untrained_map(path: Path, seed: int = 0) -> Path:
    """A map that nobody learned: good for everything but accuracy, made in no time."""
    torch.manual_seed(seed)
    encoder, encoder_id = load_encoder()
    network = SceneNetwork(encoder, Head(encoder.config.descriptor, HeadConfig(16, 1)), 2.5).eval()
    save_map(
        path,
        network,
        {
            'origin': [1.0, 2.0, 3.0],
            'encoder_id': encoder_id,
            'frames': 7,
            'short_side': 96,
            'network_focal_px': 80.0,
            'name': f'untrained {seed}',
            'map_frame': 'map',
        },
    )
    return path


def texture(seed: int) -> np.ndarray:
    """An image (96, 128) with something to see everywhere."""
    return np.random.default_rng(seed).integers(0, 255, (96, 128), dtype=np.uint8)


def camera_info(**fields) -> CameraInfo:
    """The camera_info of CAMERA."""
    return CameraInfo(
        **{
            **{
                'width': 128,
                'height': 96,
                'distortion_model': 'plumb_bob',
                'd': [0.0] * 5,
                'k': [float(v) for v in CAMERA.matrix.reshape(9)],
            },
            **fields,
        }
    )


class Robot:
    """Speaks and listens on a DDS domain of its own; the node under test is another process."""

    base_from_camera = BASE_FROM_CAMERA

    def __init__(
        self,
        node: str = 'relocalizer',
        namespace: str = '',
        remappings: tuple = (),
        transport: str = 'raw',
        **parameters,
    ) -> None:
        self.domain, self._reservation = reserve_domain()
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=self.domain)
        self.node = Node('robot', context=self.context, namespace=namespace)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard: dict[str, list] = {}
        self.me = f'dsac_{node}'
        kind, topic = (
            (Image, 'image') if transport == 'raw' else (CompressedImage, 'image/compressed')
        )
        self.images = self.node.create_publisher(kind, topic, LOOSE)
        self.infos = self.node.create_publisher(CameraInfo, 'camera_info', LOOSE)
        self.tf, self.static = (
            cls(self.node) for cls in (TransformBroadcaster, StaticTransformBroadcaster)
        )
        self.static.sendTransform(
            conversions.transform_message('base_link', 'camera', 0, self.base_from_camera)
        )
        self.listen(TFMessage, '/tf', 100)
        arguments = [
            word for name, value in parameters.items() for word in ('-p', f'{name}:={yaml(value)}')
        ]
        arguments += [word for rule in remappings for word in ('-r', rule)]
        if namespace:
            arguments += ['-r', f'__ns:=/{namespace}']
        run = ['-m', 'dsac_ros.cli.main', 'run', node]
        self._command = [sys.executable, *run, '--ros-args', *arguments]
        self.start()

    def start(self) -> None:
        """Start the node under test; again, where it has ended."""
        self.process = RunningProcess(
            self._command, launch=forked.launch, ROS_DOMAIN_ID=str(self.domain)
        )

    def close(self) -> None:
        """End everything.

        The robot leaves the graph first: it would wait a second for a dead node to acknowledge.
        """
        self.executor.remove_node(self.node)
        self.node.destroy_node()
        self.executor.shutdown()
        self.context.try_shutdown()
        self.process.kill()
        self._reservation.close()

    def listen(self, kind, topic: str, qos=10) -> list:
        """Collect the messages of a topic."""
        heard = self.heard.setdefault(topic, [])
        self.node.create_subscription(kind, topic, heard.append, qos)
        return heard

    def listen_to_relocalizer(self) -> None:
        """Collect everything that the relocalizer says."""
        for kind, topic in (
            (RelocalizationStatus, 'status'),
            (PoseStamped, 'pose'),
            (PoseStamped, 'camera_pose'),
            (PoseWithCovarianceStamped, 'pose_with_covariance'),
        ):
            self.listen(kind, f'{self.me}/{topic}')
        self.listen(MapInfo, f'{self.me}/map_info', LATCHED)
        self.listen(Bool, f'{self.me}/localized', LATCHED)

    def of(self, topic: str) -> list:
        """Messages that the node under test published on its topic."""
        return self.heard[f'{self.me}/{topic}']

    def spin(self, condition, timeout: float = 30.0) -> bool:
        """Spin until the condition holds; whether it does."""
        end = time.monotonic() + timeout
        while not condition() and (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=min(left, 0.02))
        return bool(condition())

    def wait_for_node(self, text: str = 'waiting for images') -> None:
        """Until the node is active and both sides know of each other."""
        self.process.wait_for(text, 90.0)
        assert self.spin(
            lambda: (
                self.images.get_subscription_count() > 0
                and self.infos.get_subscription_count() > 0
            )
        ), self.process.output

    def now(self) -> int:
        """The clock [ns]."""
        return self.node.get_clock().now().nanoseconds

    def show(self, image, info=None, stamp: int | None = None, frame_id: str = 'camera') -> int:
        """Publish camera_info and an image (an array or a message); the image's stamp [ns]."""
        stamp = self.now() if stamp is None else stamp
        head = conversions.header(frame_id, stamp)
        if info is not None:
            info.header = head
            self.infos.publish(info)
            self.spin(lambda: False, 0.1)
        if isinstance(image, np.ndarray):
            image = conversions.image_message(image, head)
        image.header = head
        self.images.publish(image)
        return stamp

    def answer_to(
        self, image, info=None, timeout: float = 30.0, **options
    ) -> RelocalizationStatus:
        """The status of an image; shown again when it was lost on the way (best effort)."""
        end = time.monotonic() + timeout
        stamps = []
        while time.monotonic() < end:
            stamps.append(self.show(image, info, **options))
            if self.spin(lambda: self.answers(stamps), 5.0):
                self.spin(lambda: False, 0.2)  # what else belongs to this image
                status = self.answers(stamps)[-1]
                if info is None or not status.reason.startswith('no camera_info on '):
                    return status  # else the first camera_info was lost on the way
        raise AssertionError(
            f'no status within {timeout} s; the node said:\n{self.process.output}'
        )

    def accepted(self) -> RelocalizationStatus:
        """The status of an accepted image; the first camera_info may be lost on the way."""
        for _ in range(5):
            status = self.answer_to(texture(1), camera_info())
            if status.result == RelocalizationStatus.ACCEPTED:
                return status
        raise AssertionError(f'not accepted: {status.reason}\n{self.process.output}')

    def answers(self, stamps: list[int]) -> list[RelocalizationStatus]:
        """The statuses of the images with these stamps."""
        return [m for m in self.of('status') if stamp_ns(m.header.stamp) in stamps]

    def call(self, kind, name: str, request):
        """The answer of a service."""
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(timeout_sec=20.0), f'no service {name}'
        future = client.call_async(request)
        assert self.spin(future.done, 40.0), f'{name} does not answer: {self.process.output}'
        self.node.destroy_client(client)
        return future.result()

    def set_parameter(self, name: str, value):
        """Set a parameter of the node under test; its SetParametersResult."""
        kinds = {
            bool: (1, 'bool_value'),
            int: (2, 'integer_value'),
            float: (3, 'double_value'),
            str: (4, 'string_value'),
            list: (8, 'double_array_value'),
        }
        kind, field = kinds[type(value)]
        parameter = Parameter(name=name, value=ParameterValue(type=kind, **{field: value}))
        return self.call(
            SetParameters,
            f'{self.me}/set_parameters',
            SetParameters.Request(parameters=[parameter]),
        ).results[0]

    def change_state(self, transition: int) -> bool:
        """Ask for a lifecycle transition; whether it was done."""
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, f'{self.me}/change_state', request).success

    def endpoints(self) -> list[tuple[str, int]]:
        """Topics of the node under test, each with the number of its subscriptions or publishers."""
        me = self.me, self.node.get_namespace()
        return [
            (name, sum((info.node_name, info.node_namespace) == me for info in infos(name)))
            for by_node, infos in (
                (
                    self.node.get_subscriber_names_and_types_by_node,
                    self.node.get_subscriptions_info_by_topic,
                ),
                (
                    self.node.get_publisher_names_and_types_by_node,
                    self.node.get_publishers_info_by_topic,
                ),
            )
            for name, _ in sorted(by_node(*me))
        ]

    def transforms(self, child: str) -> list:
        """Transforms to a frame heard on /tf."""
        return [
            t
            for message in self.heard['/tf']
            for t in message.transforms
            if t.child_frame_id == child
        ]


def yaml(value) -> str:
    """A parameter for the command line, with its type."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else repr(value)
