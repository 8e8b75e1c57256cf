# SPDX-License-Identifier: Apache-2.0
"""Differentiable RANSAC: the expected loss of the pose that a random choice would return.

Hypotheses h_j(Y) from minimal sets of scene coordinates Y have scores s_j and probabilities
P(j) = softmax(alpha s)_j; each is refined to R(h_j). Training minimises

    E_j[l(R(h_j))] = sum_j P(j) l_j,  with gradient  sum_j l_j dP(j) + P(j) dl_j

(DSAC, CVPR 2017, eq. 6 to 8; DSAC++, CVPR 2018): the first term teaches the scores which
hypotheses are good, the second teaches the points to make them better. SoftAM takes the loss of
the refined mean R(sum_j P(j) h_j) instead, argmax that of the best one alone.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.config import EndToEndConfig
from dsac_ros.geometry import se3
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.pose_losses import MaxLoss, PoseLossConfig
from dsac_ros.geometry.representations import REPRESENTATIONS
from dsac_ros.ransac import gradient, refine, sampling, scoring, selection
from dsac_ros.ransac.batch import flat, one_invalid_cell, unflat
from dsac_ros.ransac.correspondences import Correspondences, correspondences
from dsac_ros.ransac.minimal import solve_minimal
from dsac_ros.ransac.mixture import Mixture, initial_mixture
from dsac_ros.types import SceneCoordinates

# Hypotheses less likely than this do not move the points (DSAC*).
MIN_PROBABILITY = 1e-3

PoseLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Pool:
    """What was drawn for B images, without gradients: H hypotheses and where each refines to.

    sets (B, H, 3) cells; hypotheses and refined (B, H, 4, 4) camera_from_world of the scaled
    world; solved (B, H) whether a set gave a pose; mixture of the refined ones.
    """

    sets: Tensor
    hypotheses: Tensor
    refined: Tensor
    solved: Tensor
    mixture: Mixture


@dataclass(frozen=True)
class Expectation:
    """The training loss of B images, and what it was made of.

    loss (B,), differentiable by points_world and sigma_px; probability, scores and losses (B, H)
    of the hypotheses, the losses without gradients; found (B,) whether any set gave a pose: where
    none did, the loss is zero and has no gradient.
    """

    loss: Tensor
    probability: Tensor
    scores: Tensor
    losses: Tensor
    found: Tensor

    @property
    def entropy_bits(self) -> Tensor:
        """Entropy (B,) of the choice."""
        return selection.entropy_bits(self.probability.detach())


class EntropyControl:
    """Drives alpha so that the choice keeps its entropy (DSAC++, section 3.4).

    Too sure, and one hypothesis gets all the gradient; too unsure, and training minimises the loss
    of poses that no one would choose.
    """

    def __init__(self, config: EndToEndConfig, rate: float = 0.1) -> None:
        """A target of 0 bits leaves alpha as it is."""
        self.alpha = config.alpha
        self.target = config.entropy_bits
        self.rate = rate

    def observe(self, bits: float) -> None:
        """Sharpen a choice above the target, soften one below: a step on log alpha."""
        if self.target > 0.0 and math.isfinite(bits):
            step = self.rate * max(-1.0, min(1.0, bits - self.target))
            self.alpha = min(max(self.alpha * math.exp(step), 1e-3), 1e5)


def expected_loss(scene: SceneCoordinates, world_from_camera: Tensor, config: EndToEndConfig,
                  alpha: float, generator: torch.Generator,
                  pose_loss: PoseLoss | None = None) -> Expectation:
    """The loss of B images whose true poses are world_from_camera (B, 4, 4).

    The pose loss takes estimated and true world_from_camera (..., 4, 4); without one it is
    max(rotation [deg], translation [cm]), as in the papers. Instead of B there may be any leading
    dimensions, none as well; the expectation has the same.
    """
    if scene.valid.dim() != 2:
        truth = world_from_camera.reshape(-1, 4, 4)
        return unflat(expected_loss(flat(scene), truth, config, alpha, generator, pose_loss),
                      scene.valid.shape[:-1])
    check_shapes(world_from_camera=(world_from_camera, 'B 4 4'))
    if scene.valid.shape[1] == 0:
        scene = one_invalid_cell(scene)
    seen = correspondences(scene)
    if config.cells < seen.valid.shape[1]:
        seen = seen.take(sampling.draw_cells(seen.valid, config.cells, generator))
    pool = draw_pool(seen.detach(), config, generator)
    return expected_loss_of(seen, pool, world_from_camera, config, alpha,
                            pose_loss or MaxLoss(PoseLossConfig()))


def draw_pool(seen: Correspondences, config: EndToEndConfig,
              generator: torch.Generator) -> Pool:
    """Minimal sets, of each the solution that the cells like best, refined to convergence."""
    with torch.no_grad():
        sets = sampling.draw_minimal_sets(seen.valid, config.hypotheses, 3, generator)
        poses, real = solve_minimal(seen, sets)
        scores = score(poses.flatten(1, 2), seen, config).unflatten(1, real.shape[1:])
        chosen = scores.masked_fill(~real, -torch.inf).argmax(-1, keepdim=True)
        hypotheses = poses.take_along_dim(chosen[..., None, None], 2)[:, :, 0]
        mixture = initial_mixture(hypotheses, config.inlier_px)
        refined, mixture = refine.refine(hypotheses, seen, mixture, config.inlier_px,
                                         config.refine_iterations)
        solved = real.any(-1) & refined.isfinite().flatten(2).all(-1)
        # What is no solution is some finite pose, of probability zero.
        nothing = torch.eye(4).to(refined)
        hypotheses, refined = (torch.where(solved[..., None, None], poses, nothing)
                               for poses in (hypotheses, refined))
    return Pool(sets, hypotheses, refined, solved, mixture)


def expected_loss_of(seen: Correspondences, pool: Pool, world_from_camera: Tensor,
                     config: EndToEndConfig, alpha: float, pose_loss: PoseLoss) -> Expectation:
    """`expected_loss` over a fixed pool of hypotheses: a plain function of the points."""
    truth = world_from_camera[:, None]
    found = pool.solved.any(-1)
    scores = score(_follow_minimal(seen, pool), seen, config)
    scores = scores.masked_fill(~pool.solved, -torch.inf)
    # An image without any solution: equal scores, so that no NaN arises that would spread.
    scores = torch.where(found[:, None], scores, torch.zeros_like(scores))
    probability = selection.distribution(scores, alpha)

    loss_of = _Loss(seen, truth, pose_loss)
    with torch.no_grad():
        fixed = loss_of(pool.refined)
    if config.selection == 'argmax':
        best = selection.best(scores.detach(), 1)
        loss = loss_of(_follow(seen, pool, best, found[:, None], config))[:, 0]
    elif config.selection == 'softam':
        loss = loss_of(_refined_mean(seen, pool, probability.detach(), config))[:, 0]
    else:
        likely = _likely(probability.detach() * pool.solved)
        share = probability.gather(1, likely)
        poses = _follow(seen, pool, likely, share > MIN_PROBABILITY, config)
        # Those too unlikely to move the points still count where the scores are taught.
        rest = (probability * fixed).sum(-1) - (share * fixed.gather(1, likely)).sum(-1)
        loss = (share * loss_of(poses)).sum(-1) + rest
    return Expectation(torch.where(found, loss, torch.zeros_like(loss)), probability,
                       scores.detach(), fixed, found)


def score(poses: Tensor, seen: Correspondences, config: EndToEndConfig) -> Tensor:
    """Scores (B, H) in [0, 1]: the share of the cells that agree with each pose (B, H, 4, 4).

    'soft' and 'hard' count every valid cell alike, 'uncertainty' by its predicted precision; only
    the hard count has no gradient.
    """
    error = scoring.reprojection_error(poses, seen, config.max_reprojection_px)
    weight = seen.precision if config.score == 'uncertainty' else seen.valid.to(error.dtype)
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=torch.finfo(error.dtype).tiny)
    if config.score == 'hard':
        return scoring.hard_inlier_count(error, weight, config.inlier_px)
    return scoring.soft_inlier_count(error, weight, config.inlier_px)


@dataclass(frozen=True)
class _Loss:
    """Pose losses (B, K) of camera_from_world (B, K, 4, 4) in the scaled world."""

    seen: Correspondences
    truth: Tensor
    pose_loss: PoseLoss

    def __call__(self, camera_from_world: Tensor) -> Tensor:
        estimated = self.seen.world_from_camera(camera_from_world.double())
        return self.pose_loss(estimated, self.truth.to(estimated).expand_as(estimated))


def _follow_minimal(seen: Correspondences, pool: Pool) -> Tensor:
    """The hypotheses, following their minimal sets where that is well determined."""
    return gradient.minimal_step(pool.hypotheses, seen.take(pool.sets.flatten(1)), pool.solved)


def _follow(seen: Correspondences, pool: Pool, chosen: Tensor, keep: Tensor,
            config: EndToEndConfig) -> Tensor:
    """The refined poses `chosen` (B, K), of which `keep` (B, K) follow the points."""
    return gradient.STEPS[config.gradient](
        selection.take(pool.refined, chosen), seen, pool.mixture.take(chosen),
        keep & pool.solved.gather(1, chosen))


def _likely(probability: Tensor) -> Tensor:
    """Indices (B, K) of at least those above MIN_PROBABILITY, the likeliest first."""
    count = int((probability > MIN_PROBABILITY).sum(-1).max().clamp(min=1))
    return selection.best(probability, count)


def _refined_mean(seen: Correspondences, pool: Pool, probability: Tensor,
                  config: EndToEndConfig) -> Tensor:
    """R(h_SoftAM) (B, 1, 4, 4): the mean of the hypotheses, refined, following the points.

    Of the two terms of its derivative (DSAC, supplement, eq. 1) the one through the mean is zero:
    a pose that has converged does not depend on where its refinement began.
    """
    with torch.no_grad():
        mean = mean_pose(pool.hypotheses, probability, config.mean_rotation)
        mixture = initial_mixture(mean, config.inlier_px)
        pose, mixture = refine.refine(mean, seen.detach(), mixture, config.inlier_px,
                                      config.refine_iterations)
    return gradient.STEPS[config.gradient](pose, seen, mixture,
                                           pool.solved.any(-1, keepdim=True))


def mean_pose(poses: Tensor, probability: Tensor, rotation: str = 'tangent') -> Tensor:
    """The mean (B, 1, 4, 4) of poses (B, H, 4, 4), as they are seen from the likeliest.

    In the tangent space of poses there, or with the mean of the rotations' parameters in one of
    the REPRESENTATIONS, all of which are smooth near the likeliest.
    """
    def mean(parameters: Tensor) -> Tensor:
        return (probability[..., None] * parameters).sum(1, keepdim=True)
    centre = selection.take(poses, selection.best(probability, 1))
    relative = poses @ se3.inverse(centre)
    if rotation == 'tangent':
        return se3.exp(mean(se3.log(relative))) @ centre
    of = REPRESENTATIONS[rotation]
    turned = of.to_matrix(mean(of.from_matrix(relative[..., :3, :3])))
    return se3.from_parts(turned, mean(relative[..., :3, 3])) @ centre
