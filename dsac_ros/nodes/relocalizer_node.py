# SPDX-License-Identifier: Apache-2.0
"""dsac_relocalizer: localizes the robot from camera images."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

import numpy as np
from tf2_ros import TransformBroadcaster

from dsac_ros.errors import ConfigError
from dsac_ros.localizer import Localizer
from dsac_ros.map_file import read_header
from dsac_ros.nodes import lifecycle
from dsac_ros.nodes.assumptions import AssumptionLog
from dsac_ros.nodes.camera_subscriber import CameraSubscriber, StampedImage
from dsac_ros.nodes.conversions import matrix_from_xyz_rpy
from dsac_ros.nodes.debug_output import DebugOutput
from dsac_ros.nodes.divergence import divergence_from_tf
from dsac_ros.nodes.health import RelocalizerHealth
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.paths import user_path
from dsac_ros.nodes.publishers import Publishers
from dsac_ros.nodes.relocalization import NodeOutput, Relocalization, load_localizer
from dsac_ros.nodes.relocalizer_parameters import (
    ACCEPT,
    RANSAC,
    RelocalizerParameters,
    accept_config,
    ransac_config,
)
from dsac_ros.nodes.scene_output import SceneOutput
from dsac_ros.nodes.tf_output import TfOutput
from dsac_ros.nodes.transforms import Transforms
from dsac_ros.nodes.worker import Worker

#: Parameters that define the localizer.
LOCALIZER_PARAMETERS = (*RANSAC.values(), *ACCEPT.values())
CHECK_PERIOD_S = 0.2


class RelocalizerNode(lifecycle.ParameterNode[RelocalizerParameters]):
    """Callbacks keep the newest image; one worker thread processes it."""

    def __init__(self) -> None:
        self._relocalization: Relocalization | None = None
        self._worker: Worker[StampedImage] | None = None
        self._camera: CameraSubscriber | None = None
        self._tf: TfOutput | None = None
        self._output_publishers: Publishers | None = None
        self._transforms: Transforms | None = None
        self._localizer: Localizer | None = None
        self._assumptions = AssumptionLog(self)
        # Held while an output is published and while map or parameters are replaced.
        self._output_lock = threading.Lock()
        super().__init__('dsac_relocalizer', RelocalizerParameters)
        self._broadcaster = TransformBroadcaster(self)
        self._health = RelocalizerHealth(self)

    def configure(self) -> None:
        """Load the map, warm up, create the publishers."""
        if not self.values.map:
            raise ConfigError(
                'parameter map is empty, expected a map file that `dsac map` wrote: '
                'map:=/path/to/the.map'
            )
        self._localizer = load_localizer(self.values.map, self.values)
        self._health.use(self._localizer, self.values.map)
        self._transforms = Transforms(self, frame_parameters(self.values))
        self._output_publishers = Publishers(self, self.values.map_frame)
        self._debug = DebugOutput(self, self.values.map_frame)
        self._scene_output = SceneOutput(self, self.values.map_frame)
        self.get_logger().info(
            f'map {self.values.map} ({self._localizer.map.id}) on {self._localizer.device}'
        )

    def activate(self) -> None:
        """Create the subscriptions and start to process images."""
        self._output_publishers.reset()
        self._output_publishers.publish_map_info(
            self._localizer.map.header, self.values.map, self._now()
        )
        self._scene_output.show_map(self._localizer.map, self.values.map_alignment)
        self._tf = TfOutput(self, self.values, self._transforms, self._broadcaster)
        self._worker = Worker(self._work, self._on_error, lambda: self.values.max_rate)
        self._watch = InputWatch(self, self.values.input_timeout)
        self._camera = CameraSubscriber(
            self, self.values.image_transport, self._watch, self._receive
        )
        self._relocalization = Relocalization(
            self._localizer,
            self.values,
            self._transforms,
            self._camera.is_rectified(self.values.rectified),
        )
        self._health.activate(
            lambda: self._watch.reason,
            lambda: self._output_publishers.is_localized(
                self._now(), self.values.localization_timeout
            ),
            lambda: '',
        )
        self._checks = self.create_timer(CHECK_PERIOD_S, self._check_age)
        self.get_logger().info(f'waiting for images on {self._camera.image_topic}')

    def deactivate(self) -> None:
        """Destroy the subscriptions, finish the current image, keep the map."""
        if self._worker is None:
            return
        self._health.deactivate()
        self._watch.close()
        self._camera.close()
        self.destroy_timer(self._checks)
        if not self._worker.stop():
            self.get_logger().warning('the current image takes too long; its result is discarded')
        self._tf.close()
        if self.context.ok():
            self._output_publishers.publish_localized(False)
            self._scene_output.clear()
        self._worker = self._camera = self._tf = self._relocalization = None

    def cleanup(self) -> None:
        """Release the map and destroy the publishers."""
        if self._output_publishers is None:
            return
        self._output_publishers.close()
        self._debug.close()
        self._scene_output.close()
        self._transforms.close()
        self._output_publishers = self._transforms = self._localizer = None
        self._health.use(None)

    def apply(self, values: RelocalizerParameters) -> None:
        """Apply changed parameters between two images; a map that cannot be loaded raises."""
        old = self.values
        if self._localizer is not None:
            if values.map != old.map:
                self._localizer = load_localizer(values.map, values)
                self._output_publishers.publish_map_info(
                    self._localizer.map.header, values.map, self._now()
                )
                self.get_logger().info(f'map {values.map} ({self._localizer.map.id})')
            elif any(getattr(values, n) != getattr(old, n) for n in LOCALIZER_PARAMETERS):
                self._localizer = self._localizer.with_settings(
                    ransac_config(values), accept_config(values)
                )
        elif values.map != old.map:
            read_header(user_path(values.map))
            self.restart_autostart()
        if self._relocalization is not None:
            with self._output_lock:
                self._relocalization.localizer, self._relocalization.values = (
                    self._localizer,
                    values,
                )
                self._health.use(self._localizer, values.map)
                self._tf.values = values
                self._scene_output.show_map(self._localizer.map, values.map_alignment)
                if frame_changed(values, old):
                    self._tf.reset()
                    self._output_publishers.reset()

    def _receive(self, stamped_image: StampedImage) -> None:
        """Hand an image to the worker."""
        self._health.images.received(stamped_image.image, stamped_image.info, self._now())
        self._worker.slot.put(stamped_image)

    def _work(self, stamped_image: StampedImage) -> None:
        """Process one image in the worker thread."""
        relocalization, publishers, tf, worker = (
            self._relocalization,
            self._output_publishers,
            self._tf,
            self._worker,
        )
        if relocalization is None or worker is None:
            return
        values, localizer = relocalization.values, relocalization.localizer
        output = relocalization.process(stamped_image, self._now())
        with self._output_lock:
            if frame_changed(relocalization.values, values):
                return  # the pose refers to the previous frame
            publishers.publish_poses(output)
            if output.map_from_base is not None:
                tf.publish(output)
            status = publishers.publish_status(
                output,
                localizer.map.id,
                worker.slot.dropped,
                self._now(),
                values.localization_timeout,
                divergence_from_tf(output, self._transforms, values, tf.is_publishing),
            )
        self._health.answers.answered(status)
        self._log_output(output)
        self._scene_output.publish(output, relocalization)
        scene = np.eye(4)
        scene[:3, 3] = localizer.map.origin
        self._debug.publish(
            output, matrix_from_xyz_rpy(values.map_alignment) @ scene, values.debug_rate
        )

    def _log_output(self, output: NodeOutput) -> None:
        """Log assumptions, once each, and reasons of rejection, throttled."""
        if output.view is not None:
            self._assumptions.log(output.view.frame.camera)
        localization = output.localization
        if not localization.accepted:
            self.get_logger().warning(
                f'{localization.result.name}: {localization.reason}', throttle_duration_sec=5.0
            )

    def _on_error(self, stamped_image: StampedImage, error: Exception) -> None:
        """Log an error outside the localization; the node continues."""
        if self.context.ok():
            self.get_logger().error(
                f'image not processed: {type(error).__name__}: {error}', throttle_duration_sec=5.0
            )

    def _check_age(self) -> None:
        if not self._output_publishers.is_localized(self._now(), self.values.localization_timeout):
            self._output_publishers.publish_localized(False)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds


def frame_parameters(values: RelocalizerParameters) -> dict[str, str]:
    """Return frame -> name of the parameter that sets it, for reasons."""
    return {
        frame: name
        for name in ('base_frame', 'odom_frame', 'map_frame')
        if (frame := getattr(values, name))
    }


def frame_changed(values: RelocalizerParameters, old: RelocalizerParameters) -> bool:
    """Return whether the parameters define another reference frame of poses than before."""
    return (values.map, values.map_alignment) != (old.map, old.map_alignment)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return lifecycle.run(RelocalizerNode, args)


if __name__ == '__main__':
    sys.exit(main())
