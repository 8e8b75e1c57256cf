# SPDX-License-Identifier: Apache-2.0
"""Pose estimation from scene coordinates by RANSAC with a fixed amount of work.

Minimal sets are drawn and all solved; then ever fewer hypotheses are scored on ever more cells: a
screening on a handful, a pre-score on a random subset, a few refinement steps there, all cells for
the remaining ones, and a full refinement of the best (successive halving). No loop depends on the
data, and the work does not depend on the inlier ratio.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from dsac_ros.compute.threads import threads
from dsac_ros.config import RansacConfig
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.ransac import diagnostics, refine, sampling, scoring, selection
from dsac_ros.ransac.batch import flatten_batch, one_invalid_cell, unflatten_batch
from dsac_ros.ransac.compiled import compiled
from dsac_ros.ransac.correspondences import Correspondences, normalize_correspondences
from dsac_ros.ransac.minimal import first_poses
from dsac_ros.ransac.noise_model import NoiseModel, initial_noise_model
from dsac_ros.types import SceneCoordinates

MIN_CELLS = 4
# Solutions per minimal set that are kept: 1.3 to 1.5 on average; 2 if all cells are inliers, where
# any of them suffices.
SOLUTIONS, SPARE_SOLUTIONS = 1.5, 64
STAGES = ('sample', 'solve', 'score', 'refine', 'finalize')

Lap = Callable[[str], None]


def no_lap(stage: str) -> None:
    """Ignore the end of a stage; a GPU need not be synchronized."""


@dataclass(frozen=True)
class PoseEstimate:
    """Poses of B images.

    Attributes:
        world_from_camera: (B, 4, 4) float64, the identity where not found.
        found: (B,) bool.
        inliers: (B, N) bool.
        inlier_ratio: (B,) among the valid cells.
        inlier_count: (B,).
        score: (B,) soft inlier count.
        covariance: (B, 6, 6) of the perturbation (x, y, z, rotation vector) of the camera in world
            axes [m, rad].
        reprojection_error_px: (B,) median of the inliers.
        spread: (B,) share of an 8 x 6 grid over the image that holds inliers.
        agreement: (B,) share of the refined hypotheses that converged to the winner.
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
        """Return the estimate of one image of the batch, as a batch of one."""
        return replace(
            self, **{one.name: getattr(self, one.name)[image : image + 1] for one in fields(self)}
        )


@dataclass(frozen=True)
class Samples:
    """Random samples: minimal sets (B, H, 3), cells for screening and for the pre-score."""

    sets: Tensor
    screen: Tensor
    prescore: Tensor


@dataclass(frozen=True)
class Hypotheses:
    """Poses camera_from_world (B, K, 4, 4) of the scaled world; mask (B, K) of valid ones."""

    poses: Tensor
    valid: Tensor

    def best(self, scores: Tensor, count: int) -> Tensor:
        """Return the indices (B, count) of the best valid hypotheses."""
        return selection.best(scores.masked_fill(~self.valid, -torch.inf), count)

    def append(self, poses: Tensor) -> Hypotheses:
        """Append poses (B, J, 4, 4); non-finite ones are invalid."""
        finite = poses.isfinite().flatten(2).all(-1)
        poses = torch.where(finite[..., None, None], poses, torch.eye(4).to(poses))
        return Hypotheses(torch.cat((self.poses, poses), 1), torch.cat((self.valid, finite), 1))

    def take(self, chosen: Tensor) -> Hypotheses:
        """Select the hypotheses `chosen` (B, J)."""
        return Hypotheses(selection.take(self.poses, chosen), self.valid.gather(1, chosen))


