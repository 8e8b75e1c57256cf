# SPDX-License-Identifier: Apache-2.0
"""From scene coordinates to the camera's pose: a fixed amount of work, whatever the inlier ratio.

Draw minimal sets, solve them all, and let ever fewer hypotheses meet ever more cells: a screening
on a handful, a pre-score on a random subset, a few refinement steps there, all cells for those
that are left, and a full refinement of the best (successive halving; no loop depends on the data).
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from dsac_ros.config import RansacConfig
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.ransac import evidence, refine, sampling, scoring, selection
from dsac_ros.ransac.batch import flat, one_invalid_cell, unflat
from dsac_ros.ransac.compiled import compiled
from dsac_ros.ransac.correspondences import Correspondences, correspondences
from dsac_ros.ransac.minimal import first_poses
from dsac_ros.ransac.mixture import Mixture, initial_mixture
from dsac_ros.ransac.threads import threads
from dsac_ros.types import SceneCoordinates

MIN_CELLS = 4
# A minimal set has 1.3 to 1.5 solutions on average, and 2 where all are inliers and any will do.
SOLUTIONS, SPARE_SOLUTIONS = 1.5, 64
STAGES = ('draw', 'solve', 'score', 'refine', 'describe')

Lap = Callable[[str], None]


def no_lap(stage: str) -> None:
    """Nobody measures; a GPU need not wait for a stage to end."""


@dataclass(frozen=True)
class PoseEstimate:
    """The poses of B images.

    world_from_camera (B, 4, 4) float64, the identity where `found` (B,) is False; inliers (B, N)
    bool; inlier_ratio (B,) among the valid cells and inlier_count (B,); score (B,) soft inlier
    count; covariance (B, 6, 6) of the perturbation (x, y, z, rotation vector) of the camera in
    world axes [m, rad]; reprojection_error_px (B,) median of the inliers; spread (B,) share of an
    8 x 6 grid over the image that holds inliers; agreement (B,) share of the refined hypotheses
    that ended where the winner did.
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

    def only(self, image: int) -> PoseEstimate:
        """The estimate of one image of the batch, as a batch of one."""
        return replace(self, **{one.name: getattr(self, one.name)[image:image + 1]
                                for one in fields(self)})


@dataclass(frozen=True)
class Draws:
    """The randomness of one estimate: minimal sets (B, H, 3), cells to screen and pre-score on."""

    sets: Tensor
    screen: Tensor
    prescore: Tensor


@dataclass(frozen=True)
class Hypotheses:
    """Poses camera_from_world (B, K, 4, 4) of the scaled world, and which are solutions (B, K)."""

    poses: Tensor
    solved: Tensor

    def best(self, scores: Tensor, count: int) -> Tensor:
        """Indices (B, count) of the best of those that are solutions."""
        return selection.best(scores.masked_fill(~self.solved, -torch.inf), count)

    def joined_by(self, poses: Tensor) -> Hypotheses:
        """And poses (B, J, 4, 4) from elsewhere; those that are no numbers are no solutions."""
        sound = poses.isfinite().flatten(2).all(-1)
        poses = torch.where(sound[..., None, None], poses, torch.eye(4).to(poses))
        return Hypotheses(torch.cat((self.poses, poses), 1), torch.cat((self.solved, sound), 1))

    def take(self, chosen: Tensor) -> Hypotheses:
        """Those `chosen` (B, J)."""
        return Hypotheses(selection.take(self.poses, chosen), self.solved.gather(1, chosen))


def estimate_pose(scene: SceneCoordinates, config: RansacConfig,
                  generator: torch.Generator | None = None, guess: Tensor | None = None,
                  lap: Lap = no_lap) -> PoseEstimate:
    """The pose of each image; where there is none, `found` says so and nothing is raised.

    Without a generator the draws follow `config.seed`: the same scene gives the same pose, on a
    CPU as on a GPU. The pose carries the gradient of the refinement where points_world asks for
    one. A guess (B, 4, 4) of world_from_camera, such as the previous pose, joins the hypotheses as
    one more of them. `lap` is told the name of each of the STAGES when it ends. Instead of B there
    may be any leading dimensions, none as well; the estimate has the same.
    """
    if scene.valid.dim() != 2:
        near = None if guess is None else guess.reshape(-1, 4, 4)
        return unflat(estimate_pose(flat(scene), config, generator, near, lap),
                      scene.valid.shape[:-1])
    if guess is not None:
        check_shapes(guess=(guess, 'B 4 4'), valid=(scene.valid, 'B N'))
    if scene.valid.shape[1] == 0:
        return replace(estimate_pose(one_invalid_cell(scene), config), inliers=scene.valid)
    if generator is None:
        generator = torch.Generator().manual_seed(config.seed)
    with threads(1 if len(scene.valid) == 1 else torch.get_num_threads()):
        seen = correspondences(scene)
        draws = draw(seen.precision.detach(), config, generator)
        lap('draw')
        if config.compiled and lap is no_lap:  # in one program no stage ends before another
            return compiled_estimate()(seen, draws, config, guess)
        return estimate_from_draws(seen, draws, config, guess, lap)


