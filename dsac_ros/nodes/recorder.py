# SPDX-License-Identifier: Apache-2.0
"""Recording of posed keyframes into a dataset folder, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.errors import DsacError
from dsac_ros.mapping.data.keyframes import Coverage, KeyframeGate, Verdict
from dsac_ros.nodes.camera_subscriber import StampedImage
from dsac_ros.nodes.mapper_parameters import MapperParameters, keyframe_config
from dsac_ros.nodes.pose_source import PoseSource, PoseUnavailable
from dsac_ros.nodes.relocalization import FrameRejected, frame_from_message
from dsac_ros.sources.depth_messages import decode_depth
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.image_files import fit_depth
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.types import Frame

MAX_QUEUED_IMAGES = 30
DEPTH_GAP_NS = 20_000_000
MAX_DEPTH_IMAGES = 20


@dataclass(frozen=True)
class Keyframe:
    """A stored frame with the messages it came from."""

    stamped_image: StampedImage
    frame: Frame
    map_from_camera: np.ndarray


class Recorder:
    """Receives every image, selects keyframes by pose and sharpness, and stores them."""

    def __init__(
        self,
        values: MapperParameters,
        dataset: Path,
        poses: PoseSource,
        on_keyframe: Callable[[Keyframe], None],
    ) -> None:
        self.dataset, self.coverage = dataset, Coverage()
        self._values, self._poses = values, poses
        self._on_keyframe = on_keyframe
        self._gate = KeyframeGate(keyframe_config(values))
        self._writer = FolderWriter(dataset, map_frame=values.map_frame, append=True)
        self._depths: deque[Any] = deque(maxlen=MAX_DEPTH_IMAGES)
        self._no_pose = ''  # why the current image has none
        self._images: queue.Queue[StampedImage | None] = queue.Queue(MAX_QUEUED_IMAGES)
        self._thread = threading.Thread(target=self._run, name='dsac_recorder', daemon=True)
        self._thread.start()

    @property
    def keyframes(self) -> int:
        """Number of keyframes in the dataset, earlier recordings included."""
        return self._writer.count

    def apply(self, values: MapperParameters) -> None:
        """Apply changed parameters; the state of the keyframe selection is kept."""
        self._values, self._gate.config = values, keyframe_config(values)

    def put(self, stamped_image: StampedImage) -> None:
        """Queue an image; drop it if the queue is full because poses or the disk are late."""
        try:
            self._images.put_nowait(stamped_image)
        except queue.Full:
            if self._no_pose:
                self.coverage.add(Verdict.POSE, self._no_pose, None)
            else:
                self.coverage.add(
                    Verdict.IMAGE,
                    f'images come faster than {self.dataset} can '
                    'store them: lower the rate of the camera, or set dataset to a '
                    'folder on a faster disk',
                    None,
                )

    def put_depth(self, message: Any) -> None:
        """Queue a depth image; it is stored with the image of the same stamp."""
        self._depths.append(message)

    def close(self) -> None:
        """Store the queued images, then stop the thread."""
        self._images.put(None)
        self._thread.join(self._values.pose_timeout * MAX_QUEUED_IMAGES + 5.0)
        self._writer.close()

    def _run(self) -> None:
        while (stamped_image := self._images.get()) is not None:
            pose = None
            try:
                verdict, reason, pose = self._decide(stamped_image)
            except FrameRejected as rejection:
                verdict, reason = Verdict.IMAGE, str(rejection)
            except OSError as error:
                verdict, reason = Verdict.IMAGE, f'cannot write {self.dataset}: {error.strerror}'
            except DsacError as error:
                verdict, reason = Verdict.IMAGE, str(error)
            except Exception as error:  # continue with the next image
                verdict, reason = Verdict.IMAGE, f'{type(error).__name__}: {error}'
            self._no_pose = reason if verdict is Verdict.POSE else ''
            self.coverage.add(verdict, reason, pose)

    def _decide(self, stamped_image: StampedImage) -> tuple[Verdict, str, np.ndarray | None]:
        """Store the image if it is a keyframe; return verdict, reason and pose."""
        stamp = stamp_ns(stamped_image.image.header.stamp)
        if stamp == 0:
            return (
                Verdict.IMAGE,
                'the image has no time stamp: set header.stamp in the camera driver',
                None,
            )
        try:
            pose = self._poses.at(stamp, stamped_image.image.header.frame_id)
        except PoseUnavailable as error:
            return Verdict.POSE, str(error), None
        verdict, reason = self._gate.moved(stamp, pose)
        if verdict is not Verdict.KEPT:
            return verdict, reason, pose
        frame = frame_from_message(stamped_image)
        verdict, reason = self._gate.keep(frame.image, pose)
        if verdict is Verdict.KEPT:
            frame = replace(frame, depth=self._depth(stamp, frame.camera.size_wh))
            self._writer.write(frame, pose)
            self._on_keyframe(Keyframe(stamped_image, frame, pose))
        return verdict, reason, pose

    def _depth(self, stamp: int, size_wh: tuple[int, int]) -> np.ndarray | None:
        """Return the depth at that time (H, W) [m]; None if unavailable."""
        near = [
            m for m in list(self._depths) if abs(stamp_ns(m.header.stamp) - stamp) <= DEPTH_GAP_NS
        ]
        if not near:
            return None
        message = min(near, key=lambda m: abs(stamp_ns(m.header.stamp) - stamp))
        try:
            return fit_depth(decode_depth(message), size_wh, 'depth/image')
        except DsacError as error:
            self.coverage.last_reason = str(error)
            return None
