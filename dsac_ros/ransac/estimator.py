# SPDX-License-Identifier: Apache-2.0
"""From scene coordinates to the camera's pose: a fixed amount of work, whatever the inlier ratio.

Draw minimal sets, solve them all, and let ever fewer hypotheses meet ever more cells: a screening
on a handful, a pre-score on a random subset, a few refinement steps there, all cells for the best,
and a full refinement of the few that are left (successive halving; no loop depends on the data).
"""
from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dsac_ros.config import RansacConfig
from dsac_ros.geometry import se3
from dsac_ros.ransac import refine, sampling, scoring, selection
from dsac_ros.ransac.correspondences import Correspondences, correspondences
from dsac_ros.ransac.p3p import solve_p3p
from dsac_ros.types import SceneCoordinates

MIN_CELLS = 4
SPREAD_GRID = (8, 6)
# Two poses agree when they differ by less than this share of the scene's depth and this angle.
AGREE_DEPTH = 0.02
AGREE_RAD = 0.035


@dataclass(frozen=True)
class PoseEstimate:
    """The poses of B images.

    world_from_camera (B, 4, 4), the identity where `found` (B,) is False; inliers (B, N) bool;
    inlier_ratio (B,) among the valid cells and inlier_count (B,); score (B,) soft inlier count;
    covariance (B, 6, 6) of the perturbation (x, y, z, rotation vector) of the camera in world axes
    [m, rad]; reprojection_error_px (B,) median of the inliers; spread (B,) share of an 8 x 6
    grid over the image that holds inliers; agreement (B,) share of the refined hypotheses that
    ended where the winner did; timings_ms: stage -> milliseconds of the whole batch.
    """

    world_from_camera: Tensor
    found: Tensor
    inliers: Tensor
    inlier_ratio: Tensor
    inlier_count: Tensor
    score: Tensor
    covariance: Tensor
    reprojection_error_px: Tensor
    spread: Tensor
    agreement: Tensor
    timings_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Draws:
    """The randomness of one estimate: minimal sets (B, H, 3), cells to screen and pre-score on."""

    sets: Tensor
    screen: Tensor
    prescore: Tensor


