# SPDX-License-Identifier: Apache-2.0
"""Agreement of feature matches with poses and intrinsics, whatever the unit of length.

A point seen in one view lies on a half-line in another one: it begins where a point at infinity
would be and leads towards the epipole. Its distance tests rotation, direction of the translation
and positive depth together, and degrades to the rotation alone where there is no baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.view_pairs import ViewPairs

TOLERANCE = 3.0 / 480  # of a match that agrees [short side] ...
LEAST_TOLERANCE_PX = 1.0  # ... at least, of small images
MOTION_TOLERANCE = 0.1  # of the match's own motion, where that is more: poses are never exact
LEAST_KNOWN = 0.2  # of the matches must have poses for a share of them
COARSE = 4.0  # times all of that for poses that are to be refined


class Agreement:
    """Judges poses and matrices of views by the matches of their pairs."""

    def __init__(self, views: Sequence[View], pairs: ViewPairs, coarse: bool = False) -> None:
        """Takes the views and their pairs; coarse poses may be further off."""
        self.pairs, self.coarse = pairs, coarse
        self.poses = np.stack([view.scene_from_camera for view in views])
        self.matrices = np.stack([view.matrix for view in views])
        short_side = np.array([min(view.image.shape) for view in views], dtype=np.float64)
        motion = np.linalg.norm(pairs.in_first - pairs.in_second, axis=1)
        least = np.maximum(TOLERANCE * short_side, LEAST_TOLERANCE_PX)[pairs.second[pairs.pair]]
        self.least = (COARSE if coarse else 1.0) * least
        self.tolerance = (COARSE if coarse else 1.0) * np.maximum(least, MOTION_TOLERANCE * motion)

    def errors(
        self, poses: np.ndarray | None = None, matrices: np.ndarray | None = None
    ) -> np.ndarray:
        """Errors (M,) of the matches in units of their tolerance, NaN where there is no pose.

        Poses (V, 4, 4) may be NaN; they and matrices (V, 3, 3) are the views' own by default.
        """
        poses = self.poses if poses is None else poses
        matrices = self.matrices if matrices is None else matrices
        return half_line_errors(self.pairs, poses, matrices) / self.tolerance

    def share(self, errors: np.ndarray) -> float:
        """Share of the matches that agree, of those with poses; 0 where hardly any has."""
        known = ~np.isnan(errors)
        if known.mean() < LEAST_KNOWN:
            return 0.0
        return float(np.mean(errors[known] < 1.0))

    def cost(self, errors: np.ndarray) -> float:
        """Mean of the bounded errors, as sharp as the matches are; infinite like a share of 0."""
        known = ~np.isnan(errors)
        if known.mean() < LEAST_KNOWN:
            return np.inf
        return float(np.mean(self._bounded(errors)[known]))

    def pair_costs(self, errors: np.ndarray) -> np.ndarray:
        """Mean (P,) of the bounded errors of each pair, infinite for one without poses."""
        known = ~np.isnan(errors)
        pair, count = self.pairs.pair[known], len(self.pairs)
        total = np.bincount(pair, self._bounded(errors)[known], count)
        number = np.bincount(pair, minlength=count)
        return np.where(number > 0, total / np.maximum(number, 1), np.inf)

    def _bounded(self, errors: np.ndarray) -> np.ndarray:
        """Errors in units of the least tolerance, up to 2."""
        return np.minimum(errors * self.tolerance / self.least, 2.0)


def half_line_errors(pairs: ViewPairs, poses: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Distance (M,) [px] of each match's second pixel from the half-line of the first one."""
    infinite, towards, epipole = _half_lines(pairs, poses, matrices)
    off = pairs.in_second - infinite[:, :2] / infinite[:, 2:]
    with np.errstate(divide='ignore', invalid='ignore'):
        direction = towards / np.linalg.norm(towards, axis=1, keepdims=True)
        end = (
            (epipole[:, :2] / epipole[:, 2:] - infinite[:, :2] / infinite[:, 2:]) * direction
        ).sum(1)
    direction = np.nan_to_num(direction)  # no baseline: the half-line is a point
    along = np.clip((off * direction).sum(1), 0.0, np.where(epipole[:, 2] > 0, end, np.inf))
    errors = np.linalg.norm(off - along[:, None] * direction, axis=1)
    errors[infinite[:, 2] <= 0] = np.inf
    errors[
        ~np.isfinite(poses[pairs.second[pairs.pair], 0, 0] + poses[pairs.first[pairs.pair], 0, 0])
    ] = np.nan
    return errors


def parallax(
    pairs: ViewPairs,
    poses: np.ndarray,
    matrices: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Parallax (M,) [px] of the matches towards the epipole, and depth (M,) in the first view.

    Depth is that of the half-line's point nearest to the second pixel; without a baseline it is
    NaN or huge.
    """
    infinite, towards, epipole = _half_lines(pairs, poses, matrices)
    off = pairs.in_second - infinite[:, :2] / infinite[:, 2:]
    length = np.linalg.norm(towards, axis=1)
    with np.errstate(divide='ignore', invalid='ignore'):
        along = (off * towards).sum(1) / length
        return along, (length - along * epipole[:, 2]) / (along * infinite[:, 2])


def _half_lines(
    pairs: ViewPairs,
    poses: np.ndarray,
    matrices: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per match: the point at infinity (M, 3), direction (M, 2), epipole (M, 3), in the second."""
    second_from_first = np.linalg.solve(_known(poses[pairs.second]), _known(poses[pairs.first]))
    to_second = (
        matrices[pairs.second]
        @ second_from_first[:, :3, :3]
        @ np.linalg.inv(matrices[pairs.first])
    )
    first = np.concatenate([pairs.in_first, np.ones((len(pairs.pair), 1))], axis=1)
    infinite = np.einsum('mij,mj->mi', to_second[pairs.pair], first)
    epipole = np.einsum('pij,pj->pi', matrices[pairs.second], second_from_first[:, :3, 3])[
        pairs.pair
    ]
    infinite[:, 2] = np.where(infinite[:, 2] == 0, -1e-9, infinite[:, 2])
    towards = (epipole[:, :2] - infinite[:, :2] / infinite[:, 2:] * epipole[:, 2:]) * np.sign(
        infinite[:, 2:]
    )
    return infinite, towards, epipole


def _known(poses: np.ndarray) -> np.ndarray:
    """The poses, the identity in the place of those that are NaN."""
    return np.where(np.isfinite(poses), poses, np.eye(4))
