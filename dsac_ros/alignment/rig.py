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
from dsac_ros.ransac.correspondences import Correspondences, normalize_correspondences
from dsac_ros.ransac.estimator import draw_samples
from dsac_ros.ransac.minimal import first_poses
from dsac_ros.ransac.scoring import squared_error
from dsac_ros.types import SceneCoordinates

#: Reprojection error of an inlier [px]: that of features, and some for the odometry.
INLIER_PX = 6.0
HYPOTHESES = 256  # minimal sets in each image
COUNTED = 32  # poses of most inliers whose distributed inliers are counted
REFINEMENTS = 5
PER_BIN = 2  # inliers that count in each grid bin of an image


@dataclass(frozen=True)
class RigView:
    """Matches (1, N) of one image, its size, and the pose of its camera in the rig (4, 4)."""

    matches: SceneCoordinates
    size_wh: tuple[int, int]
    rig_from_camera: Tensor


@dataclass(frozen=True)
class RigPose:
    """A pose of the rig (4, 4) and the distinct points that agree with it, in each view (V,)."""

    world_from_rig: Tensor
    inlier_counts: tuple[int, ...]

    @property
    def inlier_count(self) -> int:
        """Points of the map that agree with the pose in some view."""
        return sum(self.inlier_counts)


def estimate_rig_pose(views: Sequence[RigView], seed: int = 0) -> RigPose | None:
    """Estimate the pose of a rig from the matches of its views; None without any hypothesis."""
    seen = [normalize_correspondences(view.matches) for view in views]
    hypotheses = torch.cat([_hypotheses(*one, seed) for one in zip(views, seen)])
    if not len(hypotheses):
        return None
    counts = sum(_inliers(hypotheses, *one).sum(-1) for one in zip(views, seen))
    best = max(
        (
            _counted(pose, views, seen)
            for pose in hypotheses[counts.argsort(descending=True)[:COUNTED]]
        ),
        key=lambda found: found.inlier_count,
    )
    refined = _counted(_refined(best.world_from_rig, views, seen), views, seen)
    return refined if refined.inlier_count >= best.inlier_count else best


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


def _counted(
    world_from_rig: Tensor, views: Sequence[RigView], seen: Sequence[Correspondences]
) -> RigPose:
    """Count the points that agree with a pose: each once, and PER_BIN in a bin of an image.

    What repeats itself fits a wrong pose in every view; it counts in one.
    """
    counted: set[tuple[float, ...]] = set()
    counts = []
    for view, one in zip(views, seen):
        rows = _inliers(world_from_rig[None], view, one)[0].nonzero()[:, 0]
        points = [tuple(p) for p in view.matches.points_world[0][rows].tolist()]
        new = torch.tensor([p not in counted for p in points], dtype=torch.bool)
        bins = torch.bincount(grid_bins(view.matches.pixels[0][rows][new], view.size_wh))
        counts.append(int(bins.clamp(max=PER_BIN).sum()))
        counted.update(points)
    return RigPose(world_from_rig, tuple(counts))


def _refined(
    world_from_rig: Tensor, views: Sequence[RigView], seen: Sequence[Correspondences]
) -> Tensor:
    """Minimise the reprojection errors of the inliers of all views by Gauss-Newton."""
    pose = world_from_rig.double()
    for _ in range(REFINEMENTS):
        normal, gradient = torch.zeros(6, 6).double(), torch.zeros(6).double()
        for view, one in zip(views, seen):
            rows = _inliers(pose[None], view, one)[0]
            jacobian, residual = _linearised(pose, view, one, rows)
            normal += torch.einsum('nri,nrj->ij', jacobian, jacobian)
            gradient += torch.einsum('nri,nr->i', jacobian, residual)
        step = torch.linalg.lstsq(normal, -gradient[:, None]).solution[:, 0]
        pose = se3.exp(step) @ pose
    return pose.to(world_from_rig)


def _linearised(
    world_from_rig: Tensor, view: RigView, seen: Correspondences, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Return Jacobian (M, 2, 6) and residual (M, 2) [px] of a left perturbation of the pose."""
    points = view.matches.points_world[0][rows].double()
    camera_from_world = se3.inverse(world_from_rig @ view.rig_from_camera.double())
    local = se3.transform(camera_from_world, points)
    x, y, z = local.unbind(-1)
    zero, focal = torch.zeros_like(z), seen.focal[0].double()
    by_local = torch.stack(
        [
            torch.stack([focal[0] / z, zero, -focal[0] * x / z**2], -1),
            torch.stack([zero, focal[1] / z, -focal[1] * y / z**2], -1),
        ],
        1,
    )
    # exp(d) moves the rig: a point of the world moves by -(t + r x p) as seen from it.
    by_twist = torch.cat([-torch.eye(3).double().expand(len(points), 3, 3), _skew(points)], -1)
    jacobian = by_local @ (camera_from_world[:3, :3] @ by_twist)
    residual = focal * local[:, :2] / z[:, None] - seen.pixels[0][rows].double()
    return jacobian, residual


def _skew(vectors: Tensor) -> Tensor:
    from dsac_ros.geometry.rotation import skew

    return skew(vectors)
