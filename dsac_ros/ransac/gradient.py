# SPDX-License-Identifier: Apache-2.0
"""Derivatives of converged poses with respect to the points they were estimated from.

A pose T that minimises E(T, Y) over correspondences Y satisfies g(T, Y) = dE/dT = 0, hence
dT = -H^-1 (dg/dY) dY (implicit function theorem). The papers' one step takes J^T W J for H and
holds weights and J constant in dg (DSAC++, CVPR 2018, eq. 12: -(J^T J)^-1 J^T dr); implicit
differentiation takes the exact second derivatives, which include curvature and the change of the
weights. Both are implemented as the step minus its own detached value: the pose is unchanged, bit
by bit, and carries this gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dsac_ros.ransac import refine
from dsac_ros.ransac.correspondences import Correspondences
from dsac_ros.ransac.kabsch import solve_kabsch
from dsac_ros.ransac.noise_model import NoiseModel, robust_weights

# Largest Jacobian of a pose by a point of the scene, whose extent is 1 here; larger ones are noise
# (DSAC* zeroes them, too).
MAX_JACOBIAN = 10.0
# Keeps the zero Hessians of excluded poses invertible; negligible for well-conditioned ones.
DAMPING = 1e-10


@dataclass(frozen=True)
class ImplicitEquations:
    """Linear system hessian dT + point_derivative dY = 0 of poses (B, K), float64, detached.

    Attributes:
        hessian: (B, K, 6, 6).
        point_derivative: (B, K, 6, N, 3), the derivative of g with respect to the points.
    """

    hessian: Tensor
    point_derivative: Tensor

    def largest_jacobian(self) -> Tensor:
        """Return the largest entry (B, K) of -hessian^-1 point_derivative, scaled units and rad.

        Infinite where the hessian is not positive definite by more than the rounding error of
        float32 sums: there is no minimum to differentiate, or it is one by chance.
        """
        diagonal = self.hessian.diagonal(dim1=-2, dim2=-1)
        factor, failed = torch.linalg.cholesky_ex(
            self.hessian - refine.DAMPING * torch.diag_embed(diagonal)
        )
        jacobian = torch.cholesky_solve(self.point_derivative.flatten(-2), factor)
        largest = torch.nan_to_num(jacobian.abs(), torch.inf).amax((-2, -1))
        return torch.where(failed == 0, largest, torch.inf)

    def determined(self, keep: Tensor) -> Tensor:
        """Return which of the poses `keep` (B, K) have Jacobians of at most MAX_JACOBIAN."""
        return keep & (self.largest_jacobian() <= MAX_JACOBIAN)


def one_step(
    camera_from_world: Tensor,
    correspondences: Correspondences,
    noise_model: NoiseModel,
    keep: Tensor,
) -> Tensor:
    """Differentiate converged poses by one Gauss-Newton step.

    Args:
        camera_from_world: converged poses (B, K, 4, 4).
        correspondences: they were estimated from.
        noise_model: of the poses; constant.
        keep: mask (B, K) of the poses to differentiate.

    Returns:
        The same poses; those in `keep` that are well conditioned carry a gradient.
    """
    with torch.no_grad():
        weight = weights(camera_from_world, correspondences, noise_model)
    return _gauss_newton(camera_from_world, correspondences, weight, keep)[0]


def implicit_step(
    camera_from_world: Tensor,
    correspondences: Correspondences,
    noise_model: NoiseModel,
    keep: Tensor,
) -> Tensor:
    """Differentiate converged poses by points and precision with exact second derivatives.

    The noise model is constant; its dependence on the points is neglected. A pose that is not at a
    minimum counts as ill-conditioned. Arguments and result are those of `one_step`.
    """
    equations = true_equations(camera_from_world, correspondences.detach(), noise_model)
    gradient = _gradient(camera_from_world, correspondences, noise_model)
    return _attach_gradient(
        camera_from_world, equations.hessian, gradient, equations.determined(keep)
    )


STEPS = {'one_step': one_step, 'implicit': implicit_step}


def minimal_step(camera_from_world: Tensor, corners: Correspondences, keep: Tensor) -> Tensor:
    """Differentiate poses of minimal sets exactly with respect to their three points.

    Three points determine the pose, so that J is square and one step with weights of 1 is the
    derivative of P3P itself; where depth is measured, Kabsch's derivative is used.

    Args:
        camera_from_world: poses (B, H, 4, 4).
        corners: the sets in order, 3 cells for each pose.
        keep: mask (B, H) of the poses to differentiate.
    """
    alone, sets = (
        camera_from_world.reshape(-1, 1, 4, 4),
        split_minimal_sets(corners, keep.shape[1]),
    )
    weight = torch.ones_like(sets.points[:, None, :, 0])
    moved, kept = _gauss_newton(alone, sets, weight, keep.reshape(-1, 1))
    if sets.inverse_depth is not None:
        measured = (sets.inverse_depth > 0.0).all(-1, keepdim=True) & kept
        depth = sets.inverse_depth.where(measured, 1.0).reciprocal()
        fitted, determined = solve_kabsch(sets.points, sets.rays * depth[..., None])
        measured = measured & determined[:, None]
        moved = torch.where(measured[..., None, None], fitted[:, None], moved)
    return moved.reshape(camera_from_world.shape)


def step_equations(
    camera_from_world: Tensor, at: refine.Linearised, weight: Tensor
) -> ImplicitEquations:
    """Return the equations of the Gauss-Newton step with weights (B, K, N), linearised `at`."""
    rows = [(at.rows_u, at.focal_squared[:, 0]), (at.rows_v, at.focal_squared[:, 1])]
    if at.depth is not None:
        rows.append((at.rows_depth, at.focal_squared[:, 0]))
    # A point in the camera's axes moves its residual as the camera's translation does.
    first, *others = [
        (
            row[..., :6, None, :]
            * row[..., None, :3, :]
            * (weight * factor[:, None, None])[..., None, None, :]
        ).double()
        for row, factor in rows
    ]
    point_derivative = sum(others, first)
    axes = camera_from_world[..., None, :3, :3].double()
    return ImplicitEquations(refine.normal_equations(at, weight)[0], point_derivative.mT @ axes)


def true_equations(
    camera_from_world: Tensor, correspondences: Correspondences, noise_model: NoiseModel
) -> ImplicitEquations:
    """Return the exact second derivatives of the negative log likelihood at poses (B, K, 4, 4)."""
    shape = camera_from_world.shape[:2]
    alone, own = camera_from_world.detach().reshape(-1, 1, 4, 4), correspondences.repeat(shape[1])
    noise_model = NoiseModel(
        noise_model.sigma.reshape(-1, 1), noise_model.inlier_ratio.reshape(-1, 1)
    )
    with torch.enable_grad():
        twist = alone.new_zeros(len(alone), 1, 6, requires_grad=True)
        points = own.points.requires_grad_()
        gradient = _gradient(
            refine.retract(twist, alone), replace(own, points=points), noise_model
        )
        by_twist, by_points = zip(
            *(
                torch.autograd.grad(one.sum(), (twist, points), retain_graph=True)
                for one in gradient.unbind(-1)
            )
        )
    hessian = torch.stack(by_twist, -2).double().reshape(*shape, 6, 6)
    point_derivative = torch.stack(by_points, 1).double()
    # Symmetric where g is zero.
    return ImplicitEquations(0.5 * (hessian + hessian.mT), point_derivative.unflatten(0, shape))


def weights(
    camera_from_world: Tensor, correspondences: Correspondences, noise_model: NoiseModel
) -> Tensor:
    """Return the weights (B, K, N) of the squared residuals of converged poses [1/px^2]."""
    at = refine.linearise(camera_from_world, correspondences)
    return robust_weights(at.squared, correspondences, noise_model).weight * at.in_front


def split_minimal_sets(corners: Correspondences, count: int) -> Correspondences:
    """Split minimal sets of B images, 3 cells each, into B * count images of three cells.

    Depth is kept only where all three cells have one: otherwise the pose comes from pixels alone.
    """

    def split(values: Tensor) -> Tensor:
        return values.reshape(-1, 3, *values.shape[2:])

    inverse_depth = None
    if corners.inverse_depth is not None:
        near = split(corners.inverse_depth)
        inverse_depth = near * (near > 0.0).all(-1, keepdim=True)
    units = {
        name: getattr(corners, name).repeat_interleave(count, 0)
        for name in ('focal', 'centre', 'scale', 'area')
    }
    return Correspondences(
        points=split(corners.points),
        pixels=split(corners.pixels),
        valid=split(corners.valid),
        precision=split(corners.precision),
        inverse_depth=inverse_depth,
        **units,
    )


def _gauss_newton(
    camera_from_world: Tensor, correspondences: Correspondences, weight: Tensor, keep: Tensor
) -> tuple[Tensor, Tensor]:
    """Differentiate poses by one step with fixed weights; also return the determined ones."""
    with torch.no_grad():
        held = refine.linearise(camera_from_world, correspondences)
        equations = step_equations(camera_from_world, held, weight)
        keep = equations.determined(keep)
    moving = refine.linearise(camera_from_world, correspondences).with_derivatives_of(held)
    gradient = refine.normal_equations(moving, weight)[1]
    return _attach_gradient(camera_from_world, equations.hessian, gradient, keep), keep


def _gradient(
    camera_from_world: Tensor, correspondences: Correspondences, noise_model: NoiseModel
) -> Tensor:
    """Return g (B, K, 6): the derivative of the negative log likelihood, left perturbation."""
    at = refine.linearise(camera_from_world, correspondences)
    weight = robust_weights(at.squared, correspondences, noise_model).weight * at.in_front
    return refine.normal_equations(at, weight)[1]


def _attach_gradient(
    camera_from_world: Tensor, hessian: Tensor, gradient: Tensor, keep: Tensor
) -> Tensor:
    """Attach the gradient of -hessian^-1 gradient to poses `keep` (B, K); values are unchanged."""
    kept = keep[..., None]
    step = refine.solve(hessian * kept[..., None], torch.where(kept, gradient, 0.0), DAMPING)
    return refine.retract(step - step.detach(), camera_from_world)
