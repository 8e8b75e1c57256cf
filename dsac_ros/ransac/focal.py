# SPDX-License-Identifier: Apache-2.0
"""Robust refinement of a pose with the focal length as a seventh unknown.

Inliers alone hardly show a wrong focal length: the camera steps back until the middle of the image
fits. Points at different depths tell the two apart, a plane that faces the camera does not; the
standard deviation says which of them it is.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.ransac.correspondences import Correspondences
from dsac_ros.ransac.mixture import Mixture, membership, update_mixture
from dsac_ros.ransac.refine import BEHIND, retract
from dsac_ros.ransac.scoring import MIN_DEPTH, camera_points

ITERATIONS = 10
#: Damping of a step, and of the covariance: there it must not hide what is undetermined.
DAMPING, EPSILON = 1e-6, 1e-12
SINGULAR = 1e-30
#: Largest step of the logarithm of the focal length, so that a bad start does not run away.
MAX_STEP = 0.3
#: Share of inliers that the noise model starts from.
INLIER_SHARE = 0.5


@dataclass(frozen=True)
class FocalEstimate:
    """Poses and focal lengths of one image's K starting poses.

    camera_from_world (B, K, 4, 4) float64 in the scaled world of the correspondences; ratio (B, K)
    of the focal length to the one given; sigma (B, K) is the standard deviation of its logarithm;
    squared (B, K, N) are the squared reprojection errors [px^2].
    """

    camera_from_world: Tensor
    ratio: Tensor
    sigma: Tensor
    squared: Tensor


def refine_with_focal(camera_from_world: Tensor, seen: Correspondences, max_sigma_px: float,
                      iterations: int = ITERATIONS, ratio: Tensor | None = None,
                      hold_focal: bool = False) -> FocalEstimate:
    """Refine poses (B, K, 4, 4) and the focal length of each by robust Gauss-Newton.

    They start from `ratio` (B, K) times the given focal length, 1 by default; hold_focal keeps it
    there, for a comparison.

    Residuals f x - u and f y - v [px]; the weights are those of `mixture`, whose scale begins at
    and never exceeds max_sigma_px. The variance is Huber's sandwich (1967), as in
    `refine.covariance`.
    """
    pose = camera_from_world.double()
    points, pixels = seen.points.double(), seen.pixels.double().mT[:, None]
    log_ratio = pose.new_zeros(pose.shape[:2]) if ratio is None else ratio.double().log()
    mixture = Mixture(torch.full_like(log_ratio, max_sigma_px),
                      torch.full_like(log_ratio, INLIER_SHARE))
    for _ in range(iterations):
        rows, residuals, squared = _linearise(pose, log_ratio, points, pixels, seen.focal)
        if hold_focal:
            rows[..., 6, :] = 0.0
        cells = membership(squared, seen, mixture)
        hessian = _weighted_square(rows, cells.weight)
        gradient = ((rows * cells.weight[:, :, None, None]) @ residuals[..., None]).sum(2)[..., 0]
        solved = torch.linalg.solve_ex(_damped(hessian, DAMPING), gradient)[0]
        step = -solved.nan_to_num(0.0, 0.0, 0.0)
        pose = retract(step[..., :6], pose)
        log_ratio = log_ratio + step[..., 6].clamp(-MAX_STEP, MAX_STEP)
        mixture = update_mixture(squared, cells, mixture, seen, max_sigma_px)
    noise = _weighted_square(rows, cells.weight.square() * squared / 2.0)
    inverse = torch.linalg.inv_ex(_damped(hessian, EPSILON))[0]
    variance = (inverse @ noise @ inverse)[..., 6, 6].clamp(min=0.0)
    return FocalEstimate(pose, log_ratio.exp(), variance.sqrt(), squared)


def dolly_zoomed(camera_from_world: Tensor, depth: Tensor | float,
                 factor: Tensor | float) -> Tensor:
    """Move cameras (..., 4, 4) along their axis so that a depth (...) is multiplied by a factor.

    What lies at that depth keeps its size in the image when the focal length is multiplied by the
    same factor.
    """
    moved = camera_from_world.clone()
    moved[..., 2, 3] += (factor - 1.0) * depth
    return moved


def _linearise(pose: Tensor, log_ratio: Tensor, points: Tensor, pixels: Tensor,
               focal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives (B, K, 2, 7, N), residuals (B, K, 2, N) [px] and their squared norm (B, K, N).

    Derivatives are by the left perturbation of the pose and by the focal length's logarithm.
    """
    x, y, z = camera_points(pose, points)
    inverse = z.clamp(min=MIN_DEPTH).reciprocal()
    x, y = x * inverse, y * inverse
    zero = torch.zeros_like(x)
    rows = torch.stack((
        torch.stack((inverse, zero, -x * inverse, -x * y, 1.0 + x * x, -y, x), -2),
        torch.stack((zero, inverse, -y * inverse, -1.0 - y * y, x * y, x, y), -2)), 2)
    scale = (focal.double()[:, None] * log_ratio.exp()[..., None])[..., None]
    residuals = scale * torch.stack((x, y), 2) - pixels
    squared = residuals.square().sum(2) + BEHIND * (z <= MIN_DEPTH)
    return rows * scale[..., None], residuals, squared


def _weighted_square(rows: Tensor, weight: Tensor) -> Tensor:
    """Sum J^T W J (B, K, 7, 7) of derivatives (B, K, 2, 7, N) and weights (B, K, N)."""
    return ((rows * weight[:, :, None, None]) @ rows.mT).sum(2)


def _damped(hessian: Tensor, damping: float) -> Tensor:
    """The matrix (..., 7, 7) with a diagonal that keeps it invertible."""
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    return hessian + torch.diag_embed(damping * diagonal + SINGULAR)
