# SPDX-License-Identifier: Apache-2.0
"""Posed frames as the network sees them: resampled, gray, in the scene's own units."""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from dsac_ros.config import MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.geometry.resample import Resamplers, to_gray
from dsac_ros.localizer import MIN_CONTRAST
from dsac_ros.mapping.memory import available_memory
from dsac_ros.types import Camera, Frame, PosedFrame

log = logging.getLogger(__name__)

MIN_FRAMES = 4
MEMORY_SHARE = 3    # of the free memory the views take one part: the rest is for learning
MIN_HELD_OUT = 8    # frames that say enough to calibrate on; fewer are better learned from


@dataclass(frozen=True)
class View:
    """One frame for training.

    image (H, W) uint8 of an ideal pinhole `matrix`, mask (H, W) bool, depth (H, W) float32 or
    None, scene_from_camera (4, 4) float64 in scene units.
    """

    image: np.ndarray
    mask: np.ndarray
    matrix: np.ndarray
    scene_from_camera: np.ndarray
    depth: np.ndarray | None


@dataclass(frozen=True)
class Dataset:
    """Views to learn from and views to be measured on, in one normalised scene.

    world = origin + scale * scene; scale is the typical depth of what the cameras see. bounds are
    the corners of the box about the cameras' places, in world coordinates.
    """

    views: list[View]
    held_out: list[View]
    origin: np.ndarray
    scale: float
    bounds: tuple[list[float], list[float]]


class ViewMaker:
    """Turns frames into views."""

    def __init__(self, config: MappingConfig) -> None:
        self.config = config
        self._resamplers = Resamplers(config.short_side)

    def __call__(self, posed: PosedFrame) -> View:
        frame = posed.frame
        resampler = self._resamplers(frame.camera)
        depth = None
        if frame.depth is not None and self.config.depth == 'auto':
            depth = resampler.depth(frame.depth).astype(np.float32, copy=False)
        return View(image=resampler(to_gray(frame.image)), mask=resampler.shown(frame.mask),
                    matrix=resampler.matrix, scene_from_camera=posed.world_from_camera,
                    depth=depth)


def prepare(frames: Iterable[PosedFrame], config: MappingConfig, total: int | None = None,
            progress: Callable[[float], None] = lambda share: None,
            units: tuple[np.ndarray, float] | None = None) -> Dataset:
    """Read all frames once, hold a time block out, normalise the scene.

    units are the origin and the scale of a scene that is known already; total, at least how many
    frames there are. Of more than `max_frames`, or than a third of the free memory holds, every
    second one is left out, as often as needed.
    Raises MappingError where too few usable frames are left.
    """
    make = ViewMaker(config)
    views: list[View] = []
    every, dark, room = 1, 0, available_memory() / MEMORY_SHARE
    for index, posed in enumerate(frames):
        progress((index + 1) / max(total or 0, index + 1))
        if index % every:
            continue
        if posed.frame.image.std() < MIN_CONTRAST:
            dark += 1
            continue
        views.append(make(posed))
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
    first, last = held_out_block(len(views), config.held_out)
    learned = views[:first] + views[last:]
    centres = np.stack([view.scene_from_camera[:3, 3] for view in learned])
    origin, scale = units or (np.median(centres, axis=0), typical_depth(learned))
    return Dataset(
        views=[normalised(view, origin, scale) for view in learned],
        held_out=[normalised(view, origin, scale) for view in views[first:last]],
        origin=origin, scale=scale, bounds=(centres.min(0).tolist(), centres.max(0).tolist()))


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


def as_posed_frame(view: View, origin: np.ndarray, scale: float) -> PosedFrame:
    """The view as a query whose pose in the world is known; without its depth."""
    pose = view.scene_from_camera.copy()
    pose[:3, 3] = origin + scale * pose[:3, 3]
    height, width = view.image.shape
    camera = Camera((width, height), view.matrix)
    return PosedFrame(Frame(view.image, camera, mask=view.mask), pose)


def typical_depth(views: Sequence[View]) -> float:
    """Median depth of what is seen, in the poses' unit of length.

    Measured depth where there is any; else points triangulated between some pairs of views at
    their known poses; else, where nothing matches, twice the extent of the cameras' path.
    """
    measured = [view.depth[view.depth > 0] for view in views[::max(1, len(views) // 50)]
                if view.depth is not None]
    measured = np.concatenate(measured) if measured else np.zeros(0)
    if measured.size:
        return float(np.median(measured))
    depths = triangulated_depths(views)
    if depths.size >= 50:
        return float(np.median(depths))
    centres = np.stack([view.scene_from_camera[:3, 3] for view in views])
    extent = float(np.linalg.norm(centres.max(0) - centres.min(0)))
    if extent == 0:
        raise MappingError('all frames have the same camera position, expected different '
                           'viewpoints; check the pose source')
    log.warning('no points could be triangulated; the scene is taken to be twice as deep as the '
                'path is long. Check that poses and images belong together')
    return 2.0 * extent


def triangulated_depths(views: Sequence[View], anchors: int = 20) -> np.ndarray:
    """Depths (K,) of SIFT points matched between anchor views and views further along."""
    sift = cv2.SIFT_create(800)
    features = {}

    def describe(index: int) -> tuple:
        if index not in features:
            found, descriptors = sift.detectAndCompute(views[index].image, None)
            features[index] = (np.array([k.pt for k in found]).reshape(-1, 2), descriptors)
        return features[index]

    depths = [np.zeros(0)]
    for first in np.linspace(0, len(views) - 2, anchors).astype(int):
        for step in (2, 8, 24):
            second = min(first + step, len(views) - 1)
            depths.append(pair_depths(views[first], views[second], describe(first),
                                      describe(second)))
    return np.concatenate(depths)


def pair_depths(first: View, second: View, in_first: tuple, in_second: tuple,
                min_parallax: float = 0.03) -> np.ndarray:
    """Depths in the first view of points that match and triangulate within 2 px."""
    (pixels_a, a), (pixels_b, b) = in_first, in_second
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return np.zeros(0)
    pairs = cv2.BFMatcher().knnMatch(a, b, k=2)
    good = [(m.queryIdx, m.trainIdx) for m, n in pairs if m.distance < 0.75 * n.distance]
    if len(good) < 8:
        return np.zeros(0)
    seen = [pixels[[pair[side] for pair in good]].T
            for side, pixels in ((0, pixels_a), (1, pixels_b))]
    second_from_first = np.linalg.inv(second.scene_from_camera) @ first.scene_from_camera
    projections = [first.matrix @ np.eye(3, 4), second.matrix @ second_from_first[:3]]
    points = cv2.triangulatePoints(*projections, *(np.ascontiguousarray(s, float) for s in seen))
    with np.errstate(divide='ignore', invalid='ignore'):
        points = points[:3] / points[3]
        errors, z = [], []
        for projection, pixels in zip(projections, seen):
            image = projection @ np.vstack([points, np.ones(points.shape[1])])
            errors.append(np.linalg.norm(image[:2] / image[2] - pixels, axis=0))
            z.append(image[2])
        baseline = np.linalg.norm(second_from_first[:3, 3])
        good = ((np.maximum(*errors) < 2.0) & (np.minimum(*z) > 0)
                & (baseline / points[2] > min_parallax))
    return points[2, good]
