# SPDX-License-Identifier: Apache-2.0
"""Relative poses of a query and mapping images by essential matrices.

Hartley and Zisserman, *Multiple View Geometry*, 2004, sections 9.6 and 11.7.3; the five-point
algorithm (Nister, TPAMI 2004) and its RANSAC are OpenCV's.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MAX_EPIPOLAR_PX = 1.5  # of RANSAC, at the query's resolution
CONFIDENCE, MOST_ITERATIONS = 0.9999, 2000
FEWEST = 15  # matches that fit an essential matrix by more than chance
#: Median motion [px] beyond that of the rotation, below which the direction is that of noise.
LEAST_PARALLAX_PX = 3 * MAX_EPIPOLAR_PX


@dataclass(frozen=True)
class RelativePose:
    """Pose of the query's camera as one mapping image sees it; its distance is unknown.

    world_from_query: rotation (3, 3). centre (3,): of the mapping camera. towards (3,): unit
    vector in the world from there to the query. query_rays, reference_rays (N, 2): matches in
    normalised coordinates, of which `inliers` (N,) bool fit. world_from_reference (4, 4).
    parallax_px: median motion of the inliers that the rotation does not explain.
    """

    world_from_query: np.ndarray
    centre: np.ndarray
    towards: np.ndarray
    query_rays: np.ndarray
    reference_rays: np.ndarray
    inliers: np.ndarray
    world_from_reference: np.ndarray
    parallax_px: float

    @property
    def count(self) -> int:
        """Number of inliers."""
        return int(self.inliers.sum())

    @property
    def is_rotation(self) -> bool:
        """Return True if the query stands where the mapping image does: no direction is known."""
        return self.parallax_px < LEAST_PARALLAX_PX


def relative_pose(
    query_rays: np.ndarray,
    reference_rays: np.ndarray,
    world_from_reference: np.ndarray,
    focal_px: float,
) -> RelativePose | None:
    """Estimate an essential matrix and the pose that it stands for.

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
    essential, mask = cv2.findEssentialMat(
        reference_rays,
        query_rays,
        np.eye(3),
        method=cv2.USAC_MAGSAC,
        prob=CONFIDENCE,
        threshold=MAX_EPIPOLAR_PX / focal_px,
        maxIters=MOST_ITERATIONS,
    )
    if essential is None or essential.shape != (3, 3):
        return None
    inliers = mask.ravel() > 0
    if inliers.sum() < FEWEST:
        return None
    rotation, direction, inliers = decomposed(essential, query_rays, reference_rays, inliers)
    if inliers.sum() < FEWEST:
        return None
    turned = homogeneous(reference_rays[inliers]) @ rotation.T
    motion = query_rays[inliers] - turned[:, :2] / turned[:, 2:]
    world_from_reference = np.asarray(world_from_reference, dtype=float)
    towards = world_from_reference[:3, :3] @ (-rotation.T @ direction)
    return RelativePose(
        world_from_reference[:3, :3] @ rotation.T,
        world_from_reference[:3, 3],
        towards / np.linalg.norm(towards),
        query_rays,
        reference_rays,
        inliers,
        world_from_reference,
        focal_px * float(np.median(np.linalg.norm(motion, axis=1))),
    )


def decomposed(
    essential: np.ndarray, query_rays: np.ndarray, reference_rays: np.ndarray, inliers: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return R (3, 3) and t (3,) of query_from_reference, and the inliers (N,) that are left.

    E = [t]x R has four solutions (result 9.19); in the right one points lie before both cameras.
    """
    u, _, vt = np.linalg.svd(essential)
    u, vt = u * np.sign(np.linalg.det(u)), vt * np.sign(np.linalg.det(vt))
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    first, second = (homogeneous(rays[inliers]) for rays in (query_rays, reference_rays))
    solutions = [
        (u @ turn @ vt, sign * u[:, 2]) for turn in (quarter, quarter.T) for sign in (1, -1)
    ]
    ahead = [in_front(first, second @ rotation.T, t) for rotation, t in solutions]
    best = int(np.argmax([one.sum() for one in ahead]))
    kept = inliers.copy()
    kept[inliers] = ahead[best]
    return *solutions[best], kept


def in_front(query: np.ndarray, turned: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return which points (N,) bool lie before both cameras.

    A point at s query = u turned + direction, with rays (N, 3) in axes of the query: the least
    squares solution has s and u above zero, however far away the point is.
    """
    normal = np.cross(query, turned)
    along_query = (np.cross(direction, turned) * normal).sum(1)
    along_turned = (np.cross(direction, query) * normal).sum(1)
    return np.asarray((along_query > 0) & (along_turned > 0))


def homogeneous(rays: np.ndarray) -> np.ndarray:
    """Append 1 to rays (N, 2)."""
    return np.column_stack([rays, np.ones(len(rays))])
