# SPDX-License-Identifier: Apache-2.0
"""Robust Gauss-Newton refinement of many poses at once, and their covariance.

Residuals are 2-vectors in the image; a pose is perturbed on the left, T <- retract(d) T. The
weights are those of maximum likelihood under `noise_model`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dsac_ros.ransac.correspondences import Correspondences
from dsac_ros.ransac.noise_model import NoiseModel, robust_weights, update_noise_model
from dsac_ros.ransac.scoring import MIN_DEPTH, behind, camera_points, depth_error

# Float32 sums leave the normal equations this far from positive definite (diagonal scaled to 1).
DAMPING = 1e-6
EPSILON = 1e-12
SINGULAR = 1e-30
# Squared residual of a cell behind the camera [px^2]: finite, and never an inlier.
BEHIND = 1e30


@dataclass(frozen=True)
class Linearised:
    """Residuals and their derivatives by the left perturbation, of poses (B, K, 4, 4).

    With x, y = X / Z, Y / Z and i = 1 / Z, both rows of a cell, six derivatives and the residual,
    are linear in ten terms.

    Attributes:
        terms: (B, K, 10, N): i, xi, yi, xy, 1 + x^2, 1 + y^2, x, y and the residuals du, dv, all
            over the focal length.
        focal_squared: (B, 2) [px^2].
        squared: (B, K, N) squared norm of the residual [px^2], `BEHIND` or more behind the camera.
        depth: (B, K, 4, N), where depth is measured: the derivatives of the third residual (see
            `scoring.squared_error`) by tz, rx and ry, the others being zero, and the residual.
    """

    terms: Tensor
    focal_squared: Tensor
    squared: Tensor
    depth: Tensor | None = None

    @property
    def in_front(self) -> Tensor:
        """Mask of the points in front of the camera (B, K, N)."""
        return self.squared < BEHIND

    @property
    def rows_u(self) -> Tensor:
        """Derivatives and residual of x - u (B, K, 7, N)."""
        return _rows(self.terms)[0] @ self.terms

    @property
    def rows_v(self) -> Tensor:
        """Derivatives and residual of y - v (B, K, 7, N)."""
        return _rows(self.terms)[1] @ self.terms

    @property
    def rows_depth(self) -> Tensor:
        """Derivatives and residual of the measured depth (B, K, 7, N)."""
        assert self.depth is not None
        return _constant(_depth_columns, self.depth.dtype, self.depth.device).mT @ self.depth

    def with_derivatives_of(self, held: Linearised) -> Linearised:
        """Combine these residuals with the derivatives of `held`, of the same poses."""
        depth = (
            None
            if self.depth is None or held.depth is None
            else torch.cat((held.depth[..., :3, :], self.depth[..., 3:, :]), -2)
        )
        terms = torch.cat((held.terms[..., :8, :], self.terms[..., 8:, :]), -2)
        return replace(self, terms=terms, depth=depth)


#: Factors (B, K, N) on the weights (B, K, N) of residuals; see `leverage.bounded_influence`.
WeightLimit = Callable[[Linearised, Tensor], Tensor]


def _rows(like: Tensor) -> Tensor:
    """Return the matrices (2, 7, 10) that map the terms to the rows of x - u and y - v."""
    return _constant(_row_signs, like.dtype, like.device)


def _row_signs() -> Tensor:
    rows = torch.zeros(2, 7, 10)
    rows[0, [0, 2, 3, 4, 5, 6], [0, 1, 3, 4, 7, 8]] = torch.tensor(
        [1.0, -1.0, -1.0, 1.0, -1.0, 1.0]
    )
    rows[1, [1, 2, 3, 4, 5, 6], [0, 2, 5, 3, 6, 9]] = torch.tensor(
        [1.0, -1.0, -1.0, 1.0, 1.0, 1.0]
    )
    return rows


def _row_products() -> Tensor:
    """Return the matrix (100, 98) from products of the terms to products of either row."""
    rows = _row_signs()
    return torch.einsum('kia,kjb->abkij', rows, rows).reshape(100, 98)


def _depth_columns() -> Tensor:
    """Return the positions (4, 7) of the four rows of the measured depth among the seven."""
    return torch.eye(7)[[2, 3, 4, 6]]


def linearise(camera_from_world: Tensor, correspondences: Correspondences) -> Linearised:
    """Linearise the reprojection residuals at poses (B, K, 4, 4)."""
    x, y, z = camera_points(camera_from_world, correspondences.points)
    iz = z.clamp(min=MIN_DEPTH).reciprocal()
    x, y = x * iz, y * iz
    u, v = (correspondences.pixels.mT.contiguous() / correspondences.focal[..., None])[
        :, :, None
    ].unbind(1)
    du, dv = x - u, y - v
    terms = torch.stack((iz, x * iz, y * iz, x * y, 1.0 + x * x, 1.0 + y * y, x, y, du, dv), -2)
    focal_squared = correspondences.focal.square()
    fu, fv = focal_squared[:, None, None].unbind(-1)
    squared = torch.addcmul(torch.addcmul(behind(z, BEHIND), fu * du, du), fv * dv, dv)
    depth = None
    if correspondences.inverse_depth is not None:
        error, near = depth_error(z, correspondences), correspondences.inverse_depth[:, None]
        depth = torch.stack((near.expand_as(z), y * z * near, -x * z * near, error), -2)
        squared = squared + fu * error.square()
    return Linearised(terms, focal_squared, squared, depth)


def normal_equations(at: Linearised, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return J^T W J (B, K, 6, 6) and J^T W r (B, K, 6) in float64.

    Args:
        at: the linearised residuals.
        weight: (..., B, K, N); further leading dimensions give as many equations.
    """
    products = ((at.terms * weight[..., None, :]) @ at.terms.mT).double().flatten(-2)
    rows = products @ _constant(_row_products, products.dtype, products.device)
    square = (rows.unflatten(-1, (2, 49)) * at.focal_squared[:, None, :, None]).sum(-2)
    square = square.unflatten(-1, (7, 7))
    if at.depth is not None:
        products = ((at.depth * weight[..., None, :]) @ at.depth.mT).double()
        place = _constant(_depth_columns, products.dtype, products.device)
        square = square + place.mT @ products @ place * at.focal_squared[:, None, :1, None]
    return square[..., :6, :6], square[..., :6, 6]


