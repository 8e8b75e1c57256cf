# SPDX-License-Identifier: Apache-2.0
"""Depth of the scene in the unit of the poses: measured, or by parallax between pairs of views."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from dsac_ros.errors import MappingError
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.pose_agreement import Agreement, parallax
from dsac_ros.mapping.sfm.view_pairs import ViewPairs

log = logging.getLogger(__name__)

SAME_POSITION = 1e-9  # extent of a path that is rounding alone, in any unit of length
LEAST_PARALLAX = 4.0 / 480  # of a match that says how far off its point is [short side]
LEAST_DEPTHS = 50
STILL = 1.0 / 480  # median parallax of a pair whose camera only turned [short side]
TURNING_PAIRS = 0.9  # share of such pairs in a recording that has no depth
LEAST_PAIRS = 3
ITERATIONS = 6  # of the robust rotation between two views
MAX_UNIT_RATIO = 1.5  # between measured depth and that of the poses: more is another unit


def typical_depth(views: Sequence[View], pairs: ViewPairs) -> float:
    """Median depth of what is seen, in the poses' unit of length.

    Measured depth where there is any; else points triangulated between pairs of views at their
    known poses; else, where nothing matches, twice the extent of the cameras' path.
    """
    measured = [
        view.depth[view.depth > 0]
        for view in views[:: max(1, len(views) // 50)]
        if view.depth is not None
    ]
    if any(depths.size for depths in measured):
        return float(np.median(np.concatenate(measured)))
    depths = triangulated_depths(views, pairs)[1]
    if depths.size >= LEAST_DEPTHS:
        return float(np.median(depths))
    log.warning(
        'no points could be triangulated; the scene is taken to be twice as deep as the '
        'path is long. Check that poses and images belong together'
    )
    return 2.0 * extent(views)


def check_motion(views: Sequence[View], pairs: ViewPairs, trusted: bool = False) -> None:
    """Raise MappingError where neither a sensor nor motion tells the depth of the scene.

    The camera must have different positions, and the images must show them as parallax; where
    poses are trusted, the latter is only told.
    """
    if any(view.depth is not None for view in views):
        return
    largest = max(float(np.abs(view.scene_from_camera[:3, 3]).max()) for view in views)
    if extent(views) <= SAME_POSITION + 1e-12 * largest:
        raise MappingError(
            'all frames have the same camera position, expected different '
            'viewpoints; check the pose source'
        )
    still = [_rotation_error(views, pairs, index) < STILL for index in range(len(pairs))]
    if len(still) >= LEAST_PAIRS and np.mean(still) >= TURNING_PAIRS:
        _refuse(
            f'the camera only turned: in {sum(still)} of {len(still)} pairs of images a '
            'rotation explains the feature matches, expected parallax between different '
            'positions; move through the scene, or use frames with depth',
            trusted,
        )


def check_units(views: Sequence[View], pairs: ViewPairs, trusted: bool = False) -> None:
    """Raise MappingError where measured depth and poses are in different units of length."""
    matches, depths = triangulated_depths(views, pairs)
    ratios = []
    for match, depth in zip(matches.tolist(), depths.tolist()):
        view = views[pairs.first[pairs.pair[match]]]
        column, row = np.rint(pairs.in_first[match]).astype(int)
        measured = 0.0 if view.depth is None else float(view.depth[row, column])
        if measured > 0:
            ratios.append(measured / depth)
    ratio = float(np.median(ratios)) if len(ratios) >= LEAST_DEPTHS else 1.0
    if not 1 / MAX_UNIT_RATIO < ratio < MAX_UNIT_RATIO:
        _refuse(
            f'measured depth is {ratio:.3g} times what images and poses give, expected one '
            f'unit of length: use --pose-scale {ratio:.3g} where the depth is right, else '
            '--depth off',
            trusted,
        )


def triangulated_depths(views: Sequence[View], pairs: ViewPairs) -> tuple[np.ndarray, np.ndarray]:
    """Indices (K,) of the matches that triangulate, and depths (K,) in their first views."""
    agreement = Agreement(views, pairs)
    short_side = np.array([min(view.image.shape) for view in views])[pairs.second[pairs.pair]]
    pixels, depths = parallax(pairs, agreement.poses, agreement.matrices)
    with np.errstate(invalid='ignore'):
        good = np.flatnonzero(
            (agreement.errors() < 1) & (pixels > LEAST_PARALLAX * short_side) & (depths > 0)
        )
    return good, depths[good]


def _refuse(problem: str, trusted: bool) -> None:
    """Raise a problem as MappingError, or only tell it where poses are trusted."""
    if not trusted:
        raise MappingError(f'{problem}; --trust-poses goes on nevertheless')
    log.warning('%s', problem)


def extent(views: Sequence[View]) -> float:
    """Diagonal of the box about the camera positions."""
    return float(np.linalg.norm(np.ptp([v.scene_from_camera[:3, 3] for v in views], axis=0)))


def _rotation_error(views: Sequence[View], pairs: ViewPairs, index: int) -> float:
    """Median error [short side] of a pair's matches under the rotation that fits them best."""
    first, second = views[pairs.first[index]], views[pairs.second[index]]
    own = pairs.pair == index
    a, b = (
        _unit_rays(pixels[own], view.matrix)
        for pixels, view in ((pairs.in_first, first), (pairs.in_second, second))
    )
    weight = np.ones(len(a))
    for _ in range(ITERATIONS):
        left, _, right = np.linalg.svd((b * weight[:, None]).T @ a)
        sign = np.array([1.0, 1.0, np.linalg.det(left @ right)])
        angle = np.linalg.norm(a @ (left * sign @ right).T - b, axis=1)
        weight = 1.0 / (1.0 + (angle / np.median(angle).clip(1e-9)) ** 2)
    return float(np.median(angle)) * second.matrix[0, 0] / min(second.image.shape)


def _unit_rays(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Directions (K, 3) of pixels (K, 2) in the camera frame."""
    rays = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ np.linalg.inv(matrix).T
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)
