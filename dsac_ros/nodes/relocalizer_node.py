# SPDX-License-Identifier: Apache-2.0
"""dsac_relocalizer: localizes the robot from camera images."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

import numpy as np
from rclpy.timer import Timer
from tf2_ros import TransformBroadcaster

from dsac_ros.errors import DsacError
from dsac_ros.localizer import Localizer
from dsac_ros.nodes import lifecycle
from dsac_ros.nodes.assumptions import AssumptionLog
from dsac_ros.nodes.camera_subscriber import CameraSubscriber, StampedImage
from dsac_ros.nodes.conversions import matrix_from_xyz_rpy
from dsac_ros.nodes.debug_output import DebugOutput
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.map_in_use import MapInUse
from dsac_ros.nodes.publishers import Publishers
from dsac_ros.nodes.reason_log import ReasonLog
from dsac_ros.nodes.relocalization import NodeOutput, Relocalization
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.tf_output import TfOutput
from dsac_ros.nodes.transforms import Transforms
from dsac_ros.nodes.worker import Worker

CHECK_PERIOD_S = 0.2


class RelocalizerNode(lifecycle.ParameterNode[RelocalizerParameters]):
    """Callbacks keep the newest image; one worker thread processes it."""

    def __init__(self) -> None:
        self._relocalization: Relocalization | None = None
        self._worker: Worker[StampedImage] | None = None
        self._camera: CameraSubscriber | None = None
        self._watch: InputWatch | None = None
        self._checks: Timer | None = None
        self._debug: DebugOutput | None = None
        self._tf: TfOutput | None = None
        self._output_publishers: Publishers | None = None
        self._transforms: Transforms | None = None
        self._assumptions = AssumptionLog(self)
        self._reasons = ReasonLog(self)
        # Held while an output is published and while map or parameters are replaced.
        self._output_lock = threading.Lock()
        super().__init__('dsac_relocalizer', RelocalizerParameters)
        self._map = MapInUse(self, self.start, self._on_map_replaced)
        self._broadcaster = TransformBroadcaster(self)

    def prepare_start(self) -> None:
        """Load the map in the background; `configure` and `activate` follow."""
        try:
            self._map.preload(self.values)
        except DsacError as error:
            self.problem = str(error)
            self.get_logger().error(self.problem)

    def waiting_for(self) -> str:
        """Return why no image is processed."""
        if self._map.loading:
            return f'loading the map {self._map.loading}'
        is_idle = self.state == lifecycle.UNCONFIGURED
        return (is_idle and self._map.problem) or super().waiting_for()

    def configure(self) -> None:
        """Load the map, create the publishers."""
        self._map.configure(self.values)
        self._transforms = Transforms(self, frame_parameters(self.values))
        self._output_publishers = Publishers(self, self.values.map_frame)
        self._debug = DebugOutput(self, self.values.map_frame)

    def activate(self) -> None:
        """Create the subscriptions and start to process images."""
        self._output_publishers.reset()
        self._output_publishers.publish_map_info(
            self._map.localizer.map.header, self._map.path, self._now()
        )
        self._tf = TfOutput(self, self.values, self._transforms, self._broadcaster)
        self._worker = Worker(
            self._work, self._on_error, lambda: self.values.max_rate, self._map.warm_up
        )
        self._watch = InputWatch(self, self.values.input_timeout)
        self._camera = CameraSubscriber(
            self, self.values.image_transport, self._watch, self._worker.slot.put
        )
        self._relocalization = Relocalization(
            self._map.localizer,
            self.values,
            self._transforms,
            self._camera.is_rectified(self.values.rectified),
        )
        self._checks = self.create_timer(CHECK_PERIOD_S, self._check_age)
        self.get_logger().info(f'waiting for images on {self._camera.image_topic}')

    def deactivate(self) -> None:
        """Destroy the subscriptions, finish the current image, keep the map."""
        with self._output_lock:
            self._relocalization = None  # what the worker still finds is discarded
            if self._output_publishers is not None and self.context.ok():
                self._output_publishers.publish_localized(False)
        for part in (self._watch, self._camera, self._tf):
            if part is not None:
                part.close()
        if self._checks is not None:
            self.destroy_timer(self._checks)
        if self._worker is not None and not self._worker.stop():
            self.get_logger().warning('the current image takes too long; its result is discarded')
        self._worker = self._watch = self._camera = self._tf = self._checks = None

    def cleanup(self) -> None:
        """Release the map and destroy the publishers."""
        for part in (self._output_publishers, self._debug, self._transforms):
            if part is not None:
                part.close()
        self._output_publishers = self._debug = self._transforms = None
        self._map.release()

    def stop(self) -> None:
        """Deactivate, clean up and end the thread that loads maps."""
        super().stop()
        if not self._map.close():
            self.get_logger().warning('the map that is being loaded takes too long; not waiting')

    def apply(self, values: RelocalizerParameters, changed: frozenset[str]) -> None:
        """Apply changed parameters between two images."""
        self._map.apply(values, changed, self.is_starting)
        if self._relocalization is not None:
            with self._output_lock:
                self._relocalization.localizer = self._map.localizer
                self._relocalization.values = self._tf.values = values
                if values.map_alignment != self.values.map_alignment:
                    self._start_over()

    def _on_map_replaced(self, localizer: Localizer) -> None:
        """Answer by another map from now on."""
        with self._output_lock:
            if self._relocalization is not None:
                self._relocalization.localizer = localizer
                self._start_over()
            self._output_publishers.publish_map_info(
                localizer.map.header, self._map.path, self._now()
            )

    def _start_over(self) -> None:
        """Forget what was found in the previous reference frame."""
        self._tf.reset()
        self._output_publishers.reset()

    def _work(self, stamped_image: StampedImage) -> None:
        """Process one image in the worker thread."""
        relocalization, publishers, tf, worker, camera = (
            self._relocalization,
            self._output_publishers,
            self._tf,
            self._worker,
            self._camera,
        )
        if relocalization is None or worker is None or camera is None:
            return
        with self._map.inference_lock:
            values, localizer = relocalization.values, relocalization.localizer
            output = relocalization.process(stamped_image, self._now())
        with self._output_lock:
            if (
                relocalization is not self._relocalization  # deactivated meanwhile
                or relocalization.localizer.map is not localizer.map
                or relocalization.values.map_alignment != values.map_alignment
            ):
                return  # the pose refers to the previous frame
            publishers.publish_poses(output)
            if output.map_from_base is not None:
                tf.publish(output)
            publishers.publish_status(
                output,
                localizer.map.id,
                worker.slot.dropped + camera.missed.count,
                self._now(),
                values.localization_timeout,
            )
        self._log_output(output)
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
            self._reasons.warning(localization.result.name, localization.reason)

    def _on_error(self, stamped_image: StampedImage | None, error: Exception) -> None:
        """Log an error outside the localization; the node continues."""
        step = 'warm-up failed' if stamped_image is None else 'image not processed'
        self._reasons.error(step, f'{type(error).__name__}: {error}')

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


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return lifecycle.run(RelocalizerNode, args)


if __name__ == '__main__':
    sys.exit(main())
