# SPDX-License-Identifier: Apache-2.0
"""Noise model of the residuals and the robust weights that follow from it.

r ~ pi t_5(0, sigma^2 / p) + (1 - pi) U(image): a cell is an inlier with heavy tails, or an
outlier. Scale sigma and inlier ratio pi are estimated from the data (expectation maximisation);
the inlier threshold only bounds them. Student's t: Lange et al., JASA 1989.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.ransac.correspondences import Correspondences

# Degrees of freedom of the inliers' t distribution.
TAIL = 5.0
MIN_SIGMA_PX = 0.05
MIN_INLIER_RATIO = 0.01


@dataclass(frozen=True)
class NoiseModel:
    """Noise model of the residuals of each pose: sigma (B, K) [px], inlier_ratio (B, K)."""

    sigma: Tensor
    inlier_ratio: Tensor

    def take(self, chosen: Tensor) -> NoiseModel:
        """Select the poses `chosen` (B, J)."""
        return NoiseModel(self.sigma.gather(1, chosen), self.inlier_ratio.gather(1, chosen))


@dataclass(frozen=True)
class RobustWeights:
    """Contribution of each cell to each pose, all (B, K, N).

    Attributes:
        posterior: probability that the cell is an inlier.
        weight: of its squared residual [1/px^2].
        tail: nu + r^2 p / sigma^2 of the t distribution.
    """

    posterior: Tensor
    weight: Tensor
    tail: Tensor

    @property
    def curvature(self) -> Tensor:
        """Weight of the cell in the mean Hessian of the negative log likelihood [1/px^2].

        The derivative of weight(r) r, averaged over the directions of r: w + r^2 dw / d(r^2).
        """
        doubt = (1.0 - self.posterior) * (0.5 * TAIL + 1.0) * (1.0 - TAIL / self.tail)
        return self.weight * (TAIL / self.tail - doubt)


def initial_noise_model(camera_from_world: Tensor, inlier_px: float) -> NoiseModel:
    """Return a wide noise model: the error of a minimal pose exceeds the noise."""
    ones = torch.ones_like(camera_from_world[..., 0, 0])
    return NoiseModel(ones * inlier_px / 2.0, ones * 0.3)


def robust_weights(
    squared_px: Tensor, correspondences: Correspondences, noise_model: NoiseModel
) -> RobustWeights:
    """Return the robust weights of cells with squared residuals (B, K, N) (E-step)."""
    variance = noise_model.sigma.square()[..., None]
    precision = correspondences.precision[:, None] * variance.reciprocal()
    tail = squared_px * precision + TAIL
    inlier_ratio = noise_model.inlier_ratio[..., None]
    peak = (
        inlier_ratio
        / (1.0 - inlier_ratio)
        * correspondences.area[:, None, None]
        / (2.0 * math.pi * variance)
    ).log()
    power = 0.5 * TAIL + 1.0
    odds = torch.add(peak + power * math.log(TAIL), tail.log(), alpha=-power)
    posterior = torch.sigmoid(odds) * correspondences.valid[:, None].to(odds.dtype)
    return RobustWeights(posterior, posterior * ((TAIL + 2.0) * precision) / tail, tail)


def update_noise_model(
    squared_px: Tensor,
    cells: RobustWeights,
    noise_model: NoiseModel,
    correspondences: Correspondences,
    max_sigma_px: float,
) -> NoiseModel:
    """Return the scale and inlier ratio after one M-step of EM."""
    total = cells.posterior.sum(-1)
    spread = (cells.weight * squared_px).sum(-1) * noise_model.sigma.square()
    sigma = (spread / (2.0 * total).clamp(min=1.0)).sqrt().clamp(MIN_SIGMA_PX, max_sigma_px)
    inlier_ratio = total / correspondences.valid.sum(-1, keepdim=True).clamp(min=1)
    return NoiseModel(sigma, inlier_ratio.clamp(MIN_INLIER_RATIO, 0.99))
