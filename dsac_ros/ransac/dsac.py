# SPDX-License-Identifier: Apache-2.0
"""Differentiable RANSAC (DSAC): the expected loss over randomly selected hypotheses.

Hypotheses h_j(Y) from minimal sets of scene coordinates Y have scores s_j and probabilities
P(j) = softmax(alpha s)_j; each is refined to R(h_j). Training minimises

    E_j[l(R(h_j))] = sum_j P(j) l_j,  with gradient  sum_j l_j dP(j) + P(j) dl_j

(DSAC, CVPR 2017, eq. 6 to 8; DSAC++, CVPR 2018). The first term trains the scores to select good
hypotheses, the second trains the points to improve them. SoftAM takes the loss of the refined
mean R(sum_j P(j) h_j) instead, argmax that of the best hypothesis alone.
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
from dsac_ros.ransac.batch import flatten_batch, one_invalid_cell, unflatten_batch
from dsac_ros.ransac.correspondences import Correspondences, normalize_correspondences
from dsac_ros.ransac.minimal import solve_minimal
from dsac_ros.ransac.noise_model import NoiseModel, initial_noise_model
from dsac_ros.types import SceneCoordinates

# Hypotheses less likely than this carry no gradient to the points (DSAC*).
MIN_PROBABILITY = 1e-3

PoseLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class HypothesisSet:
    """H hypotheses of B images and their refined poses, without gradients.

    Attributes:
        sets: cells of the minimal sets (B, H, 3).
        hypotheses: camera_from_world (B, H, 4, 4) of the scaled world.
        refined: the same after refinement.
        valid: mask (B, H) of the sets that gave a pose.
        noise_model: of the refined poses.
    """

    sets: Tensor
    hypotheses: Tensor
    refined: Tensor
    valid: Tensor
    noise_model: NoiseModel


@dataclass(frozen=True)
class ExpectedLoss:
    """The training loss of B images and its parts.

    Attributes:
        loss: (B,), differentiable with respect to points_world and sigma_px; zero and without
            gradient where `found` is False.
        probability: (B, H) of the hypotheses.
        scores: (B, H) of the hypotheses.
        losses: (B, H) of the refined hypotheses, without gradients.
        found: (B,) whether any set gave a pose.
    """

    loss: Tensor
    probability: Tensor
    scores: Tensor
    losses: Tensor
    found: Tensor

    @property
    def entropy_bits(self) -> Tensor:
        """Entropy (B,) of the selection [bit]."""
        return selection.entropy_bits(self.probability.detach())


class EntropyControl:
    """Controller that adapts alpha to keep the entropy of the selection (DSAC++, section 3.4).

    At low entropy a single hypothesis receives all of the gradient; at high entropy training
    minimises the loss of poses that would never be selected.
    """

    def __init__(self, config: EndToEndConfig, rate: float = 0.1) -> None:
        """Start at config.alpha; a target of 0 bits keeps it constant."""
        self.alpha = config.alpha
        self.target = config.entropy_bits
        self.rate = rate

    def observe(self, bits: float) -> None:
        """Raise alpha if the entropy is above the target, lower it if below (log-space step)."""
        if self.target > 0.0 and math.isfinite(bits):
            step = self.rate * max(-1.0, min(1.0, bits - self.target))
            self.alpha = min(max(self.alpha * math.exp(step), 1e-3), 1e5)


def expected_loss(
    scene: SceneCoordinates,
    world_from_camera: Tensor,
    config: EndToEndConfig,
    alpha: float,
    generator: torch.Generator,
    pose_loss: PoseLoss | None = None,
) -> ExpectedLoss:
    """Return the loss of B images.

    Any leading dimensions may replace B, also none; the result has the same.

    Args:
        scene: predicted scene coordinates.
        world_from_camera: true poses (B, 4, 4).
        config: of the differentiable RANSAC.
        alpha: sharpness of the selection.
        generator: of the random samples.
        pose_loss: function of estimated and true world_from_camera (..., 4, 4); default
            max(rotation [deg], translation [cm]), as in the papers.
    """
    if scene.valid.dim() != 2:
        truth = world_from_camera.reshape(-1, 4, 4)
        return unflatten_batch(
            expected_loss(flatten_batch(scene), truth, config, alpha, generator, pose_loss),
            scene.valid.shape[:-1],
        )
    check_shapes(world_from_camera=(world_from_camera, 'B 4 4'))
    if scene.valid.shape[1] == 0:
        scene = one_invalid_cell(scene)
    correspondences = normalize_correspondences(scene)
    if config.cells < correspondences.valid.shape[1]:
        correspondences = correspondences.take(
            sampling.draw_cells(correspondences.valid, config.cells, generator)
        )
    hypothesis_set = draw_hypotheses(correspondences.detach(), config, generator)
    return expected_loss_of_hypotheses(
        correspondences,
        hypothesis_set,
        world_from_camera,
        config,
        alpha,
        pose_loss or MaxLoss(PoseLossConfig()),
    )


def draw_hypotheses(
    correspondences: Correspondences, config: EndToEndConfig, generator: torch.Generator
) -> HypothesisSet:
    """Sample minimal sets, keep the best-scored solution of each, and refine them all."""
    with torch.no_grad():
        sets = sampling.draw_minimal_sets(correspondences.valid, config.hypotheses, 3, generator)
        poses, real = solve_minimal(correspondences, sets)
        scores = score(poses.flatten(1, 2), correspondences, config).unflatten(1, real.shape[1:])
        chosen = scores.masked_fill(~real, -torch.inf).argmax(-1, keepdim=True)
        hypotheses = poses.take_along_dim(chosen[..., None, None], 2)[:, :, 0]
        noise_model = initial_noise_model(hypotheses, config.inlier_px)
        refined, noise_model = refine.refine(
            hypotheses, correspondences, noise_model, config.inlier_px, config.refine_iterations
        )
        valid = real.any(-1) & refined.isfinite().flatten(2).all(-1)
        # Invalid hypotheses become the identity, with probability zero.
        identity = torch.eye(4).to(refined)
        hypotheses, refined = (
            torch.where(valid[..., None, None], poses, identity) for poses in (hypotheses, refined)
        )
    return HypothesisSet(sets, hypotheses, refined, valid, noise_model)


def expected_loss_of_hypotheses(
    correspondences: Correspondences,
    hypothesis_set: HypothesisSet,
    world_from_camera: Tensor,
    config: EndToEndConfig,
    alpha: float,
    pose_loss: PoseLoss,
) -> ExpectedLoss:
    """Return `expected_loss` of fixed hypotheses: a deterministic function of the points."""
    truth = world_from_camera[:, None]
    found = hypothesis_set.valid.any(-1)
    scores = score(
        _differentiable_hypotheses(correspondences, hypothesis_set), correspondences, config
    )
    scores = scores.masked_fill(~hypothesis_set.valid, -torch.inf)
    # Equal scores avoid NaN in an image without any solution.
    scores = torch.where(found[:, None], scores, torch.zeros_like(scores))
    probability = selection.distribution(scores, alpha)

    loss_of = _Loss(correspondences, truth, pose_loss)
    with torch.no_grad():
        fixed = loss_of(hypothesis_set.refined)
    if config.selection == 'argmax':
        best = selection.best(scores.detach(), 1)
        loss = loss_of(
            _differentiable_poses(correspondences, hypothesis_set, best, found[:, None], config)
        )[:, 0]
    elif config.selection == 'softam':
        loss = loss_of(
            _refined_mean(correspondences, hypothesis_set, probability.detach(), config)
        )[:, 0]
    else:
        likely = _likely(probability.detach() * hypothesis_set.valid)
        weight = probability.gather(1, likely)
        poses = _differentiable_poses(
            correspondences, hypothesis_set, likely, weight > MIN_PROBABILITY, config
        )
        # Unlikely hypotheses still contribute to the gradient of the scores.
        rest = (probability * fixed).sum(-1) - (weight * fixed.gather(1, likely)).sum(-1)
        loss = (weight * loss_of(poses)).sum(-1) + rest
    return ExpectedLoss(
        torch.where(found, loss, torch.zeros_like(loss)),
        probability,
        scores.detach(),
        fixed,
        found,
    )


def score(poses: Tensor, correspondences: Correspondences, config: EndToEndConfig) -> Tensor:
    """Score poses (B, H, 4, 4) by the share (B, H) of agreeing cells, in [0, 1].

    'soft' and 'hard' weight all valid cells equally, 'uncertainty' by predicted precision; the
    hard count has no gradient.
    """
    error = scoring.reprojection_error(poses, correspondences, config.max_reprojection_px)
    weight = (
        correspondences.precision
        if config.score == 'uncertainty'
        else correspondences.valid.to(error.dtype)
    )
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=torch.finfo(error.dtype).tiny)
    if config.score == 'hard':
        return scoring.hard_inlier_count(error, weight, config.inlier_px)
    return scoring.soft_inlier_count(error, weight, config.inlier_px)


@dataclass(frozen=True)
class _Loss:
    """Pose losses (B, K) of camera_from_world (B, K, 4, 4) in the scaled world."""

    correspondences: Correspondences
    truth: Tensor
    pose_loss: PoseLoss

    def __call__(self, camera_from_world: Tensor) -> Tensor:
        estimated = self.correspondences.world_from_camera(camera_from_world.double())
        return self.pose_loss(estimated, self.truth.to(estimated).expand_as(estimated))


def _differentiable_hypotheses(
    correspondences: Correspondences, hypothesis_set: HypothesisSet
) -> Tensor:
    """Attach to the hypotheses their derivative by the points of their minimal sets.

    Ill-conditioned hypotheses have no gradient.
    """
    return gradient.minimal_step(
        hypothesis_set.hypotheses,
        correspondences.take(hypothesis_set.sets.flatten(1)),
        hypothesis_set.valid,
    )


def _differentiable_poses(
    correspondences: Correspondences,
    hypothesis_set: HypothesisSet,
    chosen: Tensor,
    keep: Tensor,
    config: EndToEndConfig,
) -> Tensor:
    """Return the refined poses `chosen` (B, K); those in `keep` (B, K) carry a gradient."""
    return gradient.STEPS[config.gradient](
        selection.take(hypothesis_set.refined, chosen),
        correspondences,
        hypothesis_set.noise_model.take(chosen),
        keep & hypothesis_set.valid.gather(1, chosen),
    )


def _likely(probability: Tensor) -> Tensor:
    """Return indices (B, K), most likely first, that include all above MIN_PROBABILITY."""
    count = int((probability > MIN_PROBABILITY).sum(-1).max().clamp(min=1))
    return selection.best(probability, count)


def _refined_mean(
    correspondences: Correspondences,
    hypothesis_set: HypothesisSet,
    probability: Tensor,
    config: EndToEndConfig,
) -> Tensor:
    """Return R(h_SoftAM) (B, 1, 4, 4), the refined mean of the hypotheses, with its gradient.

    Of the two terms of its derivative (DSAC, supplement, eq. 1) the one through the mean is zero:
    a converged pose does not depend on the start of its refinement.
    """
    with torch.no_grad():
        mean = mean_pose(hypothesis_set.hypotheses, probability, config.mean_rotation)
        noise_model = initial_noise_model(mean, config.inlier_px)
        pose, noise_model = refine.refine(
            mean, correspondences.detach(), noise_model, config.inlier_px, config.refine_iterations
        )
    return gradient.STEPS[config.gradient](
        pose, correspondences, noise_model, hypothesis_set.valid.any(-1, keepdim=True)
    )


def mean_pose(poses: Tensor, probability: Tensor, rotation: str = 'tangent') -> Tensor:
    """Average poses relative to the most likely one.

    Args:
        poses: (B, H, 4, 4).
        probability: (B, H).
        rotation: 'tangent' for the tangent space of SE(3) at the most likely pose, or one of
            REPRESENTATIONS, all of which are smooth near it.

    Returns:
        The mean (B, 1, 4, 4).
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
