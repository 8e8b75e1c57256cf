# SPDX-License-Identifier: Apache-2.0
"""dsac_mapper: records posed keyframes of a drive and trains a map on them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseArray
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from dsac_ros.errors import DsacError, MappingError
from dsac_ros.mapping.data.keyframes import Coverage
from dsac_ros.msg import MappingStatus, PosedFrame
from dsac_ros.nodes import conversions, lifecycle
from dsac_ros.nodes.assumptions import AssumptionLog
from dsac_ros.nodes.camera_setup import camera_setup
from dsac_ros.nodes.camera_subscriber import (
    SENSOR,
    CameraSubscriber,
    StampedImage,
    image_topic,
)
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.mapper_health import MapperHealth
from dsac_ros.nodes.mapper_parameters import MapperParameters, training_options
from dsac_ros.nodes.mapping_status import status_message
from dsac_ros.nodes.missing_inputs import IMAGE, Input
from dsac_ros.nodes.overridable_qos import (
    needs_reliable_publisher,
    subscribe,
    warn_of_unused_overrides,
)
from dsac_ros.nodes.paths import user_path
from dsac_ros.nodes.pose_source import PoseSource
from dsac_ros.nodes.publishers import LATCHED, RELIABLE
from dsac_ros.nodes.reason_log import ReasonLog
from dsac_ros.nodes.recorder import Keyframe, Recorder
from dsac_ros.nodes.training import Training, TrainingState
from dsac_ros.nodes.transforms import Transforms
from dsac_ros.sources.folder import count_frames

MIN_KEYFRAMES = 10
STATUS_PERIOD_S = 1.0
SERVICES = ('start', 'stop', 'save', 'clear')


class MapperNode(lifecycle.ParameterNode[MapperParameters]):
    """Services control a recorder and a training process, which run in the background."""

    def __init__(self) -> None:
        self._own_publishers: list[Any] = []
        self._transforms: Transforms | None = None
        self._poses: PoseSource | None = None
        self._camera: CameraSubscriber | None = None
        self._recorder: Recorder | None = None
        self._training: Training | None = None
        self._coverage, self._dataset, self._problem = Coverage(), Path(), ''
        self._published_keyframes = -1
        self._assumptions, self._reasons = AssumptionLog(self), ReasonLog(self)
        self._active: list[tuple[Callable[[Any], object], Any]] = []
        super().__init__('dsac_mapper', MapperParameters)
        self._health = MapperHealth(self)

    def configure(self) -> None:
        """Create the publishers and listen to TF."""
        values = self.values
        self._setup = camera_setup(values, '', image_topic(self, values.image_transport))
        self._transforms = Transforms(
            self,
            {
                frame: name
                for name in ('map_frame', 'pose_frame')
                if (frame := getattr(values, name))
            },
        )
        self._status = self.create_publisher(MappingStatus, '~/status', RELIABLE)
        self._keyframes = self.create_publisher(PoseArray, '~/keyframes', LATCHED)
        self._keyframe = self.create_publisher(PosedFrame, '~/keyframe', RELIABLE)
        self._own_publishers = [self._status, self._keyframes, self._keyframe]

    def activate(self) -> None:
        """Create the subscriptions and services."""
        values = self.values
        self._watch = InputWatch(self, values.input_timeout)
        self._poses = PoseSource(self, values, self._transforms, self._watch)
        self._camera = CameraSubscriber(
            self, values.image_transport, self._watch, self._on_image, self._setup
        )
        self._active = [
            (
                self.destroy_service,
                self.create_service(
                    Trigger, f'~/{name}', self._service_callback(getattr(self, f'_{name}'))
                ),
            )
            for name in SERVICES
        ]
        # A steady clock: the status is published even without simulated time.
        self._active.append(
            (
                self.destroy_timer,
                self.create_timer(
                    STATUS_PERIOD_S,
                    self._publish_status,
                    clock=Clock(clock_type=ClockType.STEADY_TIME),
                ),
            )
        )
        if values.use_depth:
            depths = subscribe(self, Image, 'depth/image', self._on_depth, SENSOR)
            self._active.append((self.destroy_subscription, depths))
            self._depths = self._watch.expect(
                Input(
                    'depth images',
                    'depth/image',
                    depths.topic_name,
                    IMAGE,
                    reliable=needs_reliable_publisher(depths),
                    launch_name='depth',
                    beside=self._camera.image_topic,
                )
            )
        warn_of_unused_overrides(self)
        if values.record_on_start:
            self.get_logger().info(self._start())

    def deactivate(self) -> None:
        """Finish the recording and interrupt the training, which can be resumed."""
        if self._camera is None:
            return
        self._watch.close()
        self._camera.close()
        self._end_recording()
        if self._training is not None:
            self._training.stop()
        for destroy, entity in self._active:
            destroy(entity)
        self._poses.close()
        self._health.deactivate()
        self._camera = self._poses = self._training = None

    def cleanup(self) -> None:
        """Destroy the publishers."""
        if self._transforms is None:
            return
        for publisher in self._own_publishers:
            self.destroy_publisher(publisher)
        self._transforms.close()
        self._transforms = None

    def apply(self, values: MapperParameters, changed: frozenset[str]) -> None:
        """Pass changed parameters to pose source and recorder, from the next image on."""
        if self._poses is not None:
            self._poses.values = values
        if self._recorder is not None:
            self._recorder.apply(values)

    def _service_callback(self, action: Callable[[], str]) -> Callable[[Any, Any], Any]:
        """Return a callback that reports success with a message, or failure with a reason."""

        def callback(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                response.message, response.success = action(), True
                self.get_logger().info(response.message)
            except (DsacError, OSError) as error:
                response.message, response.success = str(error), False
                self.get_logger().error(response.message)
            self._publish_status()
            return response

        return callback

    def _start(self) -> str:
        """~/start: start recording; an existing dataset is continued."""
        if self._recorder is not None:
            raise MappingError(f'already recording into {self._recorder.dataset}')
        folder = self.values.dataset or f'~/.ros/dsac_ros/dataset-{datetime.now():%Y%m%d-%H%M%S}'
        self._dataset = user_path(folder).resolve()
        self._recorder = Recorder(
            self.values,
            self._dataset,
            self._poses,
            self._on_keyframe,
        )
        self._coverage, self._problem = self._recorder.coverage, ''
        return f'recording into {self._dataset}'

    def _stop(self) -> str:
        """~/stop: finish the recording, and train on it with train_on_stop."""
        if self._recorder is None:
            raise MappingError('not recording: call ~/start first')
        self._end_recording()
        summary = f'{count_frames(self._dataset)} keyframes in {self._dataset}'
        return f'{summary}; {self._save()}' if self.values.train_on_stop else summary

    def _save(self) -> str:
        """~/save: finish the recording and train a map in the background."""
        if self._training is not None and self._training.state.running:
            raise MappingError(f'{self._training.output} is being learned, follow ~/status')
        self._end_recording()
        folder = self._dataset if self._dataset.name else user_path(self.values.dataset)
        if not self._dataset.name and not self.values.dataset:
            raise MappingError('nothing recorded yet: call ~/start, or set parameter dataset')
        keyframes = count_frames(folder)
        if keyframes < MIN_KEYFRAMES:
            raise MappingError(
                f'{folder} holds {keyframes} keyframes, expected at least '
                f'{MIN_KEYFRAMES}: drive on with ~/start'
            )
        values = self.values
        output = user_path(values.map) if values.map else folder.with_name(folder.name + '.map')
        self._training = Training(folder, output.resolve(), *training_options(values))
        self._problem = ''
        return f'learning {output} from {folder}, follow ~/status'

    def _clear(self) -> str:
        """~/clear: start over; the recorded folder is renamed, not deleted."""
        if self._recorder is not None:
            raise MappingError('recording: call ~/stop first')
        if self._training is not None and self._training.state.running:
            raise MappingError('a map is being learned from the keyframes: wait for it')
        if not self._dataset.name or not self._dataset.exists():
            return 'nothing to clear'
        aside = self._dataset.with_name(f'{self._dataset.name}.{datetime.now():%Y%m%d-%H%M%S}')
        self._dataset.rename(aside)
        self._dataset, self._coverage, self._problem = Path(), Coverage(), ''
        self._publish_keyframes()
        return f'set aside as {aside}'

    def _end_recording(self) -> None:
        """Store the queued images."""
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recorder.close()

    def _on_image(self, stamped_image: StampedImage) -> None:
        self._health.images.received(
            stamped_image.image, stamped_image.info, self.get_clock().now().nanoseconds
        )
        if self._recorder is not None:
            self._recorder.put(stamped_image)

    def _on_depth(self, message: Image) -> None:
        self._depths.arrived()
        if self._recorder is not None:
            self._recorder.put_depth(message)

    def _on_keyframe(self, keyframe: Keyframe) -> None:
        """Publish a stored keyframe; called by the recorder's thread."""
        self._assumptions.log(keyframe.frame.camera)
        if self._keyframe.get_subscription_count() > 0:
            head = keyframe.stamped_image.image.header
            message = PosedFrame(
                header=head,
                map_frame=self.values.map_frame,
                camera_info=keyframe.stamped_image.info
                or conversions.camera_info_message(keyframe.frame.camera, head),
                image=conversions.jpeg_message(keyframe.frame.image, head),
            )
            message.camera_in_map.pose = conversions.pose_message(keyframe.map_from_camera)
            self._keyframe.publish(message)

    def _publish_status(self) -> None:
        """Publish ~/status, and ~/keyframes if they changed."""
        state = TrainingState() if self._training is None else self._training.state
        now = self.get_clock().now().nanoseconds
        status = status_message(
            conversions.header(self.values.map_frame, now),
            self._recorder,
            self._coverage,
            self._dataset,
            self._training and self._training.output,
            state,
            self._watch.reason,
        )
        self._status.publish(status)
        self._health.told(status, self._watch.reason)
        if len(self._coverage.poses) != self._published_keyframes:
            self._publish_keyframes()
        reason = state.reason or (self._coverage.last_reason if self._recorder else '')
        if reason and reason != self._problem:
            self._problem = reason
            self._reasons.warning('', reason)

    def _publish_keyframes(self) -> None:
        poses = list(self._coverage.poses)
        self._published_keyframes = len(poses)
        now = self.get_clock().now().nanoseconds
        self._keyframes.publish(
            PoseArray(
                header=conversions.header(self.values.map_frame, now),
                poses=[conversions.pose_message(pose) for pose in poses],
            )
        )


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return lifecycle.run(MapperNode, args)


if __name__ == '__main__':
    sys.exit(main())
