# SPDX-License-Identifier: Apache-2.0
"""Listens to a ROS graph for some seconds as a relocalizer would; reports what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from dsac_ros.nodes.camera_subscriber import SENSOR
from dsac_ros.nodes.conversions import image_from_message
from dsac_ros.nodes.doctor.camera import CameraRecord, camera_findings, focal_finding
from dsac_ros.nodes.doctor.choice import choose_camera
from dsac_ros.nodes.doctor.finding import Finding, fail, ok, warn
from dsac_ros.nodes.doctor.tf import Frames, TfRecord, tf_findings
from dsac_ros.nodes.input_watch import publishers_of, publishers_on_graph
from dsac_ros.nodes.missing_inputs import (
    COMPRESSED_IMAGE,
    IMAGE,
    Input,
    Publisher,
    explain,
    incompatible,
    mixed,
    remapping_of,
)
from dsac_ros.nodes.qos_events import NO_QOS_WARNINGS
from dsac_ros.nodes.tf_edges import TfEdges
from dsac_ros.sources.image_messages import stamp_ns

INFO = 'sensor_msgs/msg/CameraInfo'
TF = 'tf2_msgs/msg/TFMessage'
CACHE_S = 60.0
#: Time in which nodes find each other [s].
DISCOVERY_S = 1.5
LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELOCALIZER = 'dsac_relocalizer'


class GraphProbe:
    """Subscriptions of a relocalizer that only counts what arrives."""

    def __init__(
        self, node: Node, image: str | None, info: str | None, wait: Callable[[float], None]
    ) -> None:
        """Find the camera and subscribe.

        Args:
            node: asks the graph; its remappings apply.
            image: image topic; None: that of a running relocalizer, or the likeliest.
            info: camera_info topic; None: the one beside the images.
            wait: serves the callbacks for so many seconds.
        """
        self._node = node
        self.edges = TfEdges(CACHE_S, node.resolve_topic_name('/tf_static'))
        self.lateness_s: dict[str, list[float]] = {}
        self._subscribe_to_tf()
        wait(DISCOVERY_S)
        self.has_clock = node.count_publishers('/clock') > 0
        if self.has_clock:
            node.set_parameters([Parameter('use_sim_time', value=True)])
        self.images, self.infos = self._inputs(image, info)
        self.record = CameraRecord(self.images.topic, self.infos.topic)
        kind = CompressedImage if self.images.kind == COMPRESSED_IMAGE else Image
        node.create_subscription(kind, self.images.topic, self._on_image, SENSOR)
        node.create_subscription(CameraInfo, self.infos.topic, self._on_info, SENSOR)
        if any(p.latched for p in publishers_of(node, self.infos.topic)):
            node.create_subscription(
                CameraInfo,
                self.infos.topic,
                self._on_info,
                QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),
                event_callbacks=NO_QOS_WARNINGS,
            )

    def findings(self, frames: Frames, header: dict[str, Any] | None = None) -> list[Finding]:
        """Return what was found since the start.

        Args:
            frames: names of the frames; an empty camera is that of the images.
            header: of a map, to compare the camera with; None or {} for none.
        """
        self._explain()
        found, camera = camera_findings(self.record, image_from_message)
        if header and camera is not None:
            found.append(focal_finding(camera, header))
        if self.record.image is not None and not frames.camera:
            frames = replace(frames, camera=self.record.image.header.frame_id)
        return [
            *found,
            *self._arguments(),
            *self._tf_findings(frames),
            self._clock(),
            *self._consumers(),
        ]

    def _inputs(self, image: str | None, info: str | None) -> tuple[Input, Input]:
        """Return the inputs that a relocalizer would have."""
        anywhere = [Input('', '', '', kind) for kind in (IMAGE, COMPRESSED_IMAGE, INFO)]
        publishers = publishers_on_graph(self._node, anywhere)
        default = self._subscribed() or (self._node.resolve_topic_name('image'), IMAGE)
        camera = choose_camera(
            publishers,
            image or self._remapped('image'),
            info or self._remapped('camera_info'),
            default,
        )
        return (
            Input('images', 'image', camera.image, camera.kind, _other_transport(camera.kind)),
            Input('camera_info', 'camera_info', camera.info, INFO, beside=camera.image),
        )

    def _remapped(self, topic: str) -> str | None:
        """Return the name that a remapping gives a topic; None without one."""
        name = self._node.resolve_topic_name(topic)
        return None if name == self._node.resolve_topic_name(topic, only_expand=True) else name

    def _subscribed(self) -> tuple[str, str] | None:
        """Return the image topic and type of a relocalizer that runs; None if none does."""
        for name, namespace in self._node.get_node_names_and_namespaces():
            if name != RELOCALIZER:
                continue
            for topic, kinds in self._node.get_subscriber_names_and_types_by_node(name, namespace):
                if kinds and kinds[0] in (IMAGE, COMPRESSED_IMAGE):
                    return topic, kinds[0]
        return None

    def _subscribe_to_tf(self) -> None:
        def listen(is_static: bool) -> Callable[[TFMessage], None]:
            return lambda message: self._on_tf(message, is_static)

        node = self._node
        node.create_subscription(TFMessage, '/tf', listen(False), QoSProfile(depth=100))
        node.create_subscription(TFMessage, '/tf_static', listen(True), LATCHED)

    def _on_tf(self, message: TFMessage, is_static: bool) -> None:
        now = time.monotonic()
        for one in message.transforms:
            stamp = stamp_ns(one.header.stamp)
            self.edges.add(one.header.frame_id, one.child_frame_id, stamp, is_static, now)
            if not is_static and (clock := self._now()):
                late = self.lateness_s.setdefault(one.child_frame_id.lstrip('/'), [])
                late.append((clock - stamp) / 1e9)

    def _on_info(self, info: CameraInfo) -> None:
        self.record.info = info

    def _on_image(self, image: Any) -> None:
        self.record.image = image
        stamp = stamp_ns(image.header.stamp)
        self.record.stamps.append(stamp)
        if now := self._now():
            self.record.ages_s.append((now - stamp) / 1e9)

    def _now(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _explain(self) -> None:
        """Ask the graph for the reason of what did not arrive, in the words of the nodes."""
        inputs = (self.images, self.infos)
        known = publishers_on_graph(self._node, inputs)
        record = self.record
        for wanted, other, name in (
            (self.images, self.infos, 'missing_images'),
            (self.infos, self.images, 'missing_info'),
        ):
            reason = explain(wanted, [p for p in known if p.topic != other.topic])
            setattr(record, name, f'no {wanted.what} on {wanted.topic}: {reason}')
        record.mixed = mixed(self.images, known) or mixed(self.infos, known)

    def _tf_findings(self, frames: Frames) -> list[Finding]:
        found = []
        publishers: list[Publisher] = []
        for topic, latched in (('/tf', False), ('/tf_static', True)):
            name = self._node.resolve_topic_name(topic)
            here = publishers_of(self._node, name)
            wanted = Input(
                'transforms', topic, name, TF, reliable=True, latched=latched, shared=True
            )
            if fault := incompatible(wanted, here):
                found.append(fail('TF', f'{name}: {fault}'))
            publishers += here
        nodes = tuple(dict.fromkeys(p.node for p in publishers if p.node))
        stamp = self.record.stamps[-1] if self.record.stamps else self._now()
        record = TfRecord(self.edges, stamp, time.monotonic(), self.lateness_s, nodes)
        return found + tf_findings(record, frames)

    def _arguments(self) -> list[Finding]:
        """Tell with which arguments a node reads the camera that was chosen."""
        if self.record.image is None:
            return []
        image = remapping_of(self.images.topic, self.images.kind)
        words = [f'image:={image}', f'camera_info:={self.infos.topic}']
        if self.images.kind == COMPRESSED_IMAGE:
            words.append('image_transport:=compressed')
        return [ok('arguments', ' '.join(words))]

    def _clock(self) -> Finding:
        subject = 'clock'
        if not self.has_clock:
            return ok(subject, 'computer time (nobody publishes /clock)')
        if not self._now():
            return fail(
                subject,
                '/clock has a publisher that sends nothing: is the simulation or the bag paused?',
            )
        return ok(subject, 'simulated time on /clock: all nodes need use_sim_time:=true')

    def _consumers(self) -> list[Finding]:
        """Tell who would be seeded after a kidnap."""
        topic = self._node.resolve_topic_name('initialpose')
        nodes = sorted(
            {info.node_name for info in self._node.get_subscriptions_info_by_topic(topic)}
        )
        if nodes:
            return [ok('recovery', f'{topic} is read by {", ".join(nodes)}')]
        return [
            warn(
                'recovery',
                f'nobody reads {topic}: a kidnap can be told and not mended; start AMCL or SLAM, '
                'or remap initialpose (set_pose of an EKF)',
            )
        ]


def _other_transport(kind: str) -> dict[str, str]:
    other = {IMAGE: (COMPRESSED_IMAGE, 'compressed'), COMPRESSED_IMAGE: (IMAGE, 'raw')}[kind]
    return {other[0]: f'image_transport:={other[1]}'}


def listen(
    node: Node,
    image: str | None,
    info: str | None,
    seconds: float,
    frames: Frames,
    header: dict[str, Any] | None = None,
) -> list[Finding]:
    """Listen to the graph of a node and return the findings.

    Args:
        node: of a context that is initialized.
        image: image topic; None to choose.
        info: camera_info topic; None to choose.
        seconds: time to listen after nodes have found each other.
        frames: names of the frames.
        header: of a map, to compare the camera with.
    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def wait(duration_s: float) -> None:
        end = time.monotonic() + duration_s
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)

    try:
        probe = GraphProbe(node, image, info, wait)
        wait(seconds)
        return probe.findings(frames, header)
    finally:
        executor.shutdown()
