# SPDX-License-Identifier: Apache-2.0
"""Posed frames as the network sees them: resampled, gray, in the scene's own units."""
from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from dsac_ros.alignment.features import LONGEST, features_of_frame
from dsac_ros.config import MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.geometry.resample import Resamplers, to_gray
from dsac_ros.localizer import MIN_CONTRAST
from dsac_ros.mapping.memory import available_memory
from dsac_ros.mapping.pose_check import PoseAgreement, check_poses
from dsac_ros.mapping.scene_depth import check_motion, check_units, typical_depth
from dsac_ros.mapping.view import View
from dsac_ros.mapping.view_pairs import find_pairs
from dsac_ros.types import Frame, PosedFrame

log = logging.getLogger(__name__)

MIN_FRAMES = 4
MEMORY_SHARE = 3    # of the free memory the views take one part: the rest is for learning
MIN_HELD_OUT = 8    # frames that say enough to calibrate on; fewer are better learned from


@dataclass(frozen=True)
class Dataset:
    """Views to learn from and views to be measured on, in one normalised scene.

    world = origin + scale * scene; scale is the typical depth of what the cameras see. bounds are
    the corners of the box about the cameras' places, in world coordinates. pose_agreement says how
    well poses and images fit, None where that is not known.
    """

    views: list[View]
    held_out: list[View]
    origin: np.ndarray
    scale: float
    bounds: tuple[list[float], list[float]]
    pose_agreement: PoseAgreement | None = None


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
        return View(image=resampler(to_gray(frame.image)), mask=resampler.shown(frame.mask),
                    matrix=resampler.matrix, scene_from_camera=posed.world_from_camera,
                    depth=depth, stamp_ns=frame.stamp_ns,
                    focal_px=math.sqrt(frame.camera.matrix[0, 0] * frame.camera.matrix[1, 1]),
                    features=features_of_frame(frame, self._full(frame.camera), resampler.matrix)
                    if tracked else None)


def prepare(frames: Iterable[PosedFrame], config: MappingConfig, total: int | None = None,
            stage: Callable[[str], Callable[[float], None]] = lambda name: lambda share: None,
            units: tuple[np.ndarray, float] | None = None, track: bool = True) -> Dataset:
    """Read all frames once, check their poses, hold a time block out, normalise the scene.

    Args:
        frames: posed frames in the order in which they were taken.
        config: of more than `max_frames`, or than a third of the free memory holds, every second
            one is left out, as often as needed.
        total: at least how many frames there are.
        stage: begins a stage of the work and returns what takes its progress.
        units: origin and scale of a scene that is known already.
        track: find features of up to `most_tracked` frames at their full resolution.

    Raises:
        MappingError: too few usable frames, or poses that the images contradict.
    """
    views = read_views(frames, config, total, stage('reading'), track)
    pairs = find_pairs(views, stage('checking'))
    if not units:
        check_motion(views, pairs, config.trust_poses)
    agreement = check_poses(views, pairs, config.refine_poses, config.trust_poses)
    check_units(views, pairs, config.trust_poses)
    first, last = held_out_block(len(views), config.held_out)
    learned = views[:first] + views[last:]
    centres = np.stack([view.scene_from_camera[:3, 3] for view in learned])
    origin, scale = units or (np.median(centres, axis=0), typical_depth(views, pairs))
    return Dataset(
        views=[normalised(view, origin, scale) for view in learned],
        held_out=[normalised(view, origin, scale) for view in views[first:last]],
        origin=origin, scale=scale, bounds=(centres.min(0).tolist(), centres.max(0).tolist()),
        pose_agreement=agreement)


def read_views(frames: Iterable[PosedFrame], config: MappingConfig, total: int | None,
               progress: Callable[[float], None], track: bool) -> list[View]:
    """Views of as many frames as there is room for, with poses in their own unit of length."""
    make = ViewMaker(config)
    tracked_every = math.ceil((total or 1) / most_tracked(config))
    views: list[View] = []
    every, dark, room = 1, 0, available_memory() / MEMORY_SHARE
    for index, posed in enumerate(frames):
        progress((index + 1) / max(total or 0, index + 1))
        if index % every:
            continue
        if posed.frame.image.std() < MIN_CONTRAST:
            dark += 1
            continue
        views.append(make(posed, track and len(views) % tracked_every == 0))
        most = min(config.max_frames, max(MIN_FRAMES, int(room / size(views[-1]))))
        if len(views) > most:  # how many have a pose is known at the end alone
            views, every = views[::2], 2 * every
            if most < config.max_frames:
                log.warning('memory is short: only every %dth frame is used', every)
    if dark:
        log.warning('%d frames without contrast (black, white or covered) were left out', dark)
    if len(views) < MIN_FRAMES:
        raise MappingError(f'{len(views)} usable posed frames ({dark} without contrast), expected '
                           f'at least {MIN_FRAMES}; record more of the scene')
    return views


def most_tracked(config: MappingConfig) -> int:
    """Limit the views that points are tracked through: matching them takes time."""
    return int(min(400, max(60, 60 * config.minutes)))


def size(view: View) -> int:
    """Bytes of a view."""
    return sum(one.nbytes for one in (view.image, view.mask, view.depth) if one is not None)


def held_out_block(count: int, share: float) -> tuple[int, int]:
    """First and past-the-last index of one block of neighbouring frames, a third into the drive.

    A block, since frames next to a learned one tell nothing new; none where frames are few.
    """
    size = min(40, int(share * count))
    if size < MIN_HELD_OUT:
        return 0, 0
    first = (count - size) // 3
    return first, first + size


def normalised(view: View, origin: np.ndarray, scale: float) -> View:
    """The view in scene units; its depth is not copied, for there is no room for two."""
    pose = view.scene_from_camera.copy()
    pose[:3, 3] = (pose[:3, 3] - origin) / scale
    if view.depth is not None:
        np.divide(view.depth, np.float32(scale), out=view.depth)
    return replace(view, scene_from_camera=pose)


def network_focal(data: Dataset, short_side: int) -> float:
    """Focal length [px] of the images that a network sees, for this short side of most views."""
    return short_side * float(np.median([view.matrix[0, 0] / min(view.image.shape)
                                         for view in (*data.views, *data.held_out)]))


def network_data(data: Dataset, resamplers: Resamplers) -> Dataset:
    """The data as a network sees it, by the resamplers to its images."""
    return replace(data, views=[view.resampled(resamplers) for view in data.views],
                   held_out=[view.resampled(resamplers) for view in data.held_out])


def as_posed_frame(view: View, origin: np.ndarray, scale: float) -> PosedFrame:
    """The view as a query whose pose in the world is known; without its depth."""
    pose = view.scene_from_camera.copy()
    pose[:3, 3] = origin + scale * pose[:3, 3]
    return PosedFrame(Frame(view.image, view.camera, mask=view.mask), pose)
