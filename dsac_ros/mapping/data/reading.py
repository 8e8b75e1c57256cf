# SPDX-License-Identifier: Apache-2.0
"""Frames read into views on all cores, with features of those from new viewpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from dsac_ros.alignment.features import LONGEST, features_of_frame
from dsac_ros.compute.memory import available_memory
from dsac_ros.config import MappingConfig
from dsac_ros.decision import MIN_CONTRAST
from dsac_ros.errors import MappingError
from dsac_ros.geometry.resample import Resamplers, to_gray
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.data.viewpoint_gate import ViewpointGate
from dsac_ros.mapping.optim.parallel import in_parallel
from dsac_ros.types import PosedFrame

log = logging.getLogger(__name__)

MIN_FRAMES = 4
MEMORY_SHARE = 3  # of the free memory the views take one part: the rest is for learning
MOST_TRACKED = 400  # views that points are tracked through: matching them takes time


class ViewMaker:
    """Turns frames into views."""

    def __init__(self, config: MappingConfig) -> None:
        self.config = config
        self._resamplers = Resamplers.to_short_side(config.short_side)
        self._full = Resamplers.to_own_size(LONGEST)

    def __call__(self, posed: PosedFrame, tracked: bool = False) -> View:
        frame = posed.frame
        resampler = self._resamplers(frame.camera)
        depth = None
        if frame.depth is not None and self.config.depth == 'auto':
            depth = resampler.depth(frame.depth).astype(np.float32, copy=False)
        return View(
            image=resampler(to_gray(frame.image)),
            mask=resampler.valid_mask(frame.mask),
            matrix=resampler.matrix,
            scene_from_camera=posed.world_from_camera,
            depth=depth,
            stamp_ns=frame.stamp_ns,
            focal_px=math.sqrt(frame.camera.matrix[0, 0] * frame.camera.matrix[1, 1]),
            features=features_of_frame(frame, self._full(frame.camera), resampler.matrix)
            if tracked
            else None,
        )


@dataclass(frozen=True)
class Usable:
    """A frame to make a view of.

    index counts the source's frames, viewpoint the new viewpoints among them; -1 where the frame
    shows none.
    """

    index: int
    posed: PosedFrame
    viewpoint: int


def read_views(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    total: int | None,
    progress: Callable[[float], None],
    track: bool,
) -> list[View]:
    """Views of as many frames as there is room for, with poses in their own unit of length.

    With `track`, those from new viewpoints bring the features of their frames.

    Raises:
        MappingError: fewer than MIN_FRAMES are usable.
    """
    return _Reader(config, total, progress, track).read(frames)


class _Reader:
    """The state of reading: views so far, and every which frame or viewpoint becomes one.

    Frames are on their way while views are kept: what is thinned meanwhile is judged by its number
    once more at the end.
    """

    def __init__(
        self,
        config: MappingConfig,
        total: int | None,
        progress: Callable[[float], None],
        track: bool,
    ) -> None:
        self.config, self.total, self.progress = config, total, progress
        self.make = ViewMaker(config)
        # how many frames come is not known: rather one view too many than one too few
        self.gate = ViewpointGate(total or 1) if track else None
        self.room = available_memory() / MEMORY_SHARE
        self.views: list[View] = []
        self.every, self.viewpoint_every = 1, 1
        self.dark, self.viewpoints = 0, 0

    def read(self, frames: Iterable[PosedFrame]) -> list[View]:
        """All views."""
        for usable, view in in_parallel(self._made, self._usable(frames)):
            if usable.index % self.every == 0:
                self._keep(view if self._is_tracked(usable) else replace(view, features=None))
        if self.dark:
            log.warning(
                '%d frames without contrast (black, white or covered) were left out', self.dark
            )
        if len(self.views) < MIN_FRAMES:
            raise MappingError(
                f'{len(self.views)} usable posed frames ({self.dark} without '
                f'contrast), expected at least {MIN_FRAMES}; record more of the '
                'scene'
            )
        return self.views

    def _usable(self, frames: Iterable[PosedFrame]) -> Iterator[Usable]:
        for index, posed in enumerate(frames):
            self.progress((index + 1) / max(self.total or 0, index + 1))
            if index % self.every:
                continue
            frame = posed.frame
            if contrast(frame.image) < MIN_CONTRAST:
                self.dark += 1
            elif self.gate and self.gate.is_new(to_gray(frame.image), frame.mask):
                yield Usable(index, posed, self.viewpoints)
                self.viewpoints += 1
            else:
                yield Usable(index, posed, -1)

    def _is_tracked(self, usable: Usable) -> bool:
        return usable.viewpoint >= 0 and usable.viewpoint % self.viewpoint_every == 0

    def _made(self, usable: Usable) -> tuple[Usable, View]:
        return usable, self.make(usable.posed, self._is_tracked(usable))

    def _keep(self, view: View) -> None:
        self.views.append(view)
        tracked = [index for index, one in enumerate(self.views) if one.features is not None]
        if len(tracked) > MOST_TRACKED:
            for index in tracked[1::2]:
                self.views[index] = replace(self.views[index], features=None)
            self.viewpoint_every *= 2
        most = min(self.config.max_frames, max(MIN_FRAMES, int(self.room / size(view))))
        if len(self.views) > most:  # how many have a pose is known at the end alone
            self.views, self.every = every_second(self.views), 2 * self.every
            if most < self.config.max_frames:
                log.warning('memory is short: only every %dth frame is used', self.every)


def every_second(views: Sequence[View]) -> list[View]:
    """The first of every two views, or the second where that alone is tracked."""
    return [
        next((one for one in views[index : index + 2] if one.features is not None), views[index])
        for index in range(0, len(views), 2)
    ]


def contrast(image: np.ndarray) -> float:
    """Standard deviation of all values of an image (H, W[, 3]) uint8; a tenth of numpy's time."""
    mean, deviation = cv2.meanStdDev(image)
    return math.sqrt(float((deviation**2).mean() + mean.var()))


def size(view: View) -> int:
    """Bytes of a view."""
    return sum(one.nbytes for one in (view.image, view.mask, view.depth) if one is not None)
