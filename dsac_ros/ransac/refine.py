# SPDX-License-Identifier: Apache-2.0
"""Robust Gauss-Newton refinement of many poses at once, and the covariance it ends with.

Residuals are 2-vectors in the image; a pose is perturbed on the left, T <- exp(d) @ T. Weights are
the posterior that a cell is an inlier under r ~ pi N(0, sigma^2 / p) + (1 - pi) U(image): the scale
sigma and the share pi follow the data (expectation maximisation), so that nothing is tuned to a
noise level and the inlier threshold only bounds them.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.geometry import se3
from dsac_ros.ransac.correspondences import Correspondences
from dsac_ros.ransac.scoring import MIN_DEPTH

MIN_SIGMA_PX = 0.05
MIN_SHARE = 0.01
DAMPING = 1e-6


@dataclass(frozen=True)
class Mixture:
    """What the residuals of each pose look like: sigma (B, K) [px], share of inliers (B, K)."""

    sigma: Tensor
    share: Tensor


def linearise(camera_from_world: Tensor, seen: Correspondences) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of the residuals by the left perturbation, and the residuals.

    Poses (B, K, 4, 4) -> rows (B, K, 7, N) for u and for v [px], six derivatives and the residual,
    and which points are in front of the camera (B, K, N).
    """
    x, y, z = (camera_from_world[..., :3, :3] @ seen.points[:, None].mT
               + camera_from_world[..., :3, 3:]).unbind(-2)
    in_front = z > MIN_DEPTH
    iz = torch.where(in_front, z, 1.0).reciprocal()
    x, y = x * iz, y * iz
    (u, v), (fx, fy) = seen.pixels[:, None].unbind(-1), seen.focal[:, None, :, None].unbind(-2)
    zero, xy = torch.zeros_like(x), x * y
    rows_u = torch.stack((iz, zero, -x * iz, -xy, 1.0 + x * x, -y, x - u / fx), -2)
    rows_v = torch.stack((zero, iz, -y * iz, -1.0 - y * y, xy, x, y - v / fy), -2)
    return rows_u * fx[..., None], rows_v * fy[..., None], in_front


def inlier_posterior(squared_px: Tensor, seen: Correspondences, mixture: Mixture) -> Tensor:
    """Probability (B, K, N) that a cell with this squared residual is an inlier."""
    variance = mixture.sigma.square()
    odds = (mixture.share / (1.0 - mixture.share)) * seen.area[:, None] / (2.0 * math.pi * variance)
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


def normal_equations(rows_u: Tensor, rows_v: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """J^T W J (B, K, 6, 6) and J^T W r (B, K, 6) in float64, of weights (B, K, N)."""
    weight = weight[..., None, :]
    square = (rows_u * weight) @ rows_u.mT + (rows_v * weight) @ rows_v.mT
    square = square.double()
    return square[..., :6, :6], square[..., :6, 6]


def gauss_newton_step(camera_from_world: Tensor, seen: Correspondences, weight: Tensor,
                      damping: float = 0.0) -> Tensor:
    """The poses (B, K, 4, 4) after one step of Gauss-Newton with weights (B, K, N).

    Differentiable; taken once at the converged pose with fixed weights it carries the gradient
    of the refinement, -(J^T W J)^-1 J^T W dr (DSAC++, CVPR 2018).
    """
    rows_u, rows_v, in_front = linearise(camera_from_world, seen)
    hessian, gradient = normal_equations(rows_u, rows_v, weight * in_front)
    return apply_step(camera_from_world, solve(hessian, gradient, damping))


def solve(hessian: Tensor, gradient: Tensor, damping: float) -> Tensor:
    """The step -H^-1 g (..., 6); zero where H is singular, as no cell supports the pose there."""
    size = hessian.diagonal(dim1=-2, dim2=-1)
    inverse_size = torch.where(size > 0.0, size, 1.0).rsqrt()
    identity = torch.eye(6, dtype=hessian.dtype, device=hessian.device)
    scaled = hessian * inverse_size[..., None] * inverse_size[..., None, :] + damping * identity
    factor, failed = torch.linalg.cholesky_ex(scaled)
    failed = failed[..., None] > 0
    factor = torch.where(failed[..., None], identity, factor)
    step = torch.cholesky_solve((gradient * inverse_size)[..., None], factor)[..., 0]
    return torch.where(failed, 0.0, -step * inverse_size)


def apply_step(camera_from_world: Tensor, step: Tensor) -> Tensor:
    """exp(step) @ pose in the dtype of the pose, for poses (..., 4, 4) and steps (..., 6)."""
    moved = se3.exp(step) @ camera_from_world.double()
    usable = moved.isfinite().flatten(-2).all(-1)[..., None, None]
    return torch.where(usable, moved.to(camera_from_world.dtype), camera_from_world)


def refine(camera_from_world: Tensor, seen: Correspondences, inlier_px: float,
           iterations: int) -> tuple[Tensor, Mixture]:
    """Poses (B, K, 4, 4) that maximise the mixture's likelihood near those given, and the mixture."""
    ones = torch.ones_like(camera_from_world[..., 0, 0])
    mixture = Mixture(ones * inlier_px / 2.0, ones * 0.3)
    for _ in range(iterations):
        rows_u, rows_v, in_front = linearise(camera_from_world, seen)
        squared = rows_u[..., 6, :].square() + rows_v[..., 6, :].square()
        posterior = inlier_posterior(squared, seen, mixture) * in_front
        hessian, gradient = normal_equations(rows_u, rows_v, posterior * seen.precision[:, None])
        camera_from_world = apply_step(camera_from_world, solve(hessian, gradient, DAMPING))
        mixture = update_mixture(squared, posterior, seen, inlier_px / 2.0)
    return camera_from_world, mixture


def covariance(camera_from_world: Tensor, seen: Correspondences, mixture: Mixture) -> Tensor:
    """Covariance (B, K, 6, 6) of the camera's perturbation (x, y, z, rotation) in world axes.

    sigma^2 (J^T W J)^-1 of the left perturbation d of camera_from_world; the camera itself moves by
    -R^T d in the world's axes, in the world's unit and in radians.
    """
    rows_u, rows_v, in_front = linearise(camera_from_world, seen)
    squared = rows_u[..., 6, :].square() + rows_v[..., 6, :].square()
    posterior = inlier_posterior(squared, seen, mixture) * in_front
    hessian, _ = normal_equations(rows_u, rows_v, posterior * seen.precision[:, None])
    total = (posterior * squared * seen.precision[:, None]).sum(-1).double()
    variance = total / (2.0 * posterior.sum(-1).double() - 6.0).clamp(min=1.0)
    size = hessian.diagonal(dim1=-2, dim2=-1).clamp(min=torch.finfo(torch.float64).tiny).rsqrt()
    identity = torch.eye(6, dtype=torch.float64, device=hessian.device)
    scaled = hessian * size[..., None] * size[..., None, :] + 1e-12 * identity
    inverse, _ = torch.linalg.inv_ex(scaled)
    local = inverse * size[..., None] * size[..., None, :] * variance[..., None, None]
    axes = camera_from_world[..., :3, :3].mT.double()
    mapping = torch.zeros_like(local)
    mapping[..., :3, :3] = axes * seen.scale[:, None, None, None].double()
    mapping[..., 3:, 3:] = axes
    return mapping @ local @ mapping.mT
