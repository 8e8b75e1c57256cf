# SPDX-License-Identifier: Apache-2.0
"""Robust refinement of a pose with the focal length as a seventh unknown.

Inliers alone barely reveal a wrong focal length: the camera moves back until the centre of the
image fits. Points at different depths separate the two, a fronto-parallel plane does not; the
standard deviation distinguishes these cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.ransac.correspondences import Correspondences
from dsac_ros.ransac.noise_model import NoiseModel, robust_weights, update_noise_model
from dsac_ros.ransac.refine import BEHIND, retract
from dsac_ros.ransac.scoring import MIN_DEPTH, camera_points

ITERATIONS = 10
#: Damping of a step and of the covariance; the latter is tiny to expose undetermined directions.
DAMPING, EPSILON = 1e-6, 1e-12
SINGULAR = 1e-30
#: Largest step of the logarithm of the focal length, against divergence.
MAX_STEP = 0.3
#: Initial inlier ratio of the noise model.
INITIAL_INLIER_RATIO = 0.5


@dataclass(frozen=True)
class FocalEstimate:
    """Poses and focal lengths from K starting poses in each of B images.

    Attributes:
        camera_from_world: (B, K, 4, 4) float64 in the scaled world of the correspondences.
        ratio: (B, K) estimated over given focal length.
        sigma: (B, K) standard deviation of the logarithm of the ratio.
        squared: (B, K, N) squared reprojection errors [px^2].
    """

    camera_from_world: Tensor
    ratio: Tensor
    sigma: Tensor
    squared: Tensor


def refine_with_focal(
    camera_from_world: Tensor,
    correspondences: Correspondences,
    max_sigma_px: float,
    iterations: int = ITERATIONS,
    ratio: Tensor | None = None,
    hold_focal: bool = False,
) -> FocalEstimate:
    """Refine poses and the focal length of each by robust Gauss-Newton.

    Residuals are f x - u and f y - v [px]. The variance is Huber's sandwich estimator (1967), as
    in `refine.covariance`.

    Args:
        camera_from_world: starting poses (B, K, 4, 4).
        correspondences: of the images.
        max_sigma_px: initial and largest scale of the noise model [px].
        iterations: number of Gauss-Newton steps.
        ratio: starting focal length (B, K) over the given one; default 1.
        hold_focal: keep the focal length at its start, for comparison.
    """
    pose = camera_from_world.double()
    points, pixels = correspondences.points.double(), correspondences.pixels.double().mT[:, None]
    log_ratio = pose.new_zeros(pose.shape[:2]) if ratio is None else ratio.double().log()
    noise_model = NoiseModel(
        torch.full_like(log_ratio, max_sigma_px), torch.full_like(log_ratio, INITIAL_INLIER_RATIO)
    )
    for _ in range(iterations):
        rows, residuals, squared = _linearise(
            pose, log_ratio, points, pixels, correspondences.focal
        )
        if hold_focal:
            rows[..., 6, :] = 0.0
        cells = robust_weights(squared, correspondences, noise_model)
        hessian = _weighted_square(rows, cells.weight)
        gradient = ((rows * cells.weight[:, :, None, None]) @ residuals[..., None]).sum(2)[..., 0]
        solution = torch.linalg.solve_ex(_damped(hessian, DAMPING), gradient)[0]
        step = -solution.nan_to_num(0.0, 0.0, 0.0)
        pose = retract(step[..., :6], pose)
        log_ratio = log_ratio + step[..., 6].clamp(-MAX_STEP, MAX_STEP)
        noise_model = update_noise_model(
            squared, cells, noise_model, correspondences, max_sigma_px
        )
    noise = _weighted_square(rows, cells.weight.square() * squared / 2.0)
    inverse = torch.linalg.inv_ex(_damped(hessian, EPSILON))[0]
    variance = (inverse @ noise @ inverse)[..., 6, 6].clamp(min=0.0)
    return FocalEstimate(pose, log_ratio.exp(), variance.sqrt(), squared)


def dolly_zoomed(
    camera_from_world: Tensor, depth: Tensor | float, factor: Tensor | float
) -> Tensor:
    """Move cameras along their optical axis so that a depth is multiplied by a factor.

    Objects at that depth keep their image size if the focal length is multiplied by the same
    factor.

    Args:
        camera_from_world: (..., 4, 4).
        depth: (...).
        factor: (...).
    """
    moved = camera_from_world.clone()
    moved[..., 2, 3] += (factor - 1.0) * depth
    return moved


def _linearise(
    pose: Tensor, log_ratio: Tensor, points: Tensor, pixels: Tensor, focal: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return derivatives (B, K, 2, 7, N), residuals (B, K, 2, N) [px] and squared norms (B, K, N).

    The derivatives are with respect to the left perturbation of the pose and the logarithm of the
    focal length.
    """
    x, y, z = camera_points(pose, points)
    inverse = z.clamp(min=MIN_DEPTH).reciprocal()
    x, y = x * inverse, y * inverse
    zero = torch.zeros_like(x)
    rows = torch.stack(
        (
            torch.stack((inverse, zero, -x * inverse, -x * y, 1.0 + x * x, -y, x), -2),
            torch.stack((zero, inverse, -y * inverse, -1.0 - y * y, x * y, x, y), -2),
        ),
        2,
    )
    scale = (focal.double()[:, None] * log_ratio.exp()[..., None])[..., None]
    residuals = scale * torch.stack((x, y), 2) - pixels
    squared = residuals.square().sum(2) + BEHIND * (z <= MIN_DEPTH)
    return rows * scale[..., None], residuals, squared


def _weighted_square(rows: Tensor, weight: Tensor) -> Tensor:
    """Return J^T W J (B, K, 7, 7) of derivatives (B, K, 2, 7, N) and weights (B, K, N)."""
    return ((rows * weight[:, :, None, None]) @ rows.mT).sum(2)


def _damped(hessian: Tensor, damping: float) -> Tensor:
    """Add to the diagonal of matrices (..., 7, 7) so that they are invertible."""
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    return hessian + torch.diag_embed(damping * diagonal + SINGULAR)