class _Stopwatch:
    """Milliseconds per stage."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.ms = device, {}
        self.start = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Credit the time since the last lap to `stage`."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.ms[stage], self.start = (now - self.start) * 1e3, now


def draw(seen: Correspondences, config: RansacConfig, generator: torch.Generator) -> Draws:
    """Minimal sets and scoring cells, all among the valid ones."""
    uniform = seen.valid.double()
    return Draws(sampling.draw_minimal_sets(uniform, config.hypotheses, 3, generator),
                 sampling.draw_cells(uniform, config.screen_cells, generator),
                 sampling.draw_cells(uniform, config.prescore_cells, generator))


def estimate_pose(scene: SceneCoordinates, config: RansacConfig,
                  generator: torch.Generator | None = None) -> PoseEstimate:
    """The pose of each image; where there is none, `found` says so and nothing is raised."""
    watch = _Stopwatch(scene.points_world.device)
    if generator is None:
        generator = torch.Generator().manual_seed(config.seed)
    seen = correspondences(scene)
    draws = draw(seen.detach(), config, generator)
    watch.lap('sample')
    return estimate_from_draws(seen, draws, config, watch)


def estimate_from_draws(seen: Correspondences, draws: Draws, config: RansacConfig,
                        watch: _Stopwatch | None = None) -> PoseEstimate:
    """The pose of each image from minimal sets and cells already drawn."""
    watch = watch or _Stopwatch(seen.points.device)
    with torch.no_grad():
        fixed = seen.detach()
        poses, solved = hypothesise(fixed, draws.sets)
        watch.lap('solve')
        poses, solved, mixture = shortlist(poses, solved, fixed, draws, config)
        watch.lap('score')
        poses, mixture = refine.refine(poses, fixed, mixture, config.inlier_px,
                                       config.refine_iterations)
        scores = score(poses, fixed, config).masked_fill(~solved, -1.0)
        winner = selection.best(scores, 1)
        watch.lap('refine')
    return describe(poses, scores, winner, mixture.take(winner), seen, solved, config, watch)


def hypothesise(seen: Correspondences, sets: Tensor) -> tuple[Tensor, Tensor]:
    """All P3P solutions of minimal sets (B, H, 3): poses (B, 4H, 4, 4) and which are real."""
    cells = sets.flatten(1)
    corners = seen.take(cells)
    shape = (*sets.shape, 3)
    poses, solved = solve_p3p(corners.points.reshape(shape), corners.rays.reshape(shape))
    solved = solved & corners.valid.reshape(sets.shape).all(-1, keepdim=True)
    return poses.transpose(1, 2).flatten(1, 2), solved.transpose(1, 2).flatten(1, 2)


def shortlist(poses: Tensor, solved: Tensor, seen: Correspondences, draws: Draws,
              config: RansacConfig) -> tuple[Tensor, Tensor, refine.Mixture]:
    """The hypotheses worth a full refinement (B, K, 4, 4), of all (B, 4H, 4, 4)."""
    few, some = seen.take(draws.screen), seen.take(draws.prescore)
    for cells, count in ((few, config.screened), (some, config.rescored)):
        squared = scoring.squared_error(poses, cells)
        scores = scoring.truncated_count(squared, cells.valid.to(squared.dtype), config.inlier_px)
        chosen = selection.best(scores.masked_fill(~solved, -1.0), count)
        poses, solved = selection.take(poses, chosen), selection.take(solved, chosen)
    mixture = refine.initial_mixture(poses, config.inlier_px)
    poses, mixture = refine.refine(poses, some, mixture, config.inlier_px, config.local_iterations)
    chosen = selection.best(score(poses, seen, config).masked_fill(~solved, -1.0), config.refined)
    return (selection.take(poses, chosen), selection.take(solved, chosen), mixture.take(chosen))


def score(poses: Tensor, seen: Correspondences, config: RansacConfig) -> Tensor:
    """Soft inlier count (B, K) of poses (B, K, 4, 4) over the valid cells."""
    error = scoring.reprojection_error(poses, seen, config.max_reprojection_px)
    return scoring.soft_inlier_count(error, seen.valid.to(error.dtype), config.inlier_px)


def describe(poses: Tensor, scores: Tensor, winner: Tensor, mixture: refine.Mixture,
             seen: Correspondences, solved: Tensor, config: RansacConfig,
             watch: _Stopwatch) -> PoseEstimate:
    """The winner among the refined poses (B, K, 4, 4), with all that says how far to trust it."""
    pose = selection.take(poses, winner)
    with torch.no_grad():
        squared = scoring.squared_error(pose, seen)
        weight = refine.inlier_posterior(squared, seen, mixture) * seen.precision[:, None]
        covariance = refine.covariance(pose, seen, mixture)[:, 0]
        inliers = (squared[:, 0] <= config.inlier_px ** 2) & seen.valid
        depth = scoring.depths(pose, seen)[:, 0]
        agreement = _agreement(poses, pose, depth, inliers, solved)
    # One last step at the converged pose: it moves nothing and carries the gradient.
    pose = refine.gauss_newton_step(pose, seen, weight)
    count = inliers.sum(-1)
    found = (solved.any(-1) & (seen.valid.sum(-1) >= MIN_CELLS) & (count >= MIN_CELLS)
             & pose.isfinite().flatten(1).all(-1) & covariance.isfinite().flatten(1).all(-1))
    world = seen.world_from_camera(pose.double())[:, 0]
    identity = torch.eye(4, dtype=world.dtype, device=world.device)
    error = torch.where(inliers, squared[:, 0], torch.nan).nanmedian(-1).values.sqrt()
    inliers = inliers & found[:, None]
    watch.lap('describe')
    return PoseEstimate(
        world_from_camera=torch.where(found[:, None, None], world, identity), found=found,
        inliers=inliers, inlier_count=inliers.sum(-1),
        inlier_ratio=inliers.sum(-1) / seen.valid.sum(-1).clamp(min=1),
        score=selection.take(scores, winner)[:, 0].clamp(min=0.0),
        covariance=torch.where(found[:, None, None], covariance, torch.nan),
        reprojection_error_px=torch.where(found, error, torch.nan),
        spread=_spread(inliers, seen), agreement=torch.where(found, agreement, 0.0),
        timings_ms=watch.ms)


def _agreement(poses: Tensor, pose: Tensor, depth: Tensor, inliers: Tensor,
               solved: Tensor) -> Tensor:
    """Share (B,) of the poses (B, K, 4, 4) that are where the winner (B, 1, 4, 4) is."""
    distance, angle = se3.pose_error(se3.inverse(poses), se3.inverse(pose))
    scene_depth = torch.where(inliers, depth, torch.nan).nanmedian(-1, keepdim=True).values
    agree = (distance < AGREE_DEPTH * scene_depth) & (angle < AGREE_RAD) & solved
    return agree.to(poses.dtype).mean(-1)


def _spread(inliers: Tensor, seen: Correspondences) -> Tensor:
    """Share (B,) of a coarse grid over the image that holds inliers (B, N)."""
    columns, rows = SPREAD_GRID
    low = torch.where(seen.valid[..., None], seen.pixels, torch.inf).amin(1, keepdim=True)
    high = torch.where(seen.valid[..., None], seen.pixels, -torch.inf).amax(1, keepdim=True)
    place = ((seen.pixels - low) / (high - low).clamp(min=1.0)).nan_to_num(0.0).clamp(0.0, 0.999)
    bins = (place[..., 0] * columns).long() + columns * (place[..., 1] * rows).long()
    held = torch.zeros(inliers.shape[0], columns * rows, device=inliers.device)
    return held.scatter_add(1, bins, inliers.to(held.dtype)).clamp(max=1.0).mean(-1)
