# SPDX-License-Identifier: Apache-2.0
"""The way of an image through an active relocalizer: camera, pose, odometry, TF, recovery, status.

Callbacks of the executor keep the newest image of each camera; one worker thread makes its pose.
An accepted pose waits in a queue until odometry at its stamp is known, then it corrects
map -> odom, becomes evidence of the recovery, and its status is published.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
from tf2_ros import TransformBroadcaster

from dsac_ros.errors import DsacError
from dsac_ros.nodes.answering_map import answering_system
from dsac_ros.nodes.assumptions import AssumptionLog
from dsac_ros.nodes.camera_setup import CameraSetup
from dsac_ros.nodes.camera_slot import CameraSlot
from dsac_ros.nodes.camera_subscriber import CameraSubscriber, StampedImage
from dsac_ros.nodes.clock_jumps import ClockJumps
from dsac_ros.nodes.debug_output import DebugOutput
from dsac_ros.nodes.divergence import divergence
from dsac_ros.nodes.fix_queue import Fix, FixQueue
from dsac_ros.nodes.health import RelocalizerHealth
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.lifecycle import ParameterNode
from dsac_ros.nodes.map_in_use import MapInUse
from dsac_ros.nodes.odometry import Odometry
from dsac_ros.nodes.publishers import Publishers
from dsac_ros.nodes.reason_log import ReasonLog
from dsac_ros.nodes.reconsidered import jump_rejected, out_of_map, voided
from dsac_ros.nodes.recovery_driver import RecoveryDriver
from dsac_ros.nodes.relocalization import NodeOutput, Relocalization
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.rig_evidence import RigEvidence
from dsac_ros.nodes.scene_output import SceneOutput, shifted
from dsac_ros.nodes.startup_report import StartupReport
from dsac_ros.nodes.tf_output import TfOutput
from dsac_ros.nodes.transforms import Transforms
from dsac_ros.nodes.worker import Worker
from dsac_ros.recovery.state import Condition
from dsac_ros.systems.system import System


@dataclass(frozen=True)
class Equipment:
    """Possessions of a configured node, active or not."""

    map: MapInUse
    transforms: Transforms
    broadcaster: TransformBroadcaster
    publishers: Publishers
    debug: DebugOutput
    scene: SceneOutput
    health: RelocalizerHealth
    assumptions: AssumptionLog
    reasons: ReasonLog
    cameras: tuple[CameraSetup, ...]


class Pipeline:
    """Lives from activation to deactivation."""

    def __init__(self, node: ParameterNode[RelocalizerParameters], equipment: Equipment) -> None:
        """Create the subscriptions and start to process images.

        Raises:
            DsacError: a camera cannot be subscribed to; nothing is left behind.
        """
        values, transforms = node.values, equipment.transforms
        self._node, self._equipment = node, equipment
        # Held while an output is published and while map or parameters are replaced.
        self._lock = threading.Lock()
        self.is_enabled = True
        # Counts what voids the results of images that are being processed.
        self._epoch, self._is_open = 0, True
        equipment.publishers.reset()
        self._relocalization = Relocalization(equipment.map.localizer, values, transforms)
        self._tf = TfOutput(
            node,
            values,
            transforms,
            equipment.broadcaster,
            odometry_problem=lambda: self._fixes.problem,
        )
        self._fixes = FixQueue(
            node,
            transforms,
            values,
            self._on_fix,
            self._on_dropped,
            complete=self._relocalization.with_base,
            is_own=self._tf.is_own,
        )
        self._odometry = Odometry(node, transforms, values)
        self._rig = RigEvidence(self._odometry)
        self._watch = InputWatch(node, values.input_timeout)
        self._startup = StartupReport(node, transforms.edges, values)
        self.recovery = RecoveryDriver(
            node,
            values,
            transforms,
            lambda: self._tf.is_own(self._now()),
            lambda: self._watch.reason,
            equipment.publishers.publish_condition,
        )
        self._worker: Worker[StampedImage] = Worker(
            self._work,
            self._on_error,
            lambda: self._relocalization.values.max_rate,
            equipment.map.warm_up,
            CameraSlot(lambda stamped_image: stamped_image.camera),
        )
        self._jumps = ClockJumps(node, transforms, self._on_clock_jump)
        self._cameras: list[CameraSubscriber] = []
        equipment.health.activate(
            lambda: self._watch.reason,
            lambda: self.recovery.condition is Condition.LOCALIZED,
            lambda: self._tf.problem,
        )
        try:
            for setup in equipment.cameras:
                self._cameras.append(
                    CameraSubscriber(
                        node, values.image_transport, self._watch, self._on_image, setup
                    )
                )
        except DsacError:
            self.close()
            raise

    @property
    def image_topics(self) -> list[str]:
        """Full names of the topics of all cameras."""
        return [camera.image_topic for camera in self._cameras]

    def close(self) -> None:
        """Destroy the subscriptions, finish the current image."""
        with self._lock:
            self._is_open = False
            self._epoch += 1
        self._jumps.close()
        self.recovery.close()
        if self._node.context.ok():
            self._equipment.publishers.publish_condition(Condition.LOST)
            self._equipment.scene.clear()
        self._equipment.health.deactivate()
        for part in (self._watch, self._startup, *self._cameras, self._tf, self._fixes):
            part.close()
        if not self._worker.stop():
            self._node.get_logger().warning(
                'the current image takes too long; its result is discarded'
            )

    def apply(self, values: RelocalizerParameters) -> None:
        """Go on with changed parameters."""
        with self._lock:
            before = self._relocalization.values
            is_moved = values.map_alignment != before.map_alignment
            self._relocalization.localizer = self._equipment.map.localizer
            self._set_values(replace(values, map_frame=before.map_frame))
            if is_moved:
                self._forget('parameter map_alignment changed')

    def _set_values(self, values: RelocalizerParameters) -> None:
        self._relocalization.values = self._tf.values = self._fixes.values = (
            self._odometry.values
        ) = values
        self.recovery.apply(values)

    def _enter(self, map_frame: str) -> int:
        """Go on in the frame of an accepted pose, of another floor perhaps; return the epoch.

        What was known in the frame before says nothing here.
        """
        values = self._relocalization.values
        if map_frame != values.map_frame:
            self._node.get_logger().info(f'the robot is in frame {map_frame} now')
            self._forget(f'the robot came from frame {values.map_frame} to {map_frame}')
            self._set_values(replace(values, map_frame=map_frame))
        return self._epoch

    def use(self, localizer: System) -> None:
        """Answer by another map from now on."""
        with self._lock:
            self._relocalization.localizer = localizer
            self._set_values(
                replace(self._relocalization.values, map_frame=self._node.values.map_frame)
            )
            self._forget('another map is in use')

    def forget(self, reason: str) -> None:
        """Forget evidence, counters and map -> odom."""
        with self._lock:
            self._forget(reason)

    def _on_clock_jump(self) -> None:
        """Forget all that carries a stamp: it belongs to another run of the clock."""
        with self._lock:
            self._equipment.transforms.reset()
            self._relocalization.forget_stamps()
            self._forget('time jumped back')

    def _forget(self, reason: str) -> None:
        self._epoch += 1
        self._fixes.clear(reason)
        self._rig = RigEvidence(self._odometry)  # another one: the worker may be using this
        self._tf.reset()
        self._equipment.publishers.reset()
        self.recovery.reset(reason)

    def _on_image(self, stamped_image: StampedImage) -> None:
        """Keep the newest image of each camera; called in the executor."""
        if self.is_enabled:
            self._equipment.health.images.received(
                stamped_image.image, stamped_image.info, self._now()
            )
            self._jumps.image(stamped_image.image.header)
            self._worker.slot.put(stamped_image)

    def _work(self, stamped_image: StampedImage) -> None:
        """Make the pose of one image; called by the worker."""
        relocalization, epoch = self._relocalization, self._epoch
        with self._equipment.map.inference_lock:
            values, localizer = relocalization.values, relocalization.localizer
            output = relocalization.process(stamped_image, self._now())
            if output.localization.accepted and not self.recovery.is_expected(output):
                output = relocalization.without_twin(output)
            answering = answering_system(localizer, output.localization)
        with self._lock:
            if not self._is_open:
                return
            if self._epoch != epoch:  # another map, or time jumped back meanwhile
                output = voided(output)
            if output.localization.accepted:
                epoch = self._enter(output.map_frame)
                if not (output.lacks_base or self._tf.gates_fixes):
                    output = self._publish_poses(output)
                self._fixes.put(replace(output, view=None))
            else:
                self._refuse(output)
        if not output.localization.accepted:
            self._collect(output, epoch)
        self._startup.saw(output.camera_frame)
        self._log(output)
        self._equipment.scene.publish(output, relocalization)
        map_from_scene = relocalization.map_from_world @ shifted(np.asarray(answering.map.origin))
        self._equipment.debug.publish(output, map_from_scene, values.debug_rate)

    def _collect(self, output: NodeOutput, epoch: int) -> None:
        """Look for a pose that several refused images have together; called by the worker."""
        with self._equipment.map.inference_lock:
            found = self._rig.add(output, self._relocalization, self.recovery.config)
        with self._lock:
            if found is not None and self._epoch == epoch:
                self.recovery.on_rig(found)

    def _on_fix(self, fix: Fix) -> None:
        """Take an accepted pose and its odometry; called in the executor."""
        with self._lock:
            if not self._is_open:
                return
            reason = self._tf.on_fix(fix)
            self.recovery.on_fix(fix)  # a pose that is JUMP_REJECTED is evidence, too
            output = jump_rejected(fix.output, reason) if reason else fix.output
            if output.localization.accepted and not output.published:
                self._publish_poses(output)
            self._publish_status(output, divergence(output.map_from_base, fix.tf_map_from_base))
        if reason:
            self._log(output)

    def _on_dropped(self, output: NodeOutput, reason: str) -> None:
        """Publish the result of an image whose base TF did not tell in time."""
        if output.localization.accepted:
            return
        with self._lock:
            if not self._is_open:
                return
            self._refuse(output)
        self._log(output)

    def _publish_poses(self, output: NodeOutput) -> NodeOutput:
        self._equipment.publishers.publish_poses(output)
        self._tf.publish(output)
        return replace(output, published=True)

    def _refuse(self, output: NodeOutput) -> None:
        """Publish that an image has no accepted pose."""
        self._equipment.publishers.publish_poses(output)  # of the camera, if only TF is missing
        self.recovery.on_refused(output)
        self._publish_status(out_of_map(output) if self.recovery.state.place_unknown else output)

    def _publish_status(
        self, output: NodeOutput, apart: tuple[float, float] = divergence(None, None)
    ) -> None:
        condition, state = self.recovery.condition, self.recovery.state
        doubt = '' if condition is Condition.LOCALIZED else state.reason
        status = self._equipment.publishers.publish_status(
            output,
            self._relocalization.localizer.map.id,
            self._worker.slot.dropped + sum(camera.missed.count for camera in self._cameras),
            self._now(),
            condition,
            state.attempts,
            self._tf.problem or doubt,
            apart,
        )
        self._equipment.health.answers.answered(status)

    def _log(self, output: NodeOutput) -> None:
        """Log assumptions, once each, and reasons of rejection, throttled."""
        if output.view is not None:
            self._equipment.assumptions.log(output.view.frame.camera)
        localization = output.localization
        if not localization.accepted:
            self._equipment.reasons.warning(localization.result.name, localization.reason)

    def _on_error(self, stamped_image: StampedImage | None, error: Exception) -> None:
        """Log an error outside the localization; the node continues."""
        step = 'warm-up failed' if stamped_image is None else 'image not processed'
        self._equipment.reasons.error(step, f'{type(error).__name__}: {error}')

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)
