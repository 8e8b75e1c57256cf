# SPDX-License-Identifier: Apache-2.0
"""The reprojection curriculum of scene coordinate regression (DSAC*, section 3; ACE, section 3.2).

Points are in scene units (1 = the scene's typical depth), residuals in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.config import setting


@dataclass(frozen=True)
class LossConfig:
    """Settings of the curriculum: which predictions are valid, and the loss of the others."""

    min_depth: float = setting(0.02, 'nearest valid point', unit='scene units', low=0.0)
    max_depth: float = setting(200.0, 'farthest valid point', unit='scene units', low=0.0)
    max_reprojection_px: float = setting(1000.0, 'largest valid reprojection error', unit='px')
    clamp_end_px: float = setting(
        1.0, 'where the loss saturates when training ends', unit='px', low=0.1
    )
    clamp_start_px: float = setting(
        50.0, 'what is added to that when training starts', unit='px', low=0.5
    )
    proxy_weight: float = setting(
        25.0, 'of the distance to the proxy point', unit='px/unit', low=0.0
    )


@dataclass(frozen=True)
class Patches:
    """A batch of N buffered patches: where they were seen, and by which cameras.

    pixels (N, 2), rotation (N, 3, 3) and translation (N, 3) of camera_from_scene, focal (N,) [px],
    principal (N, 2), depth (N,) measured along the optical axis, 0 where unknown.
    """

    pixels: Tensor
    rotation: Tensor
    translation: Tensor
    focal: Tensor
    principal: Tensor
    depth: Tensor


@dataclass(frozen=True)
class LossTerms:
    """Mean loss, and what progress is judged by: shares of the patches."""

    total: Tensor
    valid: Tensor
    near: Tensor


def clamp_px(progress: float, config: LossConfig) -> float:
    """The circle schedule of ACE, eq. 7: slow at first, then fast towards the end."""
    return config.clamp_end_px + config.clamp_start_px * (1.0 - progress**2) ** 0.5


def robust(error: Tensor, progress: float, config: LossConfig) -> Tensor:
    """Errors (N,) [px] -> losses (N,), from a logarithm at the start to ACE's tanh at the end.

    Both are the error itself where it is small. When training starts nearly all errors lie far
    beyond the clamp, where tanh has no slope and nothing would be learned; the logarithm's slope
    falls as 1/error only. When it ends, those still far off are outliers to be left alone.
    """
    limit = clamp_px(progress, config)
    share = error / limit
    return limit * ((1.0 - progress) * torch.log1p(share) + progress * torch.tanh(share))


def to_camera(points: Tensor, patches: Patches) -> Tensor:
    """Points (N, 3) of the scene in the frames of the cameras that saw the patches."""
    return (patches.rotation @ points[..., None])[..., 0] + patches.translation


def residual(in_camera: Tensor, patches: Patches, config: LossConfig) -> Tensor:
    """Return reprojection errors (N, 2) [px] of points (N, 3) of the camera frame."""
    plane = in_camera[:, :2] / in_camera[:, 2:].clamp_min(config.min_depth)
    return plane * patches.focal[:, None] - (patches.pixels - patches.principal)


def target(patches: Patches) -> Tensor:
    """Points (N, 3) of the camera frame on the rays of the patches: at their depth, else at 1."""
    offset = (patches.pixels - patches.principal) / patches.focal[:, None]
    ray = torch.cat([offset, torch.ones_like(offset[:, :1])], 1)
    return ray * torch.where(patches.depth > 0, patches.depth, 1.0)[:, None]


def curriculum_loss(
    points: Tensor, sigma: Tensor, patches: Patches, progress: float, config: LossConfig
) -> LossTerms:
    """Loss of points (N, 3) and sigma (N, 1) [px] for patches (N), progress in [0, 1].

    Valid points pay their reprojection error (L1, see `robust`), the others the distance to a
    proxy ON the pixel's ray: at the measured depth where there is one, else at depth 1. Depth only
    starts a point off; the poses alone decide where it ends.
    """
    in_camera = to_camera(points, patches)
    z = in_camera[:, 2]
    error = residual(in_camera, patches, config).abs().sum(1)
    away = (in_camera - target(patches)).abs().sum(1)

    valid = (z > config.min_depth) & (z < config.max_depth) & (error < config.max_reprojection_px)
    loss = torch.where(valid, robust(error, progress, config), config.proxy_weight * away)

    # Laplace likelihood of the error that is left; the error itself is not trained through it
    left = error.detach().clamp_max(100.0)
    doubt = torch.where(z.detach() > config.min_depth, left, torch.full_like(left, 100.0))
    unsure = doubt / sigma[:, 0] + sigma[:, 0].log()
    return LossTerms(
        total=(loss + unsure).mean(),
        valid=valid.float().mean(),
        near=(valid & (error < 10.0)).float().mean(),
    )
