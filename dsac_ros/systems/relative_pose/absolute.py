# SPDX-License-Identifier: Apache-2.0
"""Absolute pose from relative poses with several mapping images.

Zhou et al., "To Learn or Not to Learn: Visual Localization from Essential Matrices", ICRA 2020,
section III: every pair of relative poses gives a hypothesis, its position by triangulation of the
two directions; the others vote. The pose is then refined on the epipolar errors of all matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsac_ros.geometry.rotation import matrix_from_axis_angle, skew
from dsac_ros.systems.relative_pose.essential import RelativePose

#: Angles [rad] within which a relative pose agrees with a hypothesis: 15 deg of the direction as
#: in the paper, and of the rotation, which is better known, less.
DIRECTION, ROTATION = np.radians(15.0), np.radians(7.0)
#: Between two directions that are triangulated [rad]; below, noise decides.
LEAST_ANGLE = np.radians(2.0)
MOST_VOTES = 100  # of one mapping image: inliers beyond say no more
INLIER_PX = 2.0  # of an epipolar error
ITERATIONS = 15
RIDGE = 1e-9


@dataclass(frozen=True)
class AbsolutePose:
    """A pose, its covariance, and what speaks for it.

    world_from_camera (4, 4), covariance (6, 6) [m, rad] in world axes (ROS order), inliers: number
    of matches that fit, references: number of mapping images that agree.
    """

    world_from_camera: np.ndarray
    covariance: np.ndarray
    inliers: int
    references: int


def absolute_pose(relative: Sequence[RelativePose], focal_px: float) -> AbsolutePose | None:
    """Estimate the pose of a query; None where no two relative poses agree.

    Args:
        relative: relative poses with two or more mapping images.
        focal_px: focal length of the query.
    """
    start = best_hypothesis(relative)
    if start is None:
        return None
    pose, agreeing = start
    together = [one for one, is_with in zip(relative, agreeing) if is_with]
    with torch.inference_mode(False):  # derivatives are taken forward
        return refined(pose, together, focal_px)


def best_hypothesis(relative: Sequence[RelativePose]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the pose (4, 4) that most relative poses agree with, and which do (K,) bool.

    Every ordered pair is tried: the rotation is that of the first.
    """
    if len(relative) < 2:
        return None
    rotations = np.stack([one.world_from_query for one in relative])
    centres = np.stack([one.centre for one in relative])
    directions = np.stack([one.towards for one in relative])
    votes = np.minimum([one.count for one in relative], MOST_VOTES).astype(float)
    first, second = np.nonzero(~np.eye(len(relative), dtype=bool))
    places, usable = triangulated(
        centres[first], directions[first], centres[second], directions[second]
    )
    if not usable.any():
        return None
    first, places = first[usable], places[usable]
    apart = rotation_angles(rotations)[first]
    towards = places[:, None] - centres
    cosine = (towards * directions).sum(2) / (np.linalg.norm(towards, axis=2) + 1e-12)
    agrees = (apart < ROTATION) & (cosine > np.cos(DIRECTION))
    # Among equals the one whose directions fit best.
    score = (agrees * votes * (1 + cosine)).sum(1)
    best = int(score.argmax())
    if agrees[best].sum() < 2:
        return None
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotations[first[best]], places[best]
    return pose, agrees[best]


