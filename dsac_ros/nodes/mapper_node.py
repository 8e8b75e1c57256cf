# SPDX-License-Identifier: Apache-2.0
"""dsac_mapper: records posed keyframes of a drive and trains a map on them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from rclpy.clock import Clock, ClockType

from dsac_ros.errors import MappingError
from dsac_ros.nodes import conversions, lifecycle
from dsac_ros.nodes.assumptions import AssumptionLog
from dsac_ros.nodes.camera_setup import CameraSetup, camera_setup, image_mask
from dsac_ros.nodes.camera_subscriber import (
    CameraSubscriber,
    StampedImage,
    image_topic,
)
from dsac_ros.nodes.clock_jumps import ClockJumps
from dsac_ros.nodes.executor_wait import ExecutorWait
from dsac_ros.nodes.images_beside import ImageBuffer, ImagesBeside
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.map_offer import MapOffer
from dsac_ros.nodes.map_training import MapTraining
from dsac_ros.nodes.mapper_health import MapperHealth
from dsac_ros.nodes.mapper_outputs import MapperOutputs
from dsac_ros.nodes.mapper_parameters import MapperParameters, check, training_options
from dsac_ros.nodes.mapper_services import create_services
from dsac_ros.nodes.mapping_status import status_message
from dsac_ros.nodes.overridable_qos import warn_of_unused_overrides
from dsac_ros.nodes.paths import user_path
from dsac_ros.nodes.pose_source import PoseSource
from dsac_ros.nodes.recorder import Keyframe, Recorder
from dsac_ros.nodes.training import GRACE_S
from dsac_ros.nodes.transforms import Transforms
from dsac_ros.sources.folder import count_frames
from dsac_ros.sources.folder_contents import set_aside

MIN_KEYFRAMES = 10
STATUS_PERIOD_S = 1.0
#: Time that the images still queued have to be stored when the node ends [s].
LAST_IMAGES_S = 20.0
SERVICES = ('start', 'stop', 'save', 'clear')


class MapperNode(lifecycle.ParameterNode[MapperParameters]):
    """Services control a recorder and a training process, which run in the background."""

    def __init__(self) -> None:
        self._outputs: MapperOutputs | None = None
        self._transforms: Transforms | None = None
        self._setup: CameraSetup | None = None
        self._poses: PoseSource | None = None
        self._camera: CameraSubscriber | None = None
        self._watch: InputWatch | None = None
        self._depths: ImageBuffer | None = None
        self._masks: ImageBuffer | None = None
        self._recorder: Recorder | None = None  # the recording, or the last one
        self._training = MapTraining()
        self._offer: MapOffer | None = None
        self._assumptions = AssumptionLog(self)
        self._active: list[tuple[Callable[[Any], object], Any]] = []
        super().__init__('dsac_mapper', MapperParameters)
        self._health = MapperHealth(self)
        self._wait = ExecutorWait(self)
        actions = {name: getattr(self, f'_{name}') for name in SERVICES}
        create_services(self, actions, self._publish_status)

    def configure(self) -> None:
        """Create the publishers and listen to TF."""
        values = self.values
        self._setup = camera_setup(
            values,
            '',
            image_topic(self, values.image_transport),
            image_mask(values.mask_path, values.exclude_border_px, ''),
        )
        self._transforms = Transforms(
            self,
            {
                frame: name
                for name in ('map_frame', 'pose_frame', 'odom_frame')
                if (frame := getattr(values, name))
            },
        )
        self._outputs = MapperOutputs(self, values.map_frame)

    def activate(self) -> None:
        """Create the subscriptions; leave none behind where that fails."""
        try:
            self._activate()
        except BaseException:
            self.deactivate()
            raise

    def _activate(self) -> None:
        values = self.values
        check(values)
        self._watch = InputWatch(self, values.input_timeout)
        self._poses = PoseSource(self, values, self._transforms, self._watch)
        self._camera = CameraSubscriber(
            self, values.image_transport, self._watch, self._on_image, self._setup
        )
        self._jumps = ClockJumps(self, self._transforms, self._poses.forget)
        self._active.append((ClockJumps.close, self._jumps))
        # A steady clock: the status is published even without simulated time.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        timer = self.create_timer(STATUS_PERIOD_S, self._on_timer, clock=clock)
        self._active.append((self.destroy_timer, timer))
        self._depths = self._masks = None
        if values.use_depth:
            self._depths = self._images_beside('depth images', 'depth/image', 'depth')
        if values.use_masks:
            self._masks = self._images_beside('masks', 'valid_mask', 'valid_mask')
        warn_of_unused_overrides(self)
        self._outputs.activate()
        if values.record_on_start:
            if self._recorder is not None:
                self._recorder.join(LAST_IMAGES_S)  # of the last activation
            self.get_logger().info(self._record())

    def _images_beside(self, what: str, topic: str, launch_name: str) -> ImageBuffer:
        """Subscribe to depth or masks until deactivation."""
        images = ImagesBeside(
            self, self._watch, what, topic, launch_name, self._camera.image_topic
        )
        self._active.append((ImagesBeside.close, images))
        return images.buffer

    def deactivate(self) -> None:
        """End the recording and interrupt the training, which can be resumed; wait for neither."""
        if self._outputs is not None:
            self._outputs.deactivate()
        if self._recorder is not None:
            self._recorder.finish(wait=False)
        self._training.interrupt()
        self._drop_offer()
        while self._active:
            destroy, entity = self._active.pop()
            destroy(entity)
        for part in (self._watch, self._camera, self._poses):
            if part is not None:
                part.close()
        self._health.deactivate()
        self._watch = self._camera = self._poses = None

    def cleanup(self) -> None:
        """Destroy the publishers."""
        if self._transforms is None:
            return
        self._outputs.close()
        self._transforms.close()
        self._outputs = self._transforms = None

    def destroy_node(self) -> None:
        """Store the last images and wait for the training's checkpoint, then end."""
        if self._recorder is not None:
            self._recorder.finish(wait=False)
            self._recorder.join(LAST_IMAGES_S)
        self._training.interrupt()
        self._training.join(GRACE_S)
        super().destroy_node()

    def apply(self, values: MapperParameters, changed: frozenset[str]) -> None:
        """Pass changed parameters to pose source and recorder, from the next image on."""
        check(values)
        if self._poses is not None:
            self._poses.values = values
        if self._recorder is not None:
            self._recorder.apply(values)

    def _check_active(self) -> None:
        if self._camera is None:
            raise MappingError(
                'the mapper is not active: `ros2 lifecycle set` it to configure, then activate'
            )

    async def _start(self) -> str:
        """~/start: start recording; an existing dataset is continued."""
        self._check_active()
        return self._record()

    def _record(self) -> str:
        recorder = self._recorder
        if recorder is not None and recorder.is_recording:
            raise MappingError(f'already recording into {recorder.dataset}')
        if recorder is not None and not recorder.is_done:
            raise MappingError(
                f'the last images of {recorder.dataset} are being stored: call ~/start again when '
                '~/stop has answered'
            )
        folder = self.values.dataset or f'~/.ros/dsac_ros/dataset-{datetime.now():%Y%m%d-%H%M%S}'
        dataset = user_path(folder).resolve()
        self._recorder = Recorder(
            self.values,
            dataset,
            self._poses,
            self._on_keyframe,
            self._depths,
            self._masks,
        )
        self._drop_offer()
        return f'recording into {dataset}'

    async def _stop(self) -> str:
        """~/stop: finish the recording, and train on it with train_on_stop."""
        self._check_active()
        recorder = self._recorder
        if recorder is None or not recorder.is_recording:
            raise MappingError('not recording: call ~/start first')
        await self._end_recording()
        summary = f'{recorder.keyframes} keyframes in {recorder.dataset}'
        return f'{summary}; {await self._save()}' if self.values.train_on_stop else summary

    async def _save(self) -> str:
        """~/save: finish the recording and train a map in the background."""
        self._check_active()
        await self._end_recording()
        self._check_active()
        if self._recorder is None and not self.values.dataset:
            raise MappingError('nothing recorded yet: call ~/start, or set parameter dataset')
        folder = (
            user_path(self.values.dataset).resolve()
            if self._recorder is None
            else self._recorder.dataset
        )
        keyframes = count_frames(folder)
        if keyframes < MIN_KEYFRAMES:
            raise MappingError(
                f'{folder} holds {keyframes} keyframes, expected at least '
                f'{MIN_KEYFRAMES}: drive on with ~/start'
            )
        values = self.values
        output = user_path(values.map) if values.map else folder.with_name(folder.name + '.map')
        self._drop_offer()
        return self._training.start(folder, output.resolve(), training_options(values))

    async def _clear(self) -> str:
        """~/clear: start over; the recorded folder is renamed, not deleted."""
        self._check_active()
        recorder = self._recorder
        if recorder is not None and not recorder.is_done:
            raise MappingError('recording: call ~/stop first')
        if self._training.state.running:
            raise MappingError('a map is being learned from the keyframes: wait for it')
        if recorder is None or not recorder.dataset.exists():
            return 'nothing to clear'
        aside = set_aside(recorder.dataset)
        self._recorder = None
        self._outputs.publish_recording(None)
        return f'set aside as {aside}'

    async def _end_recording(self) -> None:
        """Finish the recording, if there is one; its last images are stored when this returns."""
        recorder = self._recorder
        if recorder is not None:
            recorder.finish()
            await self._wait.until(lambda: recorder.is_done)

    def _on_image(self, stamped_image: StampedImage) -> None:
        now = self.get_clock().now().nanoseconds
        self._health.images.received(stamped_image.image, stamped_image.info, now)
        self._jumps.image(stamped_image.image.header)
        if self._recorder is not None:
            self._recorder.put(stamped_image)

    def _on_keyframe(self, keyframe: Keyframe) -> None:
        """Publish a stored keyframe; called by the recorder's thread."""
        outputs = self._outputs
        if outputs is None or not self.context.ok():
            return
        self._assumptions.log(keyframe.frame.camera)
        if keyframe.new_segment:
            self.get_logger().warning(keyframe.new_segment)
        outputs.publish_keyframe(keyframe)

    def _drop_offer(self) -> None:
        if self._offer is not None:
            self._offer.close()
            self._offer = None

    def _on_timer(self) -> None:
        learned = self._training.settle()
        if learned is not None:
            self.get_logger().info(f'learned {learned}')
            self._drop_offer()
            if self.values.offer_map_to:
                self._offer = MapOffer(self, self.values.offer_map_to, learned)
        if self._offer is not None:
            self._offer.step()
        self._publish_status()

    def _publish_status(self) -> None:
        """Publish ~/status, and keyframes and coverage if they changed."""
        if self._camera is None:
            return
        recorder, state = self._recorder, self._training.state
        offered = '' if self._offer is None else self._offer.outcome
        problem = '; '.join(filter(None, [offered, self._watch.reason]))
        head = conversions.header(self.values.map_frame, self.get_clock().now().nanoseconds)
        status = status_message(head, recorder, self._training.output, state, problem)
        self._outputs.publish_status(status)
        self._health.told(status, self._watch.reason)
        self._outputs.publish_recording(recorder)
        is_open = recorder is not None and not recorder.is_done
        self._outputs.warn(recorder.coverage.last_reason if is_open else state.reason)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return lifecycle.run(MapperNode, args)


if __name__ == '__main__':
    sys.exit(main())