def solve(hessian: Tensor, gradient: Tensor, damping: float = DAMPING) -> Tensor:
    """Return the step -(H + damping diag H)^-1 g (..., 6); zero where H is indefinite."""
    identity = _constant(_identity, hessian.dtype, hessian.device)
    factor, failed = torch.linalg.cholesky_ex(
        torch.addcmul(SINGULAR * identity, hessian, 1.0 + damping * identity)
    )
    failed = (failed != 0)[..., None, None]  # a failed factor holds finite garbage
    step = torch.cholesky_solve(
        gradient[..., None].masked_fill(failed, 0.0), torch.where(failed, identity, factor)
    )[..., 0]
    return -torch.nan_to_num(step, 0.0, 0.0, 0.0)


def _inverse_size(hessian: Tensor) -> Tensor:
    """Return the Jacobi scaling of H (..., 6, 6): with it, the diagonal is one in any unit."""
    return hessian.diagonal(dim1=-2, dim2=-1).clamp(min=SINGULAR).rsqrt()


@functools.lru_cache(maxsize=32)
def _constant(make: Callable[[], Tensor], dtype: torch.dtype, device: torch.device) -> Tensor:
    # the cached tensor serves callers with and without inference mode
    with torch.inference_mode(False):
        return make().to(device, dtype)


def _identity() -> Tensor:
    return torch.eye(6)


def _generators() -> Tensor:
    """Return the generators of SE(3) (6, 16): twist @ generators is the 4x4 matrix, row by row."""
    basis = torch.zeros(6, 16)
    basis[[0, 1, 2, 3, 4, 5], [3, 7, 11, 9, 2, 4]] = 1.0
    basis[[3, 4, 5], [6, 8, 1]] = -1.0
    return basis