def triangulated(
    first: np.ndarray, towards_first: np.ndarray, second: np.ndarray, towards_second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (P, 3) nearest to two rays each, and where these meet (P,) bool.

    Rays begin at `first`, `second` (P, 3) and have unit directions (P, 3). Parallel rays and
    those that meet behind a camera do not count.
    """
    cosine = (towards_first * towards_second).sum(1)
    between = second - first
    along_first, along_second = (
        (between * towards_first).sum(1),
        (between * towards_second).sum(1),
    )
    sine2 = np.maximum(1 - cosine**2, 1e-12)
    near_first = (along_first - cosine * along_second) / sine2
    near_second = (cosine * along_first - along_second) / sine2
    points = (
        first
        + near_first[:, None] * towards_first
        + second
        + near_second[:, None] * towards_second
    ) / 2
    usable = (sine2 > np.sin(LEAST_ANGLE) ** 2) & (near_first > 0) & (near_second > 0)
    return points, usable


def rotation_angles(rotations: np.ndarray) -> np.ndarray:
    """Return the angles (K, K) [rad] between rotations (K, 3, 3)."""
    trace = np.einsum('iab,jab->ij', rotations, rotations)
    return np.asarray(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def refined(pose: np.ndarray, relative: Sequence[RelativePose], focal_px: float) -> AbsolutePose:
    """Minimise the epipolar errors of all matches: Gauss-Newton with Cauchy weights.

    The mapping cameras stand still, so that their distances tell the scale. Matches that RANSAC
    left out take part: with other mapping images they may fit.
    """
    matches = Matches.of(relative)
    current = torch.from_numpy(pose)
    errors, jacobian = matches.linearised(current, focal_px)
    scale = 4 * INLIER_PX
    for _ in range(ITERATIONS):
        weights = 1 / (1 + (errors / scale) ** 2)
        information = jacobian.T @ (weights[:, None] * jacobian)
        information += RIDGE * torch.diag(information.diagonal() + 1e-12)
        step = -torch.linalg.solve(information, jacobian.T @ (weights * errors))
        current = moved(current, step)
        errors, jacobian = matches.linearised(current, focal_px)
        scale = max(INLIER_PX / 2, 0.6 * scale)
    inliers = errors.abs() < INLIER_PX
    return AbsolutePose(
        current.numpy(),
        covariance_of(errors[inliers], jacobian[inliers]),
        int(inliers.sum()),
        int(torch.bincount(matches.reference[inliers], minlength=len(relative)).gt(0).sum()),
    )


def covariance_of(errors: Tensor, jacobian: Tensor) -> np.ndarray:
    """Return the covariance (6, 6) from errors (N,) [px] and their derivatives (N, 6)."""
    if len(errors) < 7:
        return np.full((6, 6), np.inf)
    variance = float((errors**2).sum()) / (len(errors) - 6)
    information = jacobian.T @ jacobian
    scale = information.diagonal().sqrt() + 1e-300
    scaled = information / torch.outer(scale, scale) + 1e-12 * torch.eye(6, dtype=errors.dtype)
    return np.asarray((variance * torch.linalg.inv(scaled) / torch.outer(scale, scale)).numpy())


def moved(pose: Tensor, step: Tensor) -> Tensor:
    """Perturb a pose (4, 4) by (x, y, z, rotation) (6,) in world axes."""
    result = pose.clone()
    result[:3, 3] = pose[:3, 3] + step[:3]
    result[:3, :3] = matrix_from_axis_angle(step[3:]) @ pose[:3, :3]
    return result


@dataclass(frozen=True)
class Matches:
    """Matches of a query with several mapping images.

    query, seen (M, 3): rays, of length 1 along the optical axis. reference (M,): index of the
    mapping image, whose rotations (K, 3, 3) and centres (K, 3) are in the world.
    """

    query: Tensor
    seen: Tensor
    reference: Tensor
    rotations: Tensor
    centres: Tensor

    @classmethod
    def of(cls, relative: Sequence[RelativePose]) -> Matches:
        """Collect those of relative poses."""
        counts = torch.tensor([len(one.query_rays) for one in relative])
        poses = np.stack([one.world_from_reference for one in relative])
        return cls(
            homogeneous(np.concatenate([one.query_rays for one in relative])),
            homogeneous(np.concatenate([one.reference_rays for one in relative])),
            torch.arange(len(relative)).repeat_interleave(counts),
            torch.from_numpy(poses[:, :3, :3].copy()),
            torch.from_numpy(poses[:, :3, 3].copy()),
        )

    def errors(self, pose: Tensor, focal_px: float) -> Tensor:
        """Return signed Sampson distances (M,) [px] (Hartley and Zisserman 2004, eq. 11.9)."""
        # x_query^T E x_seen = 0 with E = R_q^T [c_r - c_q]_x R_r
        essential = pose[:3, :3].T @ skew(self.centres - pose[:3, 3]) @ self.rotations
        essential = essential / (torch.linalg.matrix_norm(essential)[:, None, None] + 1e-12)
        of_match = essential[self.reference]
        in_query = (of_match @ self.seen[..., None])[..., 0]
        in_seen = (of_match.transpose(1, 2) @ self.query[..., None])[..., 0]
        slope = (in_query[:, :2] ** 2).sum(1) + (in_seen[:, :2] ** 2).sum(1)
        return focal_px * (self.query * in_query).sum(1) / (slope.sqrt() + 1e-12)

    def linearised(self, pose: Tensor, focal_px: float) -> tuple[Tensor, Tensor]:
        """Return the errors (M,) and their derivatives (M, 6) by the perturbation of `moved`."""
        none = torch.zeros(6, dtype=pose.dtype)
        derivatives = torch.func.jacfwd(lambda step: self.errors(moved(pose, step), focal_px))(
            none
        )
        return self.errors(pose, focal_px), derivatives


def homogeneous(rays: np.ndarray) -> Tensor:
    """Append 1 to rays (M, 2)."""
    return torch.from_numpy(np.column_stack([rays, np.ones(len(rays))]))