def estimate_pose(
    scene: SceneCoordinates,
    config: RansacConfig,
    generator: torch.Generator | None = None,
    guess: Tensor | None = None,
    lap: Lap = no_lap,
) -> PoseEstimate:
    """Estimate the pose of each image; a failure is reported in `found`, never raised.

    The pose carries the gradient of the refinement if points_world requires one. Any leading
    dimensions may replace B, also none; the estimate has the same.

    Args:
        scene: scene coordinates of B images.
        config: of the estimator.
        generator: of the samples; default seeded by `config.seed`, so that the same scene gives
            the same pose, on a CPU as on a GPU.
        guess: world_from_camera (B, 4, 4), such as the previous pose: one more hypothesis.
        lap: called with the name of each of the STAGES when it ends.
    """
    if scene.valid.dim() != 2:
        flat_guess = None if guess is None else guess.reshape(-1, 4, 4)
        return unflatten_batch(
            estimate_pose(flatten_batch(scene), config, generator, flat_guess, lap),
            scene.valid.shape[:-1],
        )
    if guess is not None:
        check_shapes(guess=(guess, 'B 4 4'), valid=(scene.valid, 'B N'))
    if scene.valid.shape[1] == 0:
        return replace(estimate_pose(one_invalid_cell(scene), config), inliers=scene.valid)
    if generator is None:
        generator = torch.Generator().manual_seed(config.seed)
    with threads(1 if len(scene.valid) == 1 else torch.get_num_threads()):
        correspondences = normalize_correspondences(scene)
        samples = draw_samples(correspondences.precision.detach(), config, generator)
        lap('sample')
        if config.compiled and lap is no_lap:  # a compiled program has no separate stages
            return compiled_estimate()(correspondences, samples, config, guess)
        return estimate_from_samples(correspondences, samples, config, guess, lap)


def draw_samples(precision: Tensor, config: RansacConfig, generator: torch.Generator) -> Samples:
    """Draw minimal sets and scoring cells with probability proportional to precision (B, N).

    Three cells must be right at once: even if the predicted uncertainty separates right from wrong
    only slightly (by a factor of 1.6 on average), this finds the pose at half the inlier ratio.
    """
    return Samples(
        sampling.draw_minimal_sets(precision, config.hypotheses, 3, generator),
        sampling.draw_cells(precision, config.screen_cells, generator),
        sampling.draw_cells(precision, config.prescore_cells, generator),
    )


def estimate_from_samples(
    correspondences: Correspondences,
    samples: Samples,
    config: RansacConfig,
    guess: Tensor | None = None,
    lap: Lap = no_lap,
) -> PoseEstimate:
    """Estimate the pose of each image from minimal sets and cells already drawn."""
    with torch.no_grad():
        fixed = correspondences.detach()
        prescoring = fixed.take(samples.prescore)
        hypotheses = generate_hypotheses(fixed, samples.sets)
        lap('solve')
        hypotheses = preselect(hypotheses, fixed.take(samples.screen), prescoring, config)
        if guess is not None:
            guessed = fixed.camera_from_scaled(guess[:, None].to(fixed.points))
            hypotheses = hypotheses.append(guessed)
        lap('score')
        candidates, winner, noise_model = refine_best(hypotheses, fixed, prescoring, config)
        lap('refine')
    estimate = finalize(winner, noise_model, candidates, correspondences, config)
    lap('finalize')
    return estimate


@functools.cache
def compiled_estimate() -> Callable[..., PoseEstimate]:
    """Return `estimate_from_samples` as one compiled program, shared by all callers."""
    return compiled(estimate_from_samples)


def generate_hypotheses(correspondences: Correspondences, sets: Tensor) -> Hypotheses:
    """Solve minimal sets (B, H, 3); solutions beyond the reserved capacity are dropped."""
    room = int(SOLUTIONS * sets.shape[1]) + SPARE_SOLUTIONS
    return Hypotheses(*first_poses(correspondences, sets, room))


