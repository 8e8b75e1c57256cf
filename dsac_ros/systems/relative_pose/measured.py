# SPDX-License-Identifier: Apache-2.0
"""Pose by matches with mapping images that have depth: their features are points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dsac_ros.alignment.matched_points import matched_points
from dsac_ros.config import RansacConfig
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.systems.relative_pose.absolute import AbsolutePose

FEWEST = 12  # inliers that a wrong pose hardly ever has


def measured_pose(
    points: Sequence[np.ndarray],
    pixels: Sequence[np.ndarray],
    matrix: np.ndarray,
    config: RansacConfig,
) -> AbsolutePose | None:
    """Estimate a pose from points of several mapping images; None where too few agree.

    Args:
        points: of each mapping image those matched (N, 3), relative to the map's origin.
        pixels: where the query sees them (N, 2).
        matrix: intrinsics (3, 3) of the query.
        config: of RANSAC.
    """
    every = np.concatenate([*points, np.zeros((0, 3))]).astype(np.float32)
    if len(every) < FEWEST:
        return None
    scene = matched_points(
        [torch.from_numpy(every)],
        [torch.from_numpy(np.concatenate(pixels)).float()],
        torch.from_numpy(matrix),
    )
    found = estimate_pose(scene, config)
    count = int(found.inlier_count[0])
    if not bool(found.found[0]) or count < FEWEST:
        return None
    of_image = np.repeat(np.arange(len(points)), [len(one) for one in points])
    inliers = found.inliers[0].cpu().numpy()[: len(of_image)]
    return AbsolutePose(
        found.world_from_camera[0].double().numpy(),
        found.covariance[0].double().numpy(),
        count,
        len(np.unique(of_image[inliers])),
    )
