# SPDX-License-Identifier: Apache-2.0
"""One pose for several images whose relative poses are known: a rig, or a robot with odometry.

An image of which half is covered has too few matches to tell a right pose from a wrong one. Where
several images, taken from different viewpoints, agree with one pose of the rig, their matches
count together. Hypotheses come from minimal sets of single images (P3P) and are scored in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.alignment.landmarks import grid_bins
from dsac_ros.config import RansacConfig
from dsac_ros.geometry import se3
from dsac_ros.geometry.covariance import covariance_at
from dsac_ros.geometry.rotation import skew
from dsac_ros.ransac.correspondences import Correspondences, normalize_correspondences
from dsac_ros.ransac.estimator import draw_samples
from dsac_ros.ransac.minimal import first_poses
from dsac_ros.ransac.scoring import squared_error
from dsac_ros.types import SceneCoordinates

#: Reprojection error of an inlier [px]: that of features, and some for the odometry.
INLIER_PX = 6.0
HYPOTHESES = 1024  # minimal sets in each image
REFINED = 16  # poses of most inliers that are refined
REFINEMENTS = 5  # Gauss-Newton steps, each with the inliers of the last pose
PER_BIN = 2  # inliers that count in each grid bin of an image
#: Inliers by which a view supports a pose. Of 120 windows of three images of another place, in two
#: maps, none had as many in two views; the sum was 7 at most (docs/recovery.md).
SUPPORT = 4


@dataclass(frozen=True)
class RigView:
    """Matches (1, N) of one image, its size, and the pose of its camera in the rig (4, 4)."""

    matches: SceneCoordinates
    size_wh: tuple[int, int]
    rig_from_camera: Tensor


@dataclass(frozen=True)
class RigPose:
    """A pose of the rig, and what agrees with it.

    world_from_rig (4, 4); inlier_counts: distinct points of the map in each view that has matches;
    covariance (6, 6) of the perturbation (x, y, z, rotation vector) of the rig in world axes
    [m, rad], for errors of INLIER_PX / 2 in the pixels.
    """

    world_from_rig: Tensor
    inlier_counts: tuple[int, ...]
    covariance: Tensor

    @property
    def inlier_count(self) -> int:
        """Distinct points of the map that agree with the pose in some view."""
        return sum(self.inlier_counts)

    @property
    def supporting_views(self) -> int:
        """Views that hold more inliers than fit a pose that others chose."""
        return sum(count >= SUPPORT for count in self.inlier_counts)


def estimate_rig_pose(views: Sequence[RigView], seed: int = 0) -> RigPose | None:
    """Estimate the pose of a rig from the matches of its views; None without any hypothesis."""
    views = [view for view in views if view.matches.pixels.shape[1]]
    if not views:
        return None
    seen = [normalize_correspondences(view.matches) for view in views]
    hypotheses = torch.cat([_hypotheses(*one, seed) for one in zip(views, seen)])
    if not len(hypotheses):
        return None
    counts = torch.stack([_inliers(hypotheses, *one).sum(-1) for one in zip(views, seen)]).sum(0)
    likely = hypotheses[counts.argsort(descending=True)[:REFINED]]
    poses = torch.cat([likely, _refined(likely, views, seen)])
    pose = max(poses, key=lambda pose: sum(_distinct_inliers(pose, views, seen)))
    normal, _ = _normal_equations(pose[None].double(), views, seen)
    raw = torch.linalg.pinv(normal[0], hermitian=True) * (INLIER_PX / 2) ** 2
    # The perturbation turns about the origin of the world; poses are reported about themselves.
    covariance = covariance_at(raw.cpu().numpy(), pose[:3, 3].double().cpu().numpy())
    inlier_counts = _distinct_inliers(pose, views, seen)
    return RigPose(pose, inlier_counts, torch.from_numpy(covariance))


def _hypotheses(view: RigView, seen: Correspondences, seed: int) -> Tensor:
    """Return poses of the rig (H, 4, 4) by minimal sets of one view."""
    if int(seen.valid.sum()) < 4:
        return torch.zeros(0, 4, 4, dtype=seen.points.dtype)
    generator = torch.Generator(seen.points.device).manual_seed(seed)
    config = RansacConfig(hypotheses=HYPOTHESES)
    sets = draw_samples(seen.precision, config, generator).sets
    poses, valid = first_poses(seen, sets, HYPOTHESES)
    world_from_camera = seen.world_from_camera(poses)[valid]
    return world_from_camera @ se3.inverse(view.rig_from_camera.to(world_from_camera))


def _inliers(world_from_rig: Tensor, view: RigView, seen: Correspondences) -> Tensor:
    """Return the mask (H, N) of the matches of a view that agree with poses (H, 4, 4)."""
    world_from_camera = world_from_rig @ view.rig_from_camera.to(world_from_rig)
    pose = seen.camera_from_scaled(world_from_camera[None].to(seen.points))
    return (squared_error(pose, seen)[0] < INLIER_PX**2) & seen.valid[0]


def _distinct_inliers(
    world_from_rig: Tensor, views: Sequence[RigView], seen: Sequence[Correspondences]
) -> tuple[int, ...]:
    """Count the points that agree with a pose: each in one view, and PER_BIN in a bin of it.

    A wrong match that repeats itself from view to view is one piece of evidence.
    """
    counted: set[tuple[float, ...]] = set()
    counts = []
    for view, one in zip(views, seen):
        rows = _inliers(world_from_rig[None], view, one)[0].nonzero()[:, 0]
        points = [tuple(p) for p in view.matches.points_world[0][rows].tolist()]
        new = torch.tensor([p not in counted for p in points], dtype=torch.bool)
        bins = torch.bincount(grid_bins(view.matches.pixels[0][rows.cpu()[new]], view.size_wh))
        counts.append(int(bins.clamp(max=PER_BIN).sum()))
        counted.update(points)
    return tuple(counts)


def _refined(
    world_from_rig: Tensor, views: Sequence[RigView], seen: Sequence[Correspondences]
) -> Tensor:
    """Minimise the errors of the inliers of all views by Gauss-Newton, for poses (H, 4, 4)."""
    poses = world_from_rig.double()
    for _ in range(REFINEMENTS):
        normal, gradient = _normal_equations(poses, views, seen)
        step = torch.linalg.pinv(normal, hermitian=True) @ -gradient[..., None]
        poses = se3.exp(step[..., 0]) @ poses
    return poses.to(world_from_rig)


def _normal_equations(
    world_from_rig: Tensor, views: Sequence[RigView], seen: Sequence[Correspondences]
) -> tuple[Tensor, Tensor]:
    """Return J^T J (H, 6, 6) and J^T r (H, 6) of the inliers, for left perturbations of poses."""
    count = len(world_from_rig)
    normal, gradient = world_from_rig.new_zeros(count, 6, 6), world_from_rig.new_zeros(count, 6)
    for view, one in zip(views, seen):
        inliers = _inliers(world_from_rig, view, one)
        jacobian, residual = _linearised(world_from_rig, view, one)
        # NaN and infinity of points at the camera are no inliers, and must not meet a zero.
        jacobian = jacobian.where(inliers[..., None, None], 0.0)
        residual = residual.where(inliers[..., None], 0.0)
        normal += torch.einsum('hnri,hnrj->hij', jacobian, jacobian)
        gradient += torch.einsum('hnri,hnr->hi', jacobian, residual)
    return normal, gradient


def _linearised(
    world_from_rig: Tensor, view: RigView, seen: Correspondences
) -> tuple[Tensor, Tensor]:
    """Return Jacobians (H, N, 2, 6) and residuals (H, N, 2) [px] of left perturbations."""
    points = view.matches.points_world[0].to(world_from_rig)
    camera_from_world = se3.inverse(world_from_rig @ view.rig_from_camera.to(world_from_rig))
    local = se3.transform(camera_from_world, points)
    x, y, z = local.unbind(-1)
    zero, focal = torch.zeros_like(z), seen.focal[0].to(world_from_rig)
    by_local = torch.stack(
        [
            torch.stack([focal[0] / z, zero, -focal[0] * x / z**2], -1),
            torch.stack([zero, focal[1] / z, -focal[1] * y / z**2], -1),
        ],
        -2,
    )
    # exp(d) moves the rig: a point of the world moves by -(t + r x p) as seen from it.
    minus_one = -torch.eye(3).to(points).expand(len(points), 3, 3)
    by_twist = torch.cat([minus_one, skew(points)], -1)
    jacobian = by_local @ (camera_from_world[:, None, :3, :3] @ by_twist)
    residual = focal * local[..., :2] / z[..., None] - seen.pixels[0].to(world_from_rig)
    return jacobian, residual
