# SPDX-License-Identifier: Apache-2.0
"""How a pose follows the points that it was found from: derivatives at the converged pose.

A pose T that minimises E(T, Y) over correspondences Y has g(T, Y) = dE/dT = 0, and where the
points move it moves by dT = -H^-1 (dg/dY) dY (implicit function theorem). The papers' one step
takes J^T W J for H and holds the weights (DSAC++, CVPR 2018, eq. 12: -(J^T J)^-1 J^T dr); implicit
differentiation takes the true second derivative, in which curvature and weights have their part.
Both are the same step from T, written so that its value is nothing and its gradient is this.
"""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dsac_ros.ransac import refine
from dsac_ros.ransac.correspondences import Correspondences
from dsac_ros.ransac.kabsch import solve_kabsch

# A pose that moves more than this with a point of the scene tells noise (DSAC* zeroes such
# Jacobians; the scene's extent is 1 here).
MAX_JACOBIAN = 10.0
# Three points give six equations for six unknowns; only what is left out needs a damping at all.
MINIMAL_DAMPING = 1e-10


def one_step(camera_from_world: Tensor, seen: Correspondences, mixture: refine.Mixture,
             keep: Tensor) -> Tensor:
    """Converged poses (B, K, 4, 4) that follow the points by one Gauss-Newton step.

    Those not in `keep` (B, K) stay where they are and have no gradient.
    """
    weight = weights(camera_from_world, seen, mixture).detach() * keep[..., None]
    return refine.gauss_newton_step(camera_from_world, seen, weight)


def implicit_step(camera_from_world: Tensor, seen: Correspondences, mixture: refine.Mixture,
                  keep: Tensor) -> Tensor:
    """Converged poses (B, K, 4, 4) that follow points and precision as the minimum does.

    The mixture counts as given; its own dependence on the points is left out. For `keep` see
    `one_step`.
    """
    hessian = _second_derivative(camera_from_world, seen.detach(), mixture)
    gradient = _gradient(camera_from_world, seen, mixture)
    step = refine.solve(hessian * keep[..., None, None], gradient * keep[..., None])
    return refine.retract(step, camera_from_world)


STEPS = {'one_step': one_step, 'implicit': implicit_step}


def minimal_step(camera_from_world: Tensor, corners: Correspondences, keep: Tensor) -> Tensor:
    """Poses (B, H, 4, 4) of minimal sets that follow their three points exactly.

    corners holds the sets in order, 3 cells for each pose. Three points determine the pose, so
    that J is square and one step with weights of 1 is the derivative of P3P itself; where depth
    is measured Kabsch's solution has its own. For `keep` (B, H) see `one_step`.
    """
    alone = camera_from_world.reshape(-1, 1, 4, 4)
    sets = _apart(corners, keep.shape[1])
    weight = keep.to(corners.points.dtype).reshape(-1, 1, 1).expand(-1, -1, 3)
    moved = refine.gauss_newton_step(alone, replace(sets, nearness=None), weight,
                                     damping=MINIMAL_DAMPING)
    if sets.nearness is not None:
        measured = (sets.nearness > 0.0).all(-1) & keep.flatten()
        depth = sets.nearness.where(measured[:, None], 1.0).reciprocal()
        fitted, determined = solve_kabsch(sets.points, sets.rays * depth[..., None])
        moved = torch.where((measured & determined)[:, None, None, None], fitted[:, None], moved)
    return moved.reshape(camera_from_world.shape)


def minimal_jacobian(camera_from_world: Tensor, corners: Correspondences) -> Tensor:
    """`largest_jacobian` (B, H) of `minimal_step`."""
    count = camera_from_world.shape[1]
    alone = camera_from_world.reshape(-1, 1, 4, 4)
    weight = corners.points.new_ones(len(alone), 1, 3)
    return largest_jacobian(alone, _apart(corners, count), weight).reshape(-1, count)


def largest_jacobian(camera_from_world: Tensor, seen: Correspondences, weight: Tensor) -> Tensor:
    """The largest entry (B, K) of the Jacobian of poses (B, K, 4, 4) by the points.

    Of the one step with weights (B, K, N): -H^-1 J_i^T w_i dr_i/dY_i, in scaled units and radians,
    infinite where H is singular.
    """
    at = refine.linearise(camera_from_world, seen)
    hessian, _ = refine.normal_equations(at, weight)
    # A point in the camera's axes moves its residual as the camera's translation does.
    pulls = sum((rows[..., :6, None, :] * rows[..., None, :3, :]
                 * (weight * at.focal_squared[:, axis, None, None])[..., None, None, :]).double()
                for axis, rows in enumerate((at.rows_u, at.rows_v)))
    factor, failed = torch.linalg.cholesky_ex(hessian)
    jacobian = torch.cholesky_solve(pulls.flatten(-2), factor)
    largest = torch.nan_to_num(jacobian.abs(), torch.inf).amax((-2, -1))
    return torch.where(failed == 0, largest, torch.inf).to(weight.dtype)


def weights(camera_from_world: Tensor, seen: Correspondences, mixture: refine.Mixture) -> Tensor:
    """Weights (B, K, N) of the squared residuals of converged poses [1/px^2]."""
    at = refine.linearise(camera_from_world, seen)
    return refine.membership(at.squared, seen, mixture).weight * at.in_front


def _gradient(camera_from_world: Tensor, seen: Correspondences,
              mixture: refine.Mixture) -> Tensor:
    """g (B, K, 6): the derivative of the negative log likelihood by the left perturbation."""
    at = refine.linearise(camera_from_world, seen)
    weight = refine.membership(at.squared, seen, mixture).weight * at.in_front
    return refine.normal_equations(at, weight)[1]


def _second_derivative(camera_from_world: Tensor, seen: Correspondences,
                       mixture: refine.Mixture) -> Tensor:
    """H (B, K, 6, 6): the derivative of g by the left perturbation, symmetric where g is zero."""
    with torch.enable_grad():
        zero = camera_from_world.new_zeros(*camera_from_world.shape[:2], 6, requires_grad=True)
        gradient = _gradient(refine.retract(zero, camera_from_world), seen, mixture)
        rows = [torch.autograd.grad(one.sum(), zero, retain_graph=True)[0]
                for one in gradient.unbind(-1)]
    hessian = torch.stack(rows, -2).double()
    return 0.5 * (hessian + hessian.mT)


def _apart(corners: Correspondences, count: int) -> Correspondences:
    """Minimal sets of B images, 3 cells each in order, as B * count images of three cells."""
    def split(values: Tensor) -> Tensor:
        return values.reshape(-1, 3, *values.shape[2:])

    def repeated(values: Tensor) -> Tensor:
        return values.repeat_interleave(count, 0)
    return Correspondences(
        points=split(corners.points), pixels=split(corners.pixels),
        focal=repeated(corners.focal), valid=split(corners.valid),
        precision=split(corners.precision), centre=repeated(corners.centre),
        scale=repeated(corners.scale), area=repeated(corners.area),
        nearness=None if corners.nearness is None else split(corners.nearness))
