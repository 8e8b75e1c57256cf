# SPDX-License-Identifier: Apache-2.0
"""How well poses explain the correspondences: reprojection error and soft inlier count.

s(h) = sum_i w_i sig(beta (tau - r_i)) with beta = 5 / tau (Brachmann and Rother, DSAC++, CVPR
2018, and DSAC*, TPAMI 2021).
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dsac_ros.ransac.correspondences import Correspondences

SOFTNESS = 5.0
# Residuals at a time on a CPU: what the passes over them read and write stays in the cache.
BLOCK = 32768
# Nearer to the camera than this share of the scene's extent, a point counts as behind it.
MIN_DEPTH = 1e-3


def camera_points(camera_from_world: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates x, y, z (B, H, N) of points (B, N, 3) in the cameras of poses (B, H, 4, 4)."""
    rows = camera_from_world[..., :3, :].transpose(1, 2).flatten(1, 2)
    homogeneous = torch.cat((points.mT, torch.ones_like(points[:, None, :, 0])), 1)
    x, y, z = (rows @ homogeneous).unflatten(1, (3, camera_from_world.shape[1])).unbind(1)
    return x, y, z


def behind(depth: Tensor, value: float) -> Tensor:
    """Zero in front of the camera, `value` behind: ten times as fast as a mask on a CPU."""
    return torch.nn.functional.threshold(depth, MIN_DEPTH, value) - depth


def squared_error(camera_from_world: Tensor, seen: Correspondences) -> Tensor:
    """Squared error (B, H, N) of poses (B, H, 4, 4) [px^2]; inf behind the camera.

    The reprojection error, and where depth is measured its own error as a third component: f (z /
    measured - 1), so that a centimetre counts in depth as much as it does sideways there.
    """
    x, y, z = camera_points(camera_from_world * _focal(seen), seen.points)
    u, v = seen.pixels.mT.contiguous()[:, :, None].unbind(1)
    iz = z.clamp(min=MIN_DEPTH).reciprocal()
    du, dv = x * iz - u, y * iz - v
    squared = torch.addcmul(torch.addcmul(behind(z, torch.inf), du, du), dv, dv)
    if seen.nearness is not None:
        squared = squared + (seen.focal[:, :1, None] * depth_error(z, seen)).square()
    return squared


def depth_error(z: Tensor, seen: Correspondences) -> Tensor:
    """Share (B, H, N) by which depths z are off the measured ones; 0 where none was measured."""
    assert seen.nearness is not None
    nearness = seen.nearness[:, None]
    return z * nearness - (nearness > 0.0).to(z.dtype)


def _focal(seen: Correspondences) -> Tensor:
    """What turns the rows of a pose (B, 1, 4, 1) into those of a projection [px]."""
    return torch.nn.functional.pad(seen.focal, (0, 2), value=1.0)[:, None, :, None]


def reprojection_error(camera_from_world: Tensor, seen: Correspondences,
                       max_px: float = 100.0) -> Tensor:
    """Reprojection error (B, H, N) of poses (B, H, 4, 4) [px], at most `max_px`."""
    squared = squared_error(camera_from_world, seen).clamp(max=max_px * max_px)
    return squared.clamp(min=torch.finfo(squared.dtype).eps ** 2).sqrt()


def soft_inlier_count(error_px: Tensor, weight: Tensor, inlier_px: float) -> Tensor:
    """Score (B, H): the sum of the weights (B, N) of the cells, each by how well it fits."""
    membership = torch.sigmoid(SOFTNESS - (SOFTNESS / inlier_px) * error_px)
    return (membership @ weight[..., None])[..., 0]


def hard_inlier_count(error_px: Tensor, weight: Tensor, inlier_px: float) -> Tensor:
    """Score (B, H): the sum of the weights (B, N) of the cells within the threshold."""
    return ((error_px < inlier_px).to(weight.dtype) @ weight[..., None])[..., 0]


def truncated_count(squared_px: Tensor, weight: Tensor, inlier_px: float) -> Tensor:
    """Score (B, H) of pre-selection: the sum of w_i max(0, 1 - r_i^2 / tau^2), no root, no exp."""
    tau = inlier_px * inlier_px
    return ((tau - squared_px).clamp(min=0.0) @ weight[..., None])[..., 0] / tau


def block_by_block(score: Callable[[Tensor, Correspondences], Tensor], camera_from_world: Tensor,
                   seen: Correspondences) -> Tensor:
    """Scores (B, H) of poses (B, H, 4, 4), few at a time: fast on a CPU, and memory is bounded."""
    if camera_from_world.device.type != 'cpu':
        return score(camera_from_world, seen)
    size = max(1, BLOCK // max(1, seen.valid.numel()))
    return torch.cat([score(some, seen) for some in camera_from_world.split(size, 1)], 1)