def retract(step: Tensor, camera_from_world: Tensor) -> Tensor:
    """Move poses (..., 4, 4) by twists (..., 6) [translation, rotation], on the left.

    The Cayley map I + k (M + M^2 / 2) with k = 4 / (4 + theta^2): a rigid motion like exp(M),
    equal to it up to the second order, at a tenth of the operations.
    """
    flat, poses = step.reshape(-1, 6), camera_from_world.to(step.dtype).reshape(-1, 4, 4)
    twist = (flat @ _constant(_generators, step.dtype, step.device)).unflatten(-1, (4, 4))
    scale = 4.0 / (4.0 + flat[:, 3:].square().sum(-1))
    motion = scale[:, None, None] * torch.baddbmm(twist, twist, twist, alpha=0.5)
    moved = torch.baddbmm(poses, motion, poses)
    return moved.reshape(camera_from_world.shape).to(camera_from_world.dtype)


def gauss_newton_step(camera_from_world: Tensor, at: Linearised, weight: Tensor) -> Tensor:
    """Take one step from poses (B, K, 4, 4), linearised `at`, with weights (B, K, N)."""
    return retract(solve(*normal_equations(at, weight)), camera_from_world)


def refine(
    camera_from_world: Tensor,
    correspondences: Correspondences,
    noise_model: NoiseModel,
    inlier_px: float,
    iterations: int,
    limit: WeightLimit | None = None,
) -> tuple[Tensor, NoiseModel]:
    """Refine poses (B, K, 4, 4) and their noise models towards a likelihood maximum.

    limit: factors on the weights, where the likelihood alone shall not decide.
    """
    for _ in range(iterations):
        at = linearise(camera_from_world, correspondences)
        cells = robust_weights(at.squared, correspondences, noise_model)
        weight = cells.weight if limit is None else cells.weight * limit(at, cells.weight)
        camera_from_world = gauss_newton_step(camera_from_world, at, weight)
        noise_model = update_noise_model(
            at.squared, cells, noise_model, correspondences, inlier_px / 2.0
        )
    return camera_from_world, noise_model


def final_step(
    camera_from_world: Tensor, correspondences: Correspondences, noise_model: NoiseModel
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the last step from converged poses and estimate their covariances.

    Args:
        camera_from_world: converged poses (B, K, 4, 4).
        correspondences: of the images.
        noise_model: of the poses.

    Returns:
        The poses, which carry the gradient by the points; their covariances (B, K, 6, 6), see
        `covariance`; and the squared errors (B, K, N) before the step [px^2], `BEHIND` the camera.
    """
    at = linearise(camera_from_world, correspondences)
    with torch.no_grad():
        cells = robust_weights(at.squared, correspondences, noise_model)
        weights = torch.stack(
            (cells.weight, cells.curvature, cells.weight.square() * at.squared / 2.0)
        )
    (hessian, curvature, noise), (gradient, *_) = normal_equations(at, weights)
    pose = retract(solve(hessian, gradient), camera_from_world)
    with torch.no_grad():
        pose_covariance = covariance(curvature, noise, camera_from_world, correspondences.scale)
    return pose, pose_covariance, at.squared.detach()


def covariance(
    curvature: Tensor, noise: Tensor, camera_from_world: Tensor, scale: Tensor
) -> Tensor:
    """Return the covariance (..., 6, 6) of the camera's perturbation in world axes.

    The perturbation is (x, y, z, rotation vector), in units of `scale` [m] and rad. The sandwich
    estimator A^-1 B A^-1 of the left perturbation d of camera_from_world, with A the Hessian and B
    the sum of squared gradients (Huber, 1967), equals sigma^2 (J^T J)^-1 where the noise is as the
    weights assume, and remains valid where it is not. The camera itself moves by -R^T d in the
    world's axes.

    Args:
        curvature: A (..., 6, 6).
        noise: B (..., 6, 6).
        camera_from_world: (..., 4, 4).
        scale: (B,) of the scaled world.
    """
    size = _inverse_size(curvature)
    scaled = curvature * size[..., None] * size[..., None, :]
    identity = _constant(_identity, curvature.dtype, curvature.device)
    inverse, _ = torch.linalg.inv_ex(scaled + EPSILON * identity)
    inverse = inverse * size[..., None] * size[..., None, :]
    local = inverse @ noise @ inverse
    axes = camera_from_world[..., :3, :3].mT.double()
    mapping = torch.zeros_like(local)
    mapping[..., :3, :3] = axes * scale[:, None, None, None].double()
    mapping[..., 3:, 3:] = axes
    covariance: Tensor = mapping @ local @ mapping.mT
    return covariance
