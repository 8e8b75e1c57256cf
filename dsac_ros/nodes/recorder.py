# SPDX-License-Identifier: Apache-2.0
"""Posed keyframes from messages into a dataset folder, in a thread of its own."""
from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from dsac_ros.errors import DsacError
from dsac_ros.mapping.keyframes import Coverage, KeyframeGate, Verdict
from dsac_ros.nodes.intake import Shot
from dsac_ros.nodes.mapper_parameters import keyframe_config
from dsac_ros.nodes.pose_source import NoPose, PoseSource
from dsac_ros.nodes.relocalization import Refused, frame_from_shot
from dsac_ros.sources.depth_messages import decode_depth
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.image_files import fit_depth
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.types import Frame

WAITING_SHOTS = 30
DEPTH_GAP_NS = 20_000_000
KEPT_DEPTHS = 20


@dataclass(frozen=True)
class Keyframe:
    """A frame that was stored, with the messages that it came from."""

    shot: Shot
    frame: Frame
    map_from_camera: np.ndarray


class Recorder:
    """Takes every image; most end at their pose, the rest are stored one by one."""

    def __init__(self, values: SimpleNamespace, dataset: Path, poses: PoseSource, rectified: bool,
                 on_keyframe: Callable[[Keyframe], None]) -> None:
        self.dataset, self.coverage = dataset, Coverage()
        self._values, self._poses, self._rectified = values, poses, rectified
        self._on_keyframe = on_keyframe
        self._gate = KeyframeGate(keyframe_config(values))
        self._writer = FolderWriter(dataset, map_frame=values.map_frame, append=True)
        self._depths: deque[Any] = deque(maxlen=KEPT_DEPTHS)
        self._no_pose = ''     # why the image at hand has none
        self._shots: queue.Queue[Shot | None] = queue.Queue(WAITING_SHOTS)
        self._thread = threading.Thread(target=self._run, name='dsac_recorder', daemon=True)
        self._thread.start()

    @property
    def keyframes(self) -> int:
        """Keyframes in the dataset, earlier recordings included."""
        return self._writer.count

    def apply(self, values: SimpleNamespace) -> None:
        """Take up changed parameters; what was seen so far stays known to the gate."""
        self._values, self._gate.config = values, keyframe_config(values)

    def put(self, shot: Shot) -> None:
        """Take an image; one that finds the queue full is lost: its poses or the disk are late."""
        try:
            self._shots.put_nowait(shot)
        except queue.Full:
            if self._no_pose:
                self.coverage.add(Verdict.POSE, self._no_pose, None)
            else:
                self.coverage.add(Verdict.IMAGE, f'images come faster than {self.dataset} can '
                                  'store them: lower the rate of the camera, or set dataset to a '
                                  'folder on a faster disk', None)

    def put_depth(self, message: Any) -> None:
        """Take a depth image; it serves the image with its stamp."""
        self._depths.append(message)

    def close(self) -> None:
        """Store what was received, then end."""
        self._shots.put(None)
        self._thread.join(self._values.pose_timeout * WAITING_SHOTS + 5.0)
        self._writer.close()

    def _run(self) -> None:
        while (shot := self._shots.get()) is not None:
            pose = None
            try:
                verdict, reason, pose = self._judge(shot)
            except Refused as refusal:
                verdict, reason = Verdict.IMAGE, str(refusal)
            except OSError as error:
                verdict, reason = Verdict.IMAGE, f'cannot write {self.dataset}: {error.strerror}'
            except DsacError as error:
                verdict, reason = Verdict.IMAGE, str(error)
            except Exception as error:   # whatever it is, the next image may be better
                verdict, reason = Verdict.IMAGE, f'{type(error).__name__}: {error}'
            self._no_pose = reason if verdict is Verdict.POSE else ''
            self.coverage.add(verdict, reason, pose)

    def _judge(self, shot: Shot) -> tuple[Verdict, str, np.ndarray | None]:
        """Store the image if it is worth it; the verdict with its reason and the pose."""
        stamp = stamp_ns(shot.image.header.stamp)
        if stamp == 0:
            return (Verdict.IMAGE, 'the image has no time stamp: set header.stamp in the camera '
                    'driver', None)
        try:
            pose = self._poses.at(stamp, shot.image.header.frame_id)
        except NoPose as error:
            return Verdict.POSE, str(error), None
        verdict, reason = self._gate.moved(stamp, pose)
        if verdict is not Verdict.KEPT:
            return verdict, reason, pose
        frame = frame_from_shot(shot, self._rectified, False, self._values.camera_frame)
        verdict, reason = self._gate.keep(frame.image, pose)
        if verdict is Verdict.KEPT:
            frame = replace(frame, depth=self._depth(stamp, frame.camera.size_wh))
            self._writer.write(frame, pose)
            self._on_keyframe(Keyframe(shot, frame, pose))
        return verdict, reason, pose

    def _depth(self, stamp: int, size_wh: tuple[int, int]) -> np.ndarray | None:
        """The depth of that moment (H, W) [m]; None where there is none that can be used."""
        near = [m for m in list(self._depths)
                if abs(stamp_ns(m.header.stamp) - stamp) <= DEPTH_GAP_NS]
        if not near:
            return None
        message = min(near, key=lambda m: abs(stamp_ns(m.header.stamp) - stamp))
        try:
            return fit_depth(decode_depth(message), size_wh, 'depth/image')
        except DsacError as error:
            self.coverage.last_reason = str(error)
            return None
