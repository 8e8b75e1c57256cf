# SPDX-License-Identifier: Apache-2.0
"""Robust Gauss-Newton refinement of many poses at once, and the covariance it ends with.

Residuals are 2-vectors in the image; a pose is perturbed on the left, T <- retract(d) T. The
weights are the posterior that a cell is an inlier, under r ~ pi N(0, sigma^2 / p) + (1 - pi)
U(image): the scale sigma and the share pi follow the data (expectation maximisation), so that
nothing is tuned to a noise level and the inlier threshold only bounds them.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.ransac.correspondences import Correspondences
from dsac_ros.ransac.scoring import MIN_DEPTH

MIN_SIGMA_PX = 0.05
MIN_SHARE = 0.01
# Float32 sums leave the normal equations this far from positive definite (diagonal scaled to 1).
DAMPING = 1e-6
EPSILON = 1e-12
SINGULAR = 1e-30


@dataclass(frozen=True)
class Mixture:
    """What the residuals of each pose look like: sigma (B, K) [px], share of inliers (B, K)."""

    sigma: Tensor
    share: Tensor

    def take(self, chosen: Tensor) -> Mixture:
        """Those of the poses `chosen` (B, J)."""
        return Mixture(self.sigma.gather(1, chosen), self.share.gather(1, chosen))


@dataclass(frozen=True)
class Linearised:
    """Residuals and their derivatives by the left perturbation, of poses (B, K, 4, 4).

    rows_u, rows_v (B, K, 7, N): six derivatives and the residual, all over the focal length, whose
    square is focal_squared (B, 1, 2, 1); squared (B, K, N) norm of the residual [px^2]; in_front
    (B, K, N) of the camera.
    """

    rows_u: Tensor
    rows_v: Tensor
    focal_squared: Tensor
    squared: Tensor
    in_front: Tensor


def linearise(camera_from_world: Tensor, seen: Correspondences) -> Linearised:
    """Derivatives of the reprojection residuals at poses (B, K, 4, 4)."""
    x, y, z = (camera_from_world[..., :3, :3] @ seen.points[:, None].mT
               + camera_from_world[..., :3, 3:]).unbind(-2)
    in_front = z > MIN_DEPTH
    iz = z.clamp(min=MIN_DEPTH).reciprocal()
    x, y = x * iz, y * iz
    u, v = (seen.pixels / seen.focal[:, None])[:, None].unbind(-1)
    du, dv, zero, xy = x - u, y - v, torch.zeros_like(x), x * y
    rows_u = torch.stack((iz, zero, -x * iz, -xy, 1.0 + x * x, -y, du), -2)
    rows_v = torch.stack((zero, iz, -y * iz, -1.0 - y * y, xy, x, dv), -2)
    focal_squared = seen.focal.square()[:, None, :, None]
    squared = du * du * focal_squared[..., 0, :] + dv * dv * focal_squared[..., 1, :]
    return Linearised(rows_u, rows_v, focal_squared, squared, in_front)


def inlier_posterior(squared_px: Tensor, seen: Correspondences, mixture: Mixture) -> Tensor:
    """Probability (B, K, N) that a cell with this squared residual is an inlier."""
    variance = mixture.sigma.square()
    prior = mixture.share / (1.0 - mixture.share)
    odds = prior * seen.area[:, None] / (2.0 * math.pi * variance)
    precision = seen.precision[:, None]
    exponent = odds.log()[..., None] - squared_px * precision / (2.0 * variance[..., None])
    return torch.sigmoid(exponent) * seen.valid[:, None]


def update_mixture(squared_px: Tensor, posterior: Tensor, seen: Correspondences,
                   max_sigma_px: float) -> Mixture:
    """Scale and share of the inliers that maximise the likelihood under `posterior` (B, K, N)."""
    total = posterior.sum(-1)
    spread = (posterior * squared_px * seen.precision[:, None]).sum(-1)
    sigma = (spread / (2.0 * total).clamp(min=1.0)).sqrt().clamp(MIN_SIGMA_PX, max_sigma_px)
    share = total / seen.valid.sum(-1, keepdim=True).clamp(min=1)
    return Mixture(sigma, share.clamp(MIN_SHARE, 0.99))


def normal_equations(at: Linearised, weight: Tensor) -> tuple[Tensor, Tensor]:
    """J^T W J (B, K, 6, 6) and J^T W r (B, K, 6) in float64, of weights (B, K, N)."""
    weight_u, weight_v = (weight[..., None, :] * at.focal_squared[:, :, None, k] for k in (0, 1))
    square = (at.rows_u * weight_u) @ at.rows_u.mT + (at.rows_v * weight_v) @ at.rows_v.mT
    square = square.double()
    return square[..., :6, :6], square[..., :6, 6]


def solve(hessian: Tensor, gradient: Tensor, damping: float = DAMPING) -> Tensor:
    """The step -(H + damping diag H)^-1 g (..., 6); zero where no cell supports the pose."""
    inverse_size = _inverse_size(hessian)
    scaled = hessian * inverse_size[..., None] * inverse_size[..., None, :]
    factor, _ = torch.linalg.cholesky_ex(scaled + damping * _identity(hessian, 6))
    step = torch.cholesky_solve((gradient * inverse_size)[..., None], factor)[..., 0]
    return torch.nan_to_num(-step * inverse_size, 0.0, 0.0, 0.0)


def _inverse_size(hessian: Tensor) -> Tensor:
    """What scales H (..., 6, 6) to a diagonal of ones (Jacobi), so that units do not matter."""
    return hessian.diagonal(dim1=-2, dim2=-1).clamp(min=SINGULAR).rsqrt()


def _identity(like: Tensor, size: int) -> Tensor:
    return torch.eye(size, dtype=like.dtype, device=like.device)


def retract(step: Tensor, camera_from_world: Tensor) -> Tensor:
    """The poses (..., 4, 4) moved by the twists (..., 6) [translation, rotation], on the left.

    The Cayley map I + k (M + M^2 / 2) with k = 4 / (4 + theta^2): a rigid motion like exp(M),
    equal to it up to the second order, at a tenth of the operations.
    """
    basis = torch.zeros(6, 16, dtype=step.dtype, device=step.device)
    basis[[0, 1, 2, 3, 4, 5], [3, 7, 11, 9, 2, 4]] = 1.0
    basis[[3, 4, 5], [6, 8, 1]] = -1.0
    twist = (step @ basis).unflatten(-1, (4, 4))
    scale = 4.0 / (4.0 + step[..., 3:].square().sum(-1))
    motion = _identity(step, 4) + scale[..., None, None] * (twist + 0.5 * twist @ twist)
    return (motion @ camera_from_world.to(step.dtype)).to(camera_from_world.dtype)


def gauss_newton_step(camera_from_world: Tensor, seen: Correspondences, weight: Tensor,
                      damping: float = DAMPING) -> Tensor:
    """The poses (B, K, 4, 4) after one step of Gauss-Newton with weights (B, K, N).

    Differentiable; taken once at the converged pose with fixed weights it carries the gradient
    of the refinement, -(J^T W J)^-1 J^T W dr (DSAC++, CVPR 2018).
    """
    at = linearise(camera_from_world, seen)
    step = solve(*normal_equations(at, weight * at.in_front), damping)
    return retract(step, camera_from_world)


def initial_mixture(camera_from_world: Tensor, inlier_px: float) -> Mixture:
    """A wide one: a pose from three noisy points is off by more than the noise."""
    ones = torch.ones_like(camera_from_world[..., 0, 0])
    return Mixture(ones * inlier_px / 2.0, ones * 0.3)


def refine(camera_from_world: Tensor, seen: Correspondences, mixture: Mixture, inlier_px: float,
           iterations: int) -> tuple[Tensor, Mixture]:
    """Poses (B, K, 4, 4) after steps towards the most likely one near, and their mixtures."""
    for _ in range(iterations):
        at = linearise(camera_from_world, seen)
        posterior = inlier_posterior(at.squared, seen, mixture) * at.in_front
        step = solve(*normal_equations(at, posterior * seen.precision[:, None]))
        camera_from_world = retract(step, camera_from_world)
        mixture = update_mixture(at.squared, posterior, seen, inlier_px / 2.0)
    return camera_from_world, mixture


def converge(camera_from_world: Tensor, seen: Correspondences,
             mixture: Mixture) -> tuple[Tensor, Tensor, Tensor]:
    """The last step from converged poses (B, K, 4, 4), and what it knows.

    Returns the poses, which carry the gradient by the points; their covariances (B, K, 6, 6), see
    `covariance`; and the squared errors (B, K, N) before the step [px^2], inf behind the camera.
    """
    at = linearise(camera_from_world, seen)
    squared = at.squared.detach()
    posterior = inlier_posterior(squared, seen, mixture) * at.in_front
    weight = (posterior * seen.precision[:, None]).detach()
    hessian, gradient = normal_equations(at, weight)
    total = (weight * squared).sum(-1).double()
    variance = total / (2.0 * posterior.sum(-1).double() - 6.0).clamp(min=1.0)
    pose = retract(solve(hessian, gradient), camera_from_world)
    certain = covariance(hessian.detach(), variance, camera_from_world, seen.scale)
    return pose, certain, torch.where(at.in_front, squared, torch.inf)


def covariance(hessian: Tensor, variance: Tensor, camera_from_world: Tensor,
               scale: Tensor) -> Tensor:
    """Covariance (..., 6, 6) of the camera's perturbation (x, y, z, rotation) in world axes.

    sigma^2 (J^T W J)^-1 of the left perturbation d of camera_from_world; the camera itself moves
    by -R^T d in the world's axes, in units of `scale` (B,) [m] and of a radian.
    """
    size = _inverse_size(hessian)
    scaled = hessian * size[..., None] * size[..., None, :] + EPSILON * _identity(hessian, 6)
    inverse, _ = torch.linalg.inv_ex(scaled)
    local = inverse * size[..., None] * size[..., None, :] * variance[..., None, None]
    axes = camera_from_world[..., :3, :3].mT.double()
    mapping = torch.zeros_like(local)
    mapping[..., :3, :3] = axes * scale[:, None, None, None].double()
    mapping[..., 3:, 3:] = axes
    return mapping @ local @ mapping.mT
