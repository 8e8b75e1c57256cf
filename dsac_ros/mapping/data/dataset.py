# SPDX-License-Identifier: Apache-2.0
"""Posed frames as the network sees them: resampled, gray, in the scene's own units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from dsac_ros.config import MappingConfig
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.mapping.data.reading import read_views
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.pose_check import PoseAgreement, check_poses
from dsac_ros.mapping.sfm.scene_depth import check_motion, check_units, typical_depth
from dsac_ros.mapping.sfm.view_pairs import find_pairs
from dsac_ros.types import Frame, PosedFrame

MIN_HELD_OUT = 8  # frames that say enough to calibrate on; fewer are better learned from
# Share of all frames, and into how many stretches, that the map which is measured lacks; fewer
# frames than this leave none out.
LEFT_OUT, STRETCHES, LEAST_FRAMES = 0.25, 4, 8


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


def prepare(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    total: int | None = None,
    stage: Callable[[str], Callable[[float], None]] = lambda name: lambda share: None,
    units: tuple[np.ndarray, float] | None = None,
    track: bool = True,
) -> Dataset:
    """Read all frames once, check their poses, hold a time block out, normalise the scene.

    Args:
        frames: posed frames in the order in which they were taken.
        config: of more than `max_frames`, or than a third of the free memory holds, every second
            one is left out, as often as needed.
        total: at least how many frames there are.
        stage: begins a stage of the work and returns what takes its progress.
        units: origin and scale of a scene that is known already.
        track: find features of the frames from new viewpoints at their full resolution.

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
        origin=origin,
        scale=scale,
        bounds=(centres.min(0).tolist(), centres.max(0).tolist()),
        pose_agreement=agreement,
    )


def held_out_block(count: int, share: float) -> tuple[int, int]:
    """First and past-the-last index of one block of neighbouring frames, a third into the drive.

    A block, since frames next to a learned one tell nothing new; none where frames are few.
    """
    size = min(40, int(share * count))
    if size < MIN_HELD_OUT:
        return 0, 0
    first = (count - size) // 3
    return first, first + size


def left_out_stretches(count: int, held_out: int) -> np.ndarray:
    """Return which of `count` mapping frames (count,) bool are in the stretches left out.

    Stretches of neighbouring frames, evenly placed: from their middles the nearest other frame is
    as far as from most queries. With the frames that are held out they make LEFT_OUT of all.
    """
    chosen = np.zeros(count, bool)
    size = max(1, round((LEFT_OUT * (count + held_out) - held_out) / STRETCHES))
    if count < LEAST_FRAMES:
        return chosen
    for stretch in range(STRETCHES):
        first = (2 * stretch + 1) * count // (2 * STRETCHES) - size // 2
        chosen[first : first + size] = True
    return chosen


def normalised(view: View, origin: np.ndarray, scale: float) -> View:
    """The view in scene units; its depth is not copied, for there is no room for two."""
    pose = view.scene_from_camera.copy()
    pose[:3, 3] = (pose[:3, 3] - origin) / scale
    if view.depth is not None:
        np.divide(view.depth, np.float32(scale), out=view.depth)
    return replace(view, scene_from_camera=pose)


def network_focal(data: Dataset, short_side: int) -> float:
    """Focal length [px] of the images that a network sees, for this short side of most views."""
    return short_side * float(
        np.median(
            [view.matrix[0, 0] / min(view.image.shape) for view in (*data.views, *data.held_out)]
        )
    )


def network_data(data: Dataset, resamplers: Resamplers) -> Dataset:
    """The data as a network sees it, by the resamplers to its images."""
    return replace(
        data,
        views=[view.resampled(resamplers) for view in data.views],
        held_out=[view.resampled(resamplers) for view in data.held_out],
    )


def as_posed_frame(view: View, origin: np.ndarray, scale: float) -> PosedFrame:
    """The view as a query whose pose in the world is known; without its depth."""
    pose = view.scene_from_camera.copy()
    pose[:3, 3] = origin + scale * pose[:3, 3]
    return PosedFrame(Frame(view.image, view.camera, mask=view.mask), pose)
