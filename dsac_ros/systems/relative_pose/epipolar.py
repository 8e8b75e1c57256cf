# SPDX-License-Identifier: Apache-2.0
"""Epipolar errors of a camera and several mapping images, and the pose that minimises them.

A ray b of the query, from its centre c, and a ray a of a mapping image, from its centre k, show
one point if they lie in one plane: e = (R b) . ((k - c) x a) = 0 with the query's rotation R.
Errors are Sampson distances (Hartley and Zisserman 2004, eq. 11.9). The mapping cameras stand
still, so that their distances tell the scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dsac_ros.geometry.rotation import matrix_from_axis_angle, skew
from dsac_ros.systems.relative_pose.essential import RelativePose, homogeneous

INLIER_PX = 2.0  # of an epipolar error
ITERATIONS = 15
#: Scale of the Cauchy weights [INLIER_PX] at first, at last, and its factor from step to step.
WIDE, NARROW, SHRINK = 4.0, 0.5, 0.6
RIDGE = 1e-9


@dataclass(frozen=True)
class Matches:
    """Matches of a query with several mapping images.

    query (M, 3): rays in the query's camera; seen (M, 3): rays of the mapping images in the world,
    both of length 1 along the optical axis. reference (M,): index of the mapping image; rotations
    (M, 3, 3) and centres (M, 3): its world_from_camera. focal_px: of the query.
    """

    query: np.ndarray
    seen: np.ndarray
    reference: np.ndarray
    rotations: np.ndarray
    centres: np.ndarray
    focal_px: float

    @classmethod
    def of(cls, relative: Sequence[RelativePose], focal_px: float) -> Matches:
        """Collect those of relative poses, also such as RANSAC left out."""
        reference = np.repeat(np.arange(len(relative)), [len(one.query_rays) for one in relative])
        poses = np.stack([one.world_from_reference for one in relative])[reference]
        rays = homogeneous(np.concatenate([one.reference_rays for one in relative]))
        return cls(
            homogeneous(np.concatenate([one.query_rays for one in relative])),
            np.einsum('mij,mj->mi', poses[:, :3, :3], rays),
            reference,
            poses[:, :3, :3],
            poses[:, :3, 3],
            focal_px,
        )

    def errors(self, pose: np.ndarray) -> np.ndarray:
        """Return signed Sampson distances (M,) [px] of a pose (4, 4)."""
        return self.linearised(pose)[0]

    def linearised(self, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the errors (M,) [px] and their derivatives (M, 6) by the perturbation of `moved`.

        r = f e / s with the slope s of e by the pixels of both images: dr = f (de - e ds / s) / s.
        """
        to_query, to_seen = pose[:3, :2].T, self.rotations[:, :, :2].transpose(0, 2, 1)
        ray, between = self.query @ pose[:3, :3].T, self.centres - pose[:3, 3]
        plane, across = np.cross(between, self.seen), np.cross(ray, between)
        in_query, in_seen = plane @ to_query.T, (to_seen @ across[..., None])[..., 0]
        slope = np.sqrt((in_query**2).sum(1) + (in_seen**2).sum(1)) + 1e-12
        error = (ray * plane).sum(1) / slope
        by_pose = np.concatenate([np.cross(ray, self.seen), np.cross(ray, plane)], 1)
        turned = crossed(ray)
        in_query_by_pose = to_query @ np.concatenate([crossed(self.seen), crossed(plane)], 2)
        in_seen_by_pose = to_seen @ np.concatenate([-turned, crossed(between) @ turned], 2)
        slope_by_pose = np.einsum('mi,mij->mj', in_query, in_query_by_pose) + np.einsum(
            'mi,mij->mj', in_seen, in_seen_by_pose
        )
        by_pose -= (error / slope)[:, None] * slope_by_pose
        return self.focal_px * error, self.focal_px * by_pose / slope[:, None]

    def ahead(self, pose: np.ndarray) -> np.ndarray:
        """Return which matches (M,) bool show a point before both cameras, not behind one."""
        ray, between = self.query @ pose[:3, :3].T, self.centres - pose[:3, 3]
        normal = np.cross(ray, self.seen)
        return np.asarray(
            ((np.cross(between, self.seen) * normal).sum(1) > 0)
            & ((np.cross(between, ray) * normal).sum(1) > 0)
        )

    def fitting(self, pose: np.ndarray) -> np.ndarray:
        """Return which matches (M,) bool fit a pose."""
        return (np.abs(self.errors(pose)) < INLIER_PX) & self.ahead(pose)

    def msac(self, pose: np.ndarray, within_px: float) -> float:
        """Return the MSAC score of a pose: at most the number of matches."""
        errors = np.where(self.ahead(pose), self.errors(pose) / within_px, 1.0)
        return float(np.maximum(0.0, 1.0 - errors**2).sum())


def refined(pose: np.ndarray, matches: Matches) -> np.ndarray:
    """Minimise the epipolar errors of all matches: Gauss-Newton with Cauchy weights."""
    scale = WIDE * INLIER_PX
    for _ in range(ITERATIONS):
        errors, jacobian = matches.linearised(pose)
        weights = 1 / (1 + (errors / scale) ** 2)
        information = jacobian.T @ (weights[:, None] * jacobian)
        information += RIDGE * np.diag(np.diag(information) + 1e-12)
        pose = moved(pose, -np.linalg.solve(information, jacobian.T @ (weights * errors)))
        scale = max(NARROW * INLIER_PX, SHRINK * scale)
    return pose


def covariance_of(pose: np.ndarray, matches: Matches, fitting: np.ndarray) -> np.ndarray:
    """Return the covariance (6, 6) [m, rad] of a pose from the errors of `fitting` (M,) bool."""
    if fitting.sum() < 7:
        return np.full((6, 6), np.inf)
    errors, jacobian = (one[fitting] for one in matches.linearised(pose))
    variance = float((errors**2).sum()) / (len(errors) - 6)
    information = jacobian.T @ jacobian
    scale = np.sqrt(np.diag(information)) + 1e-300
    scaled = information / np.outer(scale, scale) + 1e-12 * np.eye(6)
    return np.asarray(variance * np.linalg.inv(scaled) / np.outer(scale, scale))


def crossed(vectors: np.ndarray) -> np.ndarray:
    """Return the matrices (M, 3, 3) that multiply by vectors (M, 3) from the left, as a cross."""
    return skew(torch.from_numpy(vectors)).numpy()


def moved(pose: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Perturb a pose (4, 4) by (x, y, z, rotation) (6,) in world axes."""
    result = pose.copy()
    result[:3, 3] += step[:3]
    result[:3, :3] = matrix_from_axis_angle(torch.from_numpy(step[3:])).numpy() @ pose[:3, :3]
    return result