def draw(precision: Tensor, config: RansacConfig, generator: torch.Generator) -> Draws:
    """Minimal sets and scoring cells, the more often the more precise they claim to be (B, N).

    Three cells must be right at once: where the predicted uncertainty tells right from wrong only
    a little (a factor of 1.6 on average), this finds the pose at half the inlier ratio.
    """
    return Draws(sampling.draw_minimal_sets(precision, config.hypotheses, 3, generator),
                 sampling.draw_cells(precision, config.screen_cells, generator),
                 sampling.draw_cells(precision, config.prescore_cells, generator))


def estimate_from_draws(seen: Correspondences, draws: Draws, config: RansacConfig,
                        guess: Tensor | None = None, lap: Lap = no_lap) -> PoseEstimate:
    """The pose of each image from minimal sets and cells already drawn."""
    with torch.no_grad():
        fixed = seen.detach()
        some = fixed.take(draws.prescore)
        hypotheses = hypothesise(fixed, draws.sets)
        lap('solve')
        hypotheses = shortlist(hypotheses, fixed.take(draws.screen), some, config)
        if guess is not None:
            known = fixed.camera_from_scaled(guess[:, None].to(fixed.points))
            hypotheses = hypotheses.joined_by(known)
        lap('score')
        rivals, winner, mixture = refine_best(hypotheses, fixed, some, config)
        lap('refine')
    estimate = describe(winner, mixture, rivals, seen, config)
    lap('describe')
    return estimate


@functools.cache
def compiled_estimate() -> Callable[..., PoseEstimate]:
    """`estimate_from_draws` as one program; made once, whoever asks."""
    return compiled(estimate_from_draws)


def hypothesise(seen: Correspondences, sets: Tensor) -> Hypotheses:
    """The solutions of minimal sets (B, H, 3), as far as there is room for them."""
    room = int(SOLUTIONS * sets.shape[1]) + SPARE_SOLUTIONS
    return Hypotheses(*first_poses(seen, sets, room))


def shortlist(hypotheses: Hypotheses, few: Correspondences, some: Correspondences,
              config: RansacConfig) -> Hypotheses:
    """The best on a few cells, of those the best on more, and of those the best on more still."""
    def prescore(poses: Tensor, cells: Correspondences) -> Tensor:
        squared = scoring.squared_error(poses, cells)
        return scoring.truncated_count(squared, cells.valid.to(squared.dtype), config.inlier_px)

    third = some.first(config.prescore_cells // 3)
    for cells, count in ((few, config.screened), (third, 4 * config.rescored),
                         (some, config.rescored)):
        scores = scoring.block_by_block(prescore, hypotheses.poses, cells)
        hypotheses = hypotheses.take(hypotheses.best(scores, count))
    return hypotheses


def refine_best(hypotheses: Hypotheses, seen: Correspondences, some: Correspondences,
                config: RansacConfig) -> tuple[Hypotheses, Hypotheses, Mixture]:
    """The best after steps on some cells, and the very best after more on all, and its mixture."""
    mixture = initial_mixture(hypotheses.poses, config.inlier_px)
    poses, mixture = refine.refine(hypotheses.poses, some, mixture, config.inlier_px,
                                   config.local_iterations)
    hypotheses = Hypotheses(poses, hypotheses.solved)
    chosen = hypotheses.best(score(poses, seen, config), config.refined)
    rivals, winner = hypotheses.take(chosen), hypotheses.take(chosen[:, :1])
    pose, mixture = refine.refine(winner.poses, seen, mixture.take(chosen[:, :1]),
                                  config.inlier_px, config.refine_iterations)
    return rivals, Hypotheses(pose, winner.solved), mixture


def score(poses: Tensor, seen: Correspondences, config: RansacConfig) -> Tensor:
    """Soft inlier count (B, K) of poses (B, K, 4, 4) over the valid cells."""
    def soft(some: Tensor, seen: Correspondences) -> Tensor:
        error = scoring.reprojection_error(some, seen, config.max_reprojection_px)
        return scoring.soft_inlier_count(error, seen.valid.to(error.dtype), config.inlier_px)
    return scoring.block_by_block(soft, poses, seen)


def describe(best: Hypotheses, mixture: Mixture, rivals: Hypotheses,
             seen: Correspondences, config: RansacConfig) -> PoseEstimate:
    """The winner (B, 1), with all that says how far to trust it."""
    pose, covariance, squared = refine.converge(best.poses, seen, mixture)
    with torch.no_grad():
        scores = score(pose, seen, config)[:, 0]
    squared, covariance = squared[:, 0], covariance[:, 0]
    inliers = (squared <= config.inlier_px ** 2) & seen.valid
    found = (best.solved[:, 0] & (inliers.sum(-1) >= MIN_CELLS)
             & pose.isfinite().flatten(1).all(-1) & covariance.isfinite().flatten(1).all(-1))
    inliers = inliers & found[:, None]
    count = inliers.sum(-1)
    world = seen.world_from_camera(pose.double())[:, 0]
    median = torch.where(inliers, squared, torch.nan).nanmedian(-1).values.sqrt()
    agreement = evidence.agreement(rivals.poses, rivals.solved, best.poses, seen.detach(), inliers)
    return PoseEstimate(
        world_from_camera=torch.where(found[:, None, None], world, torch.eye(4).to(world)),
        found=found, inliers=inliers, inlier_count=count,
        inlier_ratio=count / seen.valid.sum(-1).clamp(min=1),
        score=torch.where(found, scores, 0.0),
        covariance=torch.where(found[:, None, None], covariance, torch.nan),
        reprojection_error_px=median, spread=evidence.spread(inliers, seen), agreement=agreement)
