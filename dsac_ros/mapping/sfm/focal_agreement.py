# SPDX-License-Identifier: Apache-2.0
"""Focal lengths that mapping frames fit, beside those that they were given.

Where one guess stands for many lenses, poses and points come to terms with it. A query with the
same guess gets the pose that belongs to this map, although its image fits another focal length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dsac_ros.alignment.matched_points import matched_points
from dsac_ros.config import AcceptConfig
from dsac_ros.focal_check import FEATURE_PX, SIGMAS, fitted_focal
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.tracks import Tracks

MOST_VIEWS = 24  # that are tested, from all of the drive
OTHERS = 3  # views that see a point beside the one tested: its place is theirs
# Where a larger share of the views contradict their focal lengths these are guesses, and so many
# times their largest error is allowed: most views do not tell theirs. Of five places one has such
# views, a sixth of them, and its queries are off by up to 0.2.
CONTRADICTING, MARGIN = 0.1, 2.0


def focal_error(views: Sequence[View], tracks: Tracks) -> float:
    """Return the relative error of the views' focal lengths; 0 where hardly any contradicts."""
    off = np.abs(np.log(fitted_ratios(views, tracks)))
    if not len(off) or (off > 0).mean() <= CONTRADICTING:
        return 0.0
    return float(np.expm1(MARGIN * off.max()))


def fitted_ratios(views: Sequence[View], tracks: Tracks) -> np.ndarray:
    """Return the focal lengths (V,) that some views fit, as multiples of their own.

    1 where a view does not contradict its own by more than a query may.
    """
    seen_by = np.bincount(tracks.point, minlength=len(tracks.points))
    known = seen_by[tracks.point] > OTHERS
    ratios = []
    for index in np.linspace(0, len(views) - 1, min(MOST_VIEWS, len(views))).astype(int):
        rows = np.flatnonzero(known & (tracks.view == index))
        scene = matched_points(
            [torch.from_numpy(tracks.points[tracks.point[rows]]).float()],
            [torch.from_numpy(tracks.pixels[rows]).float()],
            torch.from_numpy(views[index].matrix),
        )
        fit = fitted_focal(scene, torch.from_numpy(views[index].scene_from_camera), FEATURE_PX)
        wrong = (
            fit.is_conclusive
            and fit.log_error > AcceptConfig().max_focal_error + SIGMAS * fit.sigma
        )
        ratios.append(fit.ratio if wrong else 1.0)
    return np.array(ratios)
