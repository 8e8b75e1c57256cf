# SPDX-License-Identifier: Apache-2.0
"""dsac_relocalizer: images in; where the robot is, or why that is not known, out."""
from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
from tf2_ros import TransformBroadcaster

from dsac_ros.errors import ConfigError
from dsac_ros.map_file import read_header
from dsac_ros.nodes import lifecycle
from dsac_ros.nodes.assumptions import AssumptionLog
from dsac_ros.nodes.conversions import matrix_from_xyz_rpy
from dsac_ros.nodes.debug_output import DebugOutput
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.intake import Intake, Shot
from dsac_ros.nodes.outputs import Outputs
from dsac_ros.nodes.paths import user_path
from dsac_ros.nodes.relocalization import Answer, Relocalization, load_localizer
from dsac_ros.nodes.relocalizer_parameters import (
    ACCEPT,
    RANSAC,
    RELOCALIZER,
    accept_config,
    ransac_config,
)
from dsac_ros.nodes.tf_output import TfOutput
from dsac_ros.nodes.transforms import Transforms
from dsac_ros.nodes.worker import Worker

#: The parameters that the localizer is made of.
LOCALIZER_PARAMETERS = (*RANSAC.values(), *ACCEPT.values())
CHECK_PERIOD_S = 0.2


class RelocalizerNode(lifecycle.TableNode):
    """Callbacks put the newest image into a slot; one worker thread does everything else."""

    def __init__(self) -> None:
        self._engine: Relocalization | None = None
        self._worker: Worker | None = None
        self._intake: Intake | None = None
        self._tf: TfOutput | None = None
        self._outputs: Outputs | None = None
        self._transforms: Transforms | None = None
        self._localizer = None
        self._assumptions = AssumptionLog(self)
        # Held while an answer goes out and while what it is an answer to is exchanged.
        self._exchange = threading.Lock()
        super().__init__('dsac_relocalizer', RELOCALIZER)
        self._broadcaster = TransformBroadcaster(self)

    def configure(self) -> None:
        """Load the map, warm up, offer the topics."""
        if not self.values.map:
            raise ConfigError('parameter map is empty, expected a map file that `dsac map` wrote: '
                              'map:=/path/to/the.map')
        self._localizer = load_localizer(self.values.map, self.values)
        self._transforms = Transforms(self, frame_parameters(self.values))
        self._outputs = Outputs(self, self.values.map_frame)
        self._debug = DebugOutput(self, self.values.map_frame)
        self.get_logger().info(
            f'map {self.values.map} ({self._localizer.map.id}) on {self._localizer.device}')

    def activate(self) -> None:
        """Subscribe and begin to answer."""
        self._outputs.reset()
        self._outputs.publish_map_info(self._localizer.map.header, self.values.map, self._now())
        self._tf = TfOutput(self, self.values, self._transforms, self._broadcaster)
        self._worker = Worker(self._work, self._on_error, lambda: self.values.max_rate)
        self._watch = InputWatch(self, self.values.input_timeout)
        self._intake = Intake(self, self.values.image_transport, self._watch,
                              self._worker.slot.put)
        self._engine = Relocalization(self._localizer, self.values, self._transforms,
                                      self._intake.is_rectified(self.values.rectified))
        self._checks = self.create_timer(CHECK_PERIOD_S, self._check_age)
        self.get_logger().info(f'waiting for images on {self._intake.image_topic}')

    def deactivate(self) -> None:
        """Stop listening, finish the image at hand, keep the map."""
        if self._worker is None:
            return
        self._watch.close()
        self._intake.close()
        self.destroy_timer(self._checks)
        if not self._worker.stop():
            self.get_logger().warning('the image at hand takes long; its answer is dropped')
        self._tf.close()
        if self.context.ok():
            self._outputs.publish_localized(False)
        self._worker = self._intake = self._tf = self._engine = None

    def cleanup(self) -> None:
        """Let go of the map and the topics."""
        if self._outputs is None:
            return
        self._outputs.close()
        self._debug.close()
        self._transforms.close()
        self._outputs = self._transforms = self._localizer = None

    def apply(self, values: SimpleNamespace) -> None:
        """Take up changed parameters between two images; a map that cannot be loaded raises."""
        old = self.values
        if self._localizer is not None:
            if values.map != old.map:
                self._localizer = load_localizer(values.map, values)
                self._outputs.publish_map_info(self._localizer.map.header, values.map,
                                               self._now())
                self.get_logger().info(f'map {values.map} ({self._localizer.map.id})')
            elif any(getattr(values, n) != getattr(old, n) for n in LOCALIZER_PARAMETERS):
                self._localizer = self._localizer.with_settings(ransac_config(values),
                                                                accept_config(values))
        elif values.map != old.map:
            read_header(user_path(values.map))
            self.start_again()
        if self._engine is not None:
            with self._exchange:
                self._engine.localizer, self._engine.values = self._localizer, values
                self._tf.values = values
                if is_other_frame(values, old):
                    self._tf.forget()
                    self._outputs.reset()

    def _work(self, shot: Shot) -> None:
        """One image, in the worker thread."""
        engine, outputs, tf, worker = self._engine, self._outputs, self._tf, self._worker
        if engine is None or worker is None:
            return
        values, localizer = engine.values, engine.localizer
        answer = engine.answer(shot, self._now())
        with self._exchange:
            if is_other_frame(engine.values, values):
                return  # nobody can use a pose in the frame that was left
            outputs.publish_poses(answer)
            if answer.map_from_base is not None:
                tf.publish(answer)
            outputs.publish_status(answer, localizer.map.id, worker.slot.dropped, self._now(),
                                   values.localization_timeout)
        self._tell(answer)
        scene = np.eye(4)
        scene[:3, 3] = localizer.map.origin
        self._debug.publish(answer, matrix_from_xyz_rpy(values.map_alignment) @ scene,
                            values.debug_rate)

    def _tell(self, answer: Answer) -> None:
        """Log what was assumed, once, and why an image was refused, not for each one."""
        if answer.view is not None:
            self._assumptions.tell(answer.view[0].camera)
        localization = answer.localization
        if not localization.accepted:
            self.get_logger().warning(f'{localization.result.name}: {localization.reason}',
                                      throttle_duration_sec=5.0)

    def _on_error(self, shot: Shot, error: Exception) -> None:
        """A fault outside the localization, publishing say: the node lives on."""
        if self.context.ok():
            self.get_logger().error(f'image not answered: {type(error).__name__}: {error}',
                                    throttle_duration_sec=5.0)

    def _check_age(self) -> None:
        if not self._outputs.is_localized(self._now(), self.values.localization_timeout):
            self._outputs.publish_localized(False)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds


def frame_parameters(values: SimpleNamespace) -> dict[str, str]:
    """Frame -> the parameter that names it, for reasons."""
    return {frame: name for name in ('base_frame', 'odom_frame', 'map_frame')
            if (frame := getattr(values, name))}


def is_other_frame(values: SimpleNamespace, old: SimpleNamespace) -> bool:
    """Whether poses under these parameters are in another frame than under the old ones."""
    return (values.map, values.map_alignment) != (old.map, old.map_alignment)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to stop."""
    return lifecycle.run(RelocalizerNode, args)


if __name__ == '__main__':
    sys.exit(main())
