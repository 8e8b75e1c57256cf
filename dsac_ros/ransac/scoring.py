# SPDX-License-Identifier: Apache-2.0
"""Scores of poses: reprojection error and soft inlier count.

s(h) = sum_i w_i sig(beta (tau - r_i)) with beta = 5 / tau (Brachmann and Rother, DSAC++, CVPR
2018, and DSAC*, TPAMI 2021).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dsac_ros.ransac.correspondences import Correspondences

SOFTNESS = 5.0
# Residuals per block on a CPU, so that the working set stays in the cache.
BLOCK = 32768
# Nearer to the camera than this share of the scene's extent, a point counts as behind it.
MIN_DEPTH = 1e-3


def camera_points(camera_from_world: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Transform points (B, N, 3) by poses (B, H, 4, 4) to camera coordinates x, y, z (B, H, N)."""
    rows = camera_from_world[..., :3, :].transpose(1, 2).flatten(1, 2)
    homogeneous = torch.cat((points.mT, torch.ones_like(points[:, None, :, 0])), 1)
    x, y, z = (rows @ homogeneous).unflatten(1, (3, camera_from_world.shape[1])).unbind(1)
    return x, y, z


def behind(depth: Tensor, value: float) -> Tensor:
    """Return 0 in front of the camera and `value` behind; ten times as fast as a mask on a CPU."""
    return torch.nn.functional.threshold(depth, MIN_DEPTH, value) - depth


def squared_error(camera_from_world: Tensor, correspondences: Correspondences) -> Tensor:
    """Return the squared error (B, H, N) of poses (B, H, 4, 4) [px^2]; inf behind the camera.

    The reprojection error and, where depth is measured, the third component f (z / measured - 1):
    a centimetre in depth counts as much as a centimetre sideways.
    """
    x, y, z = camera_points(camera_from_world * _focal(correspondences), correspondences.points)
    u, v = correspondences.pixels.mT.contiguous()[:, :, None].unbind(1)
    iz = z.clamp(min=MIN_DEPTH).reciprocal()
    du, dv = x * iz - u, y * iz - v
    squared = torch.addcmul(torch.addcmul(behind(z, torch.inf), du, du), dv, dv)
    if correspondences.inverse_depth is not None:
        squared = (
            squared
            + (correspondences.focal[:, :1, None] * depth_error(z, correspondences)).square()
        )
    return squared


def depth_error(z: Tensor, correspondences: Correspondences) -> Tensor:
    """Return the relative error (B, H, N) of depths z; 0 where no depth was measured."""
    assert correspondences.inverse_depth is not None
    inverse_depth = correspondences.inverse_depth[:, None]
    return z * inverse_depth - (inverse_depth > 0.0).to(z.dtype)


def _focal(correspondences: Correspondences) -> Tensor:
    """Return factors (B, 1, 4, 1) that turn the rows of a pose into those of a projection [px]."""
    return torch.nn.functional.pad(correspondences.focal, (0, 2), value=1.0)[:, None, :, None]


def reprojection_error(
    camera_from_world: Tensor, correspondences: Correspondences, max_px: float = 100.0
) -> Tensor:
    """Return the reprojection error (B, H, N) of poses (B, H, 4, 4) [px], clamped at `max_px`."""
    squared = squared_error(camera_from_world, correspondences).clamp(max=max_px * max_px)
    return squared.clamp(min=torch.finfo(squared.dtype).eps ** 2).sqrt()


def soft_inlier_count(error_px: Tensor, weight: Tensor, inlier_px: float) -> Tensor:
    """Return the soft inlier count (B, H) of errors (B, H, N) with weights (B, N)."""
    membership = torch.sigmoid(SOFTNESS - (SOFTNESS / inlier_px) * error_px)
    return (membership @ weight[..., None])[..., 0]


def hard_inlier_count(error_px: Tensor, weight: Tensor, inlier_px: float) -> Tensor:
    """Return the sum (B, H) of the weights (B, N) of the cells within the threshold."""
    return ((error_px < inlier_px).to(weight.dtype) @ weight[..., None])[..., 0]


def msac_score(squared_px: Tensor, weight: Tensor, inlier_px: float) -> Tensor:
    """Return the MSAC score (B, H): sum of w_i max(0, 1 - r_i^2 / tau^2).

    Used for pre-selection: no root and no exponential (Torr and Zisserman, MLESAC, CVIU 2000).
    """
    tau = inlier_px * inlier_px
    return ((tau - squared_px).clamp(min=0.0) @ weight[..., None])[..., 0] / tau


def score_in_blocks(
    score: Callable[[Tensor, Correspondences], Tensor],
    camera_from_world: Tensor,
    correspondences: Correspondences,
) -> Tensor:
    """Return scores (B, H) of poses (B, H, 4, 4), computed in blocks on a CPU to fit the cache."""
    if camera_from_world.device.type != 'cpu':
        return score(camera_from_world, correspondences)
    size = max(1, BLOCK // max(1, correspondences.valid.numel()))
    return torch.cat(
        [score(some, correspondences) for some in camera_from_world.split(size, 1)], 1
    )
