# SPDX-License-Identifier: Apache-2.0
"""Recording of posed keyframes into a dataset folder, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsac_ros.errors import DsacError, ImageError
from dsac_ros.mapping.data.keyframes import Coverage, KeyframeGate, Verdict
from dsac_ros.mapping.data.segments import Segments
from dsac_ros.mapping.data.viewpoint_coverage import ViewpointCoverage
from dsac_ros.nodes.camera_subscriber import StampedImage
from dsac_ros.nodes.frame_messages import FrameRejected, frame_from_message
from dsac_ros.nodes.images_beside import ImageBuffer, mask_from_message
from dsac_ros.nodes.mapper_parameters import MapperParameters, keyframe_config
from dsac_ros.nodes.pose_source import PoseSource, PoseUnavailable
from dsac_ros.sources.depth_messages import decode_depth
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.folder_contents import image_bytes, read_poses
from dsac_ros.sources.folder_odometry import count_segments
from dsac_ros.sources.image_files import fit_depth
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.types import Frame

MAX_QUEUED_IMAGES = 30
POLL_S = 0.01


@dataclass(frozen=True)
class Keyframe:
    """A stored frame with the messages it came from.

    Attributes:
        stamped_image: the messages.
        frame: the stored frame.
        map_from_camera: its pose (4, 4).
        covariance: of the pose (6, 6); None if unknown.
        new_segment: why map -> odom is another one from this frame on; '' if it is not.
    """

    stamped_image: StampedImage
    frame: Frame
    map_from_camera: np.ndarray
    covariance: np.ndarray | None = None
    new_segment: str = ''


@dataclass(frozen=True)
class Judged:
    """The verdict on an image, with the reason and what was found out about it."""

    verdict: Verdict
    reason: str = ''
    pose: np.ndarray | None = None
    keyframe: Keyframe | None = None


class Recorder:
    """Receives every image, selects keyframes by pose and sharpness, and stores them.

    Images wait in a queue until their poses arrive, each up to pose_timeout from its own arrival.
    """

    def __init__(
        self,
        values: MapperParameters,
        dataset: Path,
        poses: PoseSource,
        on_keyframe: Callable[[Keyframe], None],
        depths: ImageBuffer | None = None,
        masks: ImageBuffer | None = None,
    ) -> None:
        """Begin, or continue a dataset.

        Args:
            values: parameters of the node.
            dataset: folder.
            poses: of the camera.
            on_keyframe: called by the thread with each stored frame.
            depths: images of depth, stored where one is near; None for none.
            masks: images of the pixels that are used, which each keyframe then needs.
        """
        self.dataset, self.coverage, self.viewpoints = dataset, Coverage(), ViewpointCoverage()
        self.segments = Segments(count_segments(dataset))
        self.disk_bytes = 0
        self._values, self._poses = values, poses
        self._on_keyframe = on_keyframe
        self._gate = KeyframeGate(keyframe_config(values))
        self._writer = FolderWriter(dataset, map_frame=values.map_frame, append=True)
        self._depths, self._masks = depths, masks
        self._no_pose = ''  # why the image at the head of the queue has none yet
        self._images: deque[tuple[StampedImage, float]] = deque()
        # Guards the queue, the two flags below and the counts.
        self._changed = threading.Condition()
        self._accepts, self._waits = True, True
        self._thread = threading.Thread(target=self._run, name='dsac_recorder', daemon=True)
        self._thread.start()

    @property
    def keyframes(self) -> int:
        """Number of keyframes in the dataset, earlier recordings included."""
        return self._writer.count

    @property
    def is_recording(self) -> bool:
        """True until `finish` is called."""
        return self._accepts

    @property
    def is_done(self) -> bool:
        """True once the last image has been judged after `finish`."""
        return not self._thread.is_alive()

    def apply(self, values: MapperParameters) -> None:
        """Apply changed parameters; the state of the keyframe selection is kept."""
        self._values, self._gate.config = values, keyframe_config(values)

    def put(self, stamped_image: StampedImage) -> None:
        """Queue an image; drop it if the queue is full because poses or the disk are late."""
        with self._changed:
            if not self._accepts:
                return
            if len(self._images) < MAX_QUEUED_IMAGES:
                self._images.append((stamped_image, time.monotonic()))
                self._changed.notify_all()
            elif self._no_pose:
                self.coverage.add(Verdict.POSE, self._no_pose, None)
            else:
                self.coverage.add(
                    Verdict.IMAGE,
                    f'images come faster than {self.dataset} can '
                    'store them: lower the rate of the camera, or set dataset to a '
                    'folder on a faster disk',
                    None,
                )

    def finish(self, wait: bool = True) -> None:
        """Accept no more images; those queued are stored in the background.

        Args:
            wait: False stores only those whose poses are known already.
        """
        with self._changed:
            self._accepts, self._waits = False, self._waits and wait
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the last image after `finish`; return False if it takes longer."""
        self._thread.join(timeout_s)
        return self.is_done

    def _run(self) -> None:
        try:
            self.viewpoints = ViewpointCoverage(read_poses(self.dataset))
            self.disk_bytes = image_bytes(self.dataset)
        except OSError as error:  # what was recorded before cannot be read, what comes is stored
            self.coverage.last_reason = f'cannot read {self.dataset}: {error.strerror or error}'
        while (queued := self._next()) is not None:
            try:
                judged = self._judge(*queued)
            except FrameRejected as rejection:
                judged = Judged(Verdict.IMAGE, str(rejection))
            except OSError as error:
                judged = Judged(
                    Verdict.IMAGE, f'cannot write {self.dataset}: {error.strerror or error}'
                )
            except DsacError as error:
                judged = Judged(Verdict.IMAGE, str(error))
            except Exception as error:  # continue with the next image
                judged = Judged(Verdict.IMAGE, f'{type(error).__name__}: {error}')
            with self._changed:
                self.coverage.add(judged.verdict, judged.reason, judged.pose)
            if judged.keyframe is not None:
                self._tell(judged.keyframe)
        self._writer.close()

    def _next(self) -> tuple[StampedImage, float] | None:
        """Return the next image and its arrival; None after the last one."""
        with self._changed:
            self._no_pose = ''
            self._changed.wait_for(lambda: self._images or not self._accepts)
            return self._images.popleft() if self._images else None

    def _tell(self, keyframe: Keyframe) -> None:
        """Publish a keyframe, which is stored whatever becomes of that."""
        self.viewpoints.add(keyframe.map_from_camera)
        if keyframe.new_segment:
            self.coverage.last_reason = keyframe.new_segment
        try:
            self._on_keyframe(keyframe)
        except Exception as error:
            self.coverage.last_reason = (
                f'a keyframe is stored but not published: {type(error).__name__}: {error}'
            )

    def _judge(self, stamped_image: StampedImage, arrived_s: float) -> Judged:
        """Store the image if it is a keyframe."""
        head = stamped_image.image.header
        stamp = stamp_ns(head.stamp)
        if stamp == 0:
            return Judged(
                Verdict.IMAGE,
                'the image has no time stamp: set header.stamp in the camera driver',
            )
        try:
            pose, odometry = self._wait_for_pose(stamp, head.frame_id, arrived_s)
        except PoseUnavailable as error:
            return Judged(Verdict.POSE, str(error))
        verdict, reason = self._gate.certain(
            self._poses.covariance(stamp), self._poses.covariance_topic
        )
        if verdict is Verdict.KEPT:
            verdict, reason = self._gate.moved(stamp, pose)
        if verdict is not Verdict.KEPT:
            return Judged(verdict, reason, pose)
        frame = self._masked(frame_from_message(stamped_image), arrived_s)
        verdict, reason = self._gate.keep(frame.image, pose)
        if verdict is not Verdict.KEPT:
            return Judged(verdict, reason, pose)
        frame = replace(frame, depth=self._depth(stamp, frame.camera.size_wh))
        segments, segment = self.segments.after(pose, odometry, self._values.max_tf_jump)
        name = self._writer.write(frame, pose, odometry, begins_segment=segment is not None)
        self.segments = segments
        self.disk_bytes += image_bytes(self.dataset, name)
        covariance = self._poses.camera_covariance(stamp, head.frame_id, pose)
        return Judged(
            verdict, '', pose, Keyframe(stamped_image, frame, pose, covariance, segment or '')
        )

    def _wait_for_pose(
        self, stamp: int, frame_id: str, arrived_s: float
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return map_from_camera and, if TF has it, odom_from_camera; both (4, 4).

        Raises:
            PoseUnavailable: there is no pose pose_timeout after the image arrived.
        """
        while True:
            left = self._left(arrived_s)
            must_decide = left <= 0.0 or not self._waits
            try:
                pose = self._poses.at(stamp, frame_id, 0.0)
                odometry = self._poses.odometry(stamp, frame_id)
                if odometry is not None or must_decide or not self._poses.has_odometry:
                    return pose, odometry
            except PoseUnavailable as error:
                with self._changed:
                    self._no_pose = str(error)
                if must_decide:
                    raise
            time.sleep(min(POLL_S, max(left, 0.0)))

    def _masked(self, frame: Frame, arrived_s: float) -> Frame:
        """Return a frame whose mask leaves out what its image of `masks` leaves out, too.

        Raises:
            ImageError: there is none pose_timeout after the image arrived, or nothing is left.
        """
        masks, stamp = self._masks, frame.stamp_ns
        if masks is None:
            return frame
        while not masks.reaches(stamp) and self._waits and self._left(arrived_s) > 0.0:
            time.sleep(min(POLL_S, max(self._left(arrived_s), 0.0)))
        message = masks.near(stamp)
        if message is None:
            raise ImageError(
                f'no mask on {masks.topic} with the stamp of the image, '
                f'{self._values.pose_timeout:g} s after it arrived: copy header.stamp of the '
                'image into its mask, or set pose_timeout longer than the masks take'
            )
        mask = mask_from_message(message, frame.camera.size_wh)
        if frame.mask is not None:
            mask &= frame.mask
        if not mask.any():
            raise ImageError(f'the mask on {masks.topic} leaves nothing of the image')
        return replace(frame, mask=mask)

    def _left(self, arrived_s: float) -> float:
        """Return the time [s] that an image may still wait."""
        return arrived_s + self._values.pose_timeout - time.monotonic()

    def _depth(self, stamp: int, size_wh: tuple[int, int]) -> np.ndarray | None:
        """Return the depth at that time (H, W) [m]; None if unavailable."""
        message = None if self._depths is None else self._depths.near(stamp)
        if message is None:
            return None
        try:
            return fit_depth(decode_depth(message), size_wh, 'depth/image')
        except DsacError as error:
            self.coverage.last_reason = str(error)
            return None
