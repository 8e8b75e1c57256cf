# SPDX-License-Identifier: Apache-2.0
"""How a pose follows the points that it was found from: derivatives at the converged pose.

A pose T that minimises E(T, Y) over correspondences Y has g(T, Y) = dE/dT = 0, and where the
points move it moves by dT = -H^-1 (dg/dY) dY (implicit function theorem). The papers' one step
takes J^T W J for H and holds weights and J in dg (DSAC++, CVPR 2018, eq. 12: -(J^T J)^-1 J^T dr);
implicit differentiation takes the second derivatives themselves, in which curvature and changing
weights have their part. Both are that step less its own value: a pose stays where it is, bit by
bit, and its gradient is this one.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dsac_ros.ransac import refine
from dsac_ros.ransac.correspondences import Correspondences
from dsac_ros.ransac.kabsch import solve_kabsch
from dsac_ros.ransac.mixture import Mixture, membership

# A pose that moves more than this with a point of the scene tells noise (DSAC* zeroes such
# Jacobians; the scene's extent is 1 here).
MAX_JACOBIAN = 10.0
# What is determined needs no damping; poses that are left out have a Hessian of zeros.
DAMPING = 1e-10


@dataclass(frozen=True)
class Equations:
    """What poses (B, K) obey as the points move: hessian dT + pull dY = 0, float64, no history.

    hessian (B, K, 6, 6); pull (B, K, 6, N, 3), the derivative of g by the points.
    """

    hessian: Tensor
    pull: Tensor

    def largest_jacobian(self) -> Tensor:
        """The largest entry (B, K) of -hessian^-1 pull, in scaled units and radians.

        Infinite where the hessian is not positive definite, by more than float32 sums are off:
        there is no minimum to follow, or it is one by chance.
        """
        diagonal = self.hessian.diagonal(dim1=-2, dim2=-1)
        factor, failed = torch.linalg.cholesky_ex(
            self.hessian - refine.DAMPING * torch.diag_embed(diagonal))
        jacobian = torch.cholesky_solve(self.pull.flatten(-2), factor)
        largest = torch.nan_to_num(jacobian.abs(), torch.inf).amax((-2, -1))
        return torch.where(failed == 0, largest, torch.inf)

    def determined(self, keep: Tensor) -> Tensor:
        """Which of the poses `keep` (B, K) move at most MAX_JACOBIAN times as far as a point."""
        return keep & (self.largest_jacobian() <= MAX_JACOBIAN)


def one_step(camera_from_world: Tensor, seen: Correspondences, mixture: Mixture,
             keep: Tensor) -> Tensor:
    """Converged poses (B, K, 4, 4) that follow the points by one Gauss-Newton step.

    Those not in `keep` (B, K), or not determined, have no gradient.
    """
    with torch.no_grad():
        weight = weights(camera_from_world, seen, mixture)
    return _gauss_newton(camera_from_world, seen, weight, keep)[0]


def implicit_step(camera_from_world: Tensor, seen: Correspondences, mixture: Mixture,
                  keep: Tensor) -> Tensor:
    """Converged poses (B, K, 4, 4) that follow points and precision as the minimum does.

    The mixture counts as given; its own dependence on the points is left out. For `keep` see
    `one_step`: a pose that has not come to a minimum is not determined.
    """
    equations = true_equations(camera_from_world, seen.detach(), mixture)
    slope = _slope(camera_from_world, seen, mixture)
    return _follow(camera_from_world, equations.hessian, slope, equations.determined(keep))


STEPS = {'one_step': one_step, 'implicit': implicit_step}


def minimal_step(camera_from_world: Tensor, corners: Correspondences, keep: Tensor) -> Tensor:
    """Poses (B, H, 4, 4) of minimal sets that follow their three points exactly.

    corners holds the sets in order, 3 cells for each pose. Three points determine the pose, so
    that J is square and one step with weights of 1 is the derivative of P3P itself; where depth
    is measured Kabsch's solution has its own. For `keep` (B, H) see `one_step`.
    """
    alone, sets = camera_from_world.reshape(-1, 1, 4, 4), apart(corners, keep.shape[1])
    weight = torch.ones_like(sets.points[:, None, :, 0])
    moved, kept = _gauss_newton(alone, sets, weight, keep.reshape(-1, 1))
    if sets.nearness is not None:
        measured = (sets.nearness > 0.0).all(-1, keepdim=True) & kept
        depth = sets.nearness.where(measured, 1.0).reciprocal()
        fitted, determined = solve_kabsch(sets.points, sets.rays * depth[..., None])
        measured = measured & determined[:, None]
        moved = torch.where(measured[..., None, None], fitted[:, None], moved)
    return moved.reshape(camera_from_world.shape)


def step_equations(camera_from_world: Tensor, at: refine.Linearised, weight: Tensor) -> Equations:
    """Of the Gauss-Newton step with weights (B, K, N) from where `at` is linearised."""
    rows = [(at.rows_u, at.focal_squared[:, 0]), (at.rows_v, at.focal_squared[:, 1])]
    if at.depth is not None:
        rows.append((at.rows_depth, at.focal_squared[:, 0]))
    # A point in the camera's axes moves its residual as the camera's translation does.
    first, *others = [(row[..., :6, None, :] * row[..., None, :3, :]
                       * (weight * factor[:, None, None])[..., None, None, :]).double()
                      for row, factor in rows]
    pull = sum(others, first)
    axes = camera_from_world[..., None, :3, :3].double()
    return Equations(refine.normal_equations(at, weight)[0], pull.mT @ axes)


def true_equations(camera_from_world: Tensor, seen: Correspondences,
                   mixture: Mixture) -> Equations:
    """Of the negative log likelihood itself: its second derivatives at poses (B, K, 4, 4)."""
    shape = camera_from_world.shape[:2]
    alone, own = camera_from_world.detach().reshape(-1, 1, 4, 4), seen.repeat(shape[1])
    mixture = Mixture(mixture.sigma.reshape(-1, 1), mixture.share.reshape(-1, 1))
    with torch.enable_grad():
        twist = alone.new_zeros(len(alone), 1, 6, requires_grad=True)
        points = own.points.requires_grad_()
        slope = _slope(refine.retract(twist, alone), replace(own, points=points), mixture)
        by_twist, by_points = zip(*(
            torch.autograd.grad(one.sum(), (twist, points), retain_graph=True)
            for one in slope.unbind(-1)))
    hessian = torch.stack(by_twist, -2).double().reshape(*shape, 6, 6)
    pull = torch.stack(by_points, 1).double()
    # Symmetric where g is zero.
    return Equations(0.5 * (hessian + hessian.mT), pull.unflatten(0, shape))


def weights(camera_from_world: Tensor, seen: Correspondences, mixture: Mixture) -> Tensor:
    """Weights (B, K, N) of the squared residuals of converged poses [1/px^2]."""
    at = refine.linearise(camera_from_world, seen)
    return membership(at.squared, seen, mixture).weight * at.in_front


def apart(corners: Correspondences, count: int) -> Correspondences:
    """Minimal sets of B images, 3 cells each in order, as B * count images of three cells.

    Depth is left only where all three have one: a pose from pixels knows of no depth.
    """
    def split(values: Tensor) -> Tensor:
        return values.reshape(-1, 3, *values.shape[2:])
    nearness = None
    if corners.nearness is not None:
        near = split(corners.nearness)
        nearness = near * (near > 0.0).all(-1, keepdim=True)
    units = {name: getattr(corners, name).repeat_interleave(count, 0)
             for name in ('focal', 'centre', 'scale', 'area')}
    return Correspondences(points=split(corners.points), pixels=split(corners.pixels),
                           valid=split(corners.valid), precision=split(corners.precision),
                           nearness=nearness, **units)


def _gauss_newton(camera_from_world: Tensor, seen: Correspondences, weight: Tensor,
                  keep: Tensor) -> tuple[Tensor, Tensor]:
    """Poses that follow by one step with these weights, and which of `keep` are determined."""
    with torch.no_grad():
        held = refine.linearise(camera_from_world, seen)
        equations = step_equations(camera_from_world, held, weight)
        keep = equations.determined(keep)
    moving = refine.linearise(camera_from_world, seen).along(held)
    slope = refine.normal_equations(moving, weight)[1]
    return _follow(camera_from_world, equations.hessian, slope, keep), keep


def _slope(camera_from_world: Tensor, seen: Correspondences, mixture: Mixture) -> Tensor:
    """g (B, K, 6): the derivative of the negative log likelihood by the left perturbation."""
    at = refine.linearise(camera_from_world, seen)
    weight = membership(at.squared, seen, mixture).weight * at.in_front
    return refine.normal_equations(at, weight)[1]


def _follow(camera_from_world: Tensor, hessian: Tensor, slope: Tensor, keep: Tensor) -> Tensor:
    """Poses `keep` (B, K) with the gradient of -hessian^-1 slope, all of them where they were."""
    kept = keep[..., None]
    step = refine.solve(hessian * kept[..., None], torch.where(kept, slope, 0.0), DAMPING)
    return refine.retract(step - step.detach(), camera_from_world)