def preselect(
    hypotheses: Hypotheses,
    screening: Correspondences,
    prescoring: Correspondences,
    config: RansacConfig,
) -> Hypotheses:
    """Keep the best hypotheses of three rounds, each on more cells than the one before."""

    def prescore(poses: Tensor, cells: Correspondences) -> Tensor:
        squared = scoring.squared_error(poses, cells)
        return scoring.msac_score(squared, cells.valid.to(squared.dtype), config.inlier_px)

    third = prescoring.first(config.prescore_cells // 3)
    for cells, count in (
        (screening, config.screened),
        (third, 4 * config.rescored),
        (prescoring, config.rescored),
    ):
        scores = scoring.score_in_blocks(prescore, hypotheses.poses, cells)
        hypotheses = hypotheses.take(hypotheses.best(scores, count))
    return hypotheses


def refine_best(
    hypotheses: Hypotheses,
    correspondences: Correspondences,
    prescoring: Correspondences,
    config: RansacConfig,
) -> tuple[Hypotheses, Hypotheses, NoiseModel]:
    """Refine the hypotheses on the pre-score cells, then the best of them on all cells.

    Returns:
        The refined candidates, the winner (B, 1), and the winner's noise model.
    """
    noise_model = initial_noise_model(hypotheses.poses, config.inlier_px)
    poses, noise_model = refine.refine(
        hypotheses.poses, prescoring, noise_model, config.inlier_px, config.local_iterations
    )
    hypotheses = Hypotheses(poses, hypotheses.valid)
    chosen = hypotheses.best(score(poses, correspondences, config), config.refined)
    candidates, winner = hypotheses.take(chosen), hypotheses.take(chosen[:, :1])
    pose, noise_model = refine.refine(
        winner.poses,
        correspondences,
        noise_model.take(chosen[:, :1]),
        config.inlier_px,
        config.refine_iterations,
    )
    return candidates, Hypotheses(pose, winner.valid), noise_model


def score(poses: Tensor, correspondences: Correspondences, config: RansacConfig) -> Tensor:
    """Return the soft inlier count (B, K) of poses (B, K, 4, 4) over the valid cells."""

    def soft(some: Tensor, correspondences: Correspondences) -> Tensor:
        error = scoring.reprojection_error(some, correspondences, config.max_reprojection_px)
        return scoring.soft_inlier_count(
            error, correspondences.valid.to(error.dtype), config.inlier_px
        )

    return scoring.score_in_blocks(soft, poses, correspondences)


def finalize(
    best: Hypotheses,
    noise_model: NoiseModel,
    candidates: Hypotheses,
    correspondences: Correspondences,
    config: RansacConfig,
) -> PoseEstimate:
    """Take the winner's last step and compute its covariance, inliers and diagnostics."""
    pose, covariance, squared = refine.final_step(best.poses, correspondences, noise_model)
    with torch.no_grad():
        scores = score(pose, correspondences, config)[:, 0]
    squared, covariance = squared[:, 0], covariance[:, 0]
    inliers = (squared <= config.inlier_px**2) & correspondences.valid
    found = (
        best.valid[:, 0]
        & (inliers.sum(-1) >= MIN_CELLS)
        & pose.isfinite().flatten(1).all(-1)
        & covariance.isfinite().flatten(1).all(-1)
    )
    inliers = inliers & found[:, None]
    count = inliers.sum(-1)
    world = correspondences.world_from_camera(pose.double())[:, 0]
    median = torch.where(inliers, squared, torch.nan).nanmedian(-1).values.sqrt()
    agreement = diagnostics.agreement(
        candidates.poses, candidates.valid, best.poses, correspondences.detach(), inliers
    )
    return PoseEstimate(
        world_from_camera=torch.where(found[:, None, None], world, torch.eye(4).to(world)),
        found=found,
        inliers=inliers,
        inlier_count=count,
        inlier_ratio=count / correspondences.valid.sum(-1).clamp(min=1),
        score=torch.where(found, scores, 0.0),
        covariance=torch.where(found[:, None, None], covariance, torch.nan),
        reprojection_error_px=median,
        spread=diagnostics.spread(inliers, correspondences),
        agreement=agreement,
    )
