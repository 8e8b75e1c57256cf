# SPDX-License-Identifier: Apache-2.0
"""What residuals look like, and how much each cell counts for it.

r ~ pi t_5(0, sigma^2 / p) + (1 - pi) U(image): a cell is an inlier with heavy tails, or tells
nothing. Scale sigma and share pi follow the data (expectation maximisation), so that nothing is
tuned to a noise level and the inlier threshold only bounds them. Student's t: Lange et al., JASA
1989.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.ransac.correspondences import Correspondences

# Degrees of freedom of the inliers' t distribution: tails as of a mixture of cells good and fair.
TAIL = 5.0
MIN_SIGMA_PX = 0.05
MIN_SHARE = 0.01


@dataclass(frozen=True)
class Mixture:
    """What the residuals of each pose look like: sigma (B, K) [px], share of inliers (B, K)."""

    sigma: Tensor
    share: Tensor

    def take(self, chosen: Tensor) -> Mixture:
        """Those of the poses `chosen` (B, J)."""
        return Mixture(self.sigma.gather(1, chosen), self.share.gather(1, chosen))


@dataclass(frozen=True)
class Membership:
    """How each cell counts at each pose, all (B, K, N).

    posterior: the probability that it is an inlier; weight of its squared residual [1/px^2]; tail:
    nu + r^2 p / sigma^2 of the t distribution.
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


def initial_mixture(camera_from_world: Tensor, inlier_px: float) -> Mixture:
    """A wide one: a pose from three noisy points is off by more than the noise."""
    ones = torch.ones_like(camera_from_world[..., 0, 0])
    return Mixture(ones * inlier_px / 2.0, ones * 0.3)


def membership(squared_px: Tensor, seen: Correspondences, mixture: Mixture) -> Membership:
    """How each cell with this squared residual (B, K, N) counts."""
    variance = mixture.sigma.square()[..., None]
    precision = seen.precision[:, None] * variance.reciprocal()
    tail = squared_px * precision + TAIL
    share = mixture.share[..., None]
    peak = (share / (1.0 - share) * seen.area[:, None, None] / (2.0 * math.pi * variance)).log()
    power = 0.5 * TAIL + 1.0
    odds = torch.add(peak + power * math.log(TAIL), tail.log(), alpha=-power)
    posterior = torch.sigmoid(odds) * seen.valid[:, None].to(odds.dtype)
    return Membership(posterior, posterior * ((TAIL + 2.0) * precision) / tail, tail)


def update_mixture(squared_px: Tensor, cells: Membership, mixture: Mixture,
                   seen: Correspondences, max_sigma_px: float) -> Mixture:
    """Scale and share of the inliers that raise the likelihood: one step of EM."""
    total = cells.posterior.sum(-1)
    spread = (cells.weight * squared_px).sum(-1) * mixture.sigma.square()
    sigma = (spread / (2.0 * total).clamp(min=1.0)).sqrt().clamp(MIN_SIGMA_PX, max_sigma_px)
    share = total / seen.valid.sum(-1, keepdim=True).clamp(min=1)
    return Mixture(sigma, share.clamp(MIN_SHARE, 0.99))
