# SPDX-License-Identifier: Apache-2.0
"""Relative poses of a query and mapping images by essential matrices."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MAX_EPIPOLAR_PX = 1.5  # of RANSAC, at the query's resolution
CONFIDENCE, MOST_ITERATIONS = 0.9999, 2000
FEWEST = 15  # matches that fit an essential matrix by more than chance


@dataclass(frozen=True)
class RelativePose:
    """Pose of the query's camera as one mapping image sees it; its distance is unknown.

    world_from_query: rotation (3, 3). centre (3,): of the mapping camera. towards (3,): unit
    vector in the world from there to the query. query_rays, reference_rays (N, 2): matches in
    normalised coordinates, of which `inliers` (N,) bool fit. world_from_reference (4, 4).
    """

    world_from_query: np.ndarray
    centre: np.ndarray
    towards: np.ndarray
    query_rays: np.ndarray
    reference_rays: np.ndarray
    inliers: np.ndarray
    world_from_reference: np.ndarray

    @property
    def count(self) -> int:
        """Number of inliers."""
        return int(self.inliers.sum())


def relative_pose(
    query_rays: np.ndarray,
    reference_rays: np.ndarray,
    world_from_reference: np.ndarray,
    focal_px: float,
) -> RelativePose | None:
    """Estimate an essential matrix by the five-point algorithm in RANSAC (Nister, TPAMI 2004).

    Args:
        query_rays: matches (N, 2) in normalised coordinates of the query.
        reference_rays: the same in the mapping image.
        world_from_reference: its pose (4, 4).
        focal_px: focal length of the query.

    Returns:
        None where fewer than FEWEST matches agree.
    """
    if len(query_rays) < FEWEST:
        return None
    # OpenCV draws from its own generator: the same matches have the same pose.
    cv2.setRNGSeed(0)
    found, mask = cv2.findEssentialMat(
        reference_rays,
        query_rays,
        np.eye(3),
        method=cv2.USAC_MAGSAC,
        prob=CONFIDENCE,
        threshold=MAX_EPIPOLAR_PX / focal_px,
        maxIters=MOST_ITERATIONS,
    )
    if found is None or found.shape != (3, 3) or int(mask.sum()) < FEWEST:
        return None
    count, rotation, translation, mask = cv2.recoverPose(
        found, reference_rays, query_rays, np.eye(3), mask=mask.copy()
    )
    if count < FEWEST:
        return None
    world_from_reference = np.asarray(world_from_reference, dtype=float)
    towards = world_from_reference[:3, :3] @ (-rotation.T @ translation[:, 0])
    return RelativePose(
        world_from_reference[:3, :3] @ rotation.T,
        world_from_reference[:3, 3],
        towards / np.linalg.norm(towards),
        query_rays,
        reference_rays,
        mask[:, 0] > 0,
        world_from_reference,
    )
