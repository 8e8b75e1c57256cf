# SPDX-License-Identifier: Apache-2.0
"""Pose losses, by name.

Every loss takes world_from_camera (..., 4, 4), estimated and true, in metres, and returns (...).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from dsac_ros.config import EndToEndConfig, setting
from dsac_ros.geometry import se3
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.distances import DISTANCES

Distance = Callable[[Tensor, Tensor], Tensor]
CM_PER_M = 100.0
# Smallest depth of a visible point [m].
MIN_DEPTH = 0.1


@dataclass(frozen=True)
class PoseLossConfig:
    """Name of the pose loss, and constants; each loss uses its own."""

    loss: str = setting(
        'max', 'pose loss', choices=('weighted', 'adaptive', 'max', 'reprojection')
    )
    distance: str = setting(
        'quaternion', "rotation error in 'weighted' and 'adaptive'", choices=tuple(DISTANCES)
    )
    rotation_weight: float = setting(
        500.0, "beta of 'weighted'", unit='m per unit of distance', low=0.0
    )
    log_variance_translation: float = setting(0.0, "initial value in 'adaptive'")
    log_variance_rotation: float = setting(-3.0, "initial value in 'adaptive'")
    soft_clamp: float = setting(
        100.0, "error above which 'max' grows as a square root", unit='cm, deg', low=1e-3
    )
    focal_px: float = setting(525.0, "focal length in 'reprojection'", unit='px', low=1.0)
    max_px: float = setting(
        100.0, "largest error of a point in 'reprojection'", unit='px', low=0.0
    )


class WeightedLoss(nn.Module):
    """|t - t*| + beta d(R, R*) (Kendall et al., PoseNet, ICCV 2015)."""

    def __init__(self, config: PoseLossConfig) -> None:
        super().__init__()
        self.distance = DISTANCES[config.distance]
        self.beta = config.rotation_weight

    def forward(self, estimated: Tensor, true: Tensor) -> Tensor:
        translation, rotation = _errors(estimated, true, self.distance)
        return translation + self.beta * rotation


class AdaptiveLoss(nn.Module):
    """|t - t*| exp(-s_t) + s_t + d(R, R*) exp(-s_R) + s_R with learned s_t, s_R.

    The log-variances of homoscedastic noise (Kendall and Cipolla, CVPR 2017, eq. 4), fitted with
    the network; each is optimal at the logarithm of its mean error, so the loss may be negative.
    """

    def __init__(self, config: PoseLossConfig) -> None:
        super().__init__()
        self.distance = DISTANCES[config.distance]
        self.log_variances = nn.Parameter(
            torch.tensor([config.log_variance_translation, config.log_variance_rotation])
        )

    def forward(self, estimated: Tensor, true: Tensor) -> Tensor:
        errors = torch.stack(_errors(estimated, true, self.distance), -1)
        return (errors * (-self.log_variances).exp() + self.log_variances).sum(-1)


class MaxLoss(nn.Module):
    """max(rotation [deg], translation [cm]) (Brachmann et al., DSAC, CVPR 2017).

    Beyond the soft clamp c a loss x is replaced by sqrt(c x), so that a failed frame does not
    dominate the gradient (DSAC*, PAMI 2021).
    """

    def __init__(self, config: PoseLossConfig) -> None:
        super().__init__()
        self.soft_clamp = config.soft_clamp

    def forward(self, estimated: Tensor, true: Tensor) -> Tensor:
        translation, rotation = _errors(estimated, true, DISTANCES['angular'])
        worse = torch.maximum(torch.rad2deg(rotation), CM_PER_M * translation)
        if not math.isfinite(self.soft_clamp):
            return worse
        # The unused branch must stay finite as well, or its NaN would reach the gradient.
        beyond = (self.soft_clamp * worse.clamp(min=self.soft_clamp)).sqrt()
        return torch.where(worse > self.soft_clamp, beyond, worse)


class ReprojectionLoss(nn.Module):
    """Mean image displacement of points between the true and the estimated pose [px].

    Points (..., N, 3) [m] are in the frame of the true camera: rays times depth give the
    correspondence error of the scene (Wald et al., ECCV 2020); by default a grid in front of the
    camera, as virtual content (Arnold et al., ECCV 2022). A point that is not visible costs the
    maximum and has no gradient, so start from another loss at large errors (Kendall and Cipolla,
    CVPR 2017, section 4.2).
    """

    grid: Tensor

    def __init__(self, config: PoseLossConfig) -> None:
        super().__init__()
        self.focal, self.max_px = config.focal_px, config.max_px
        self.register_buffer('grid', virtual_grid(), persistent=False)

    def forward(self, estimated: Tensor, true: Tensor, points: Tensor | None = None) -> Tensor:
        check_shapes(estimated=(estimated, '... 4 4'), true=(true, '... 4 4'))
        points = self.grid.to(estimated) if points is None else points
        moved = se3.transform(se3.inverse(estimated) @ true, points)
        in_front = (points[..., 2] > MIN_DEPTH) & (moved[..., 2] > MIN_DEPTH)
        pixels, pixels_moved = (
            p[..., :2] / p[..., 2:].clamp(min=MIN_DEPTH) for p in (points, moved)
        )
        shift = self.focal * (pixels_moved - pixels).norm(dim=-1)
        return torch.where(in_front, shift.clamp(max=self.max_px), self.max_px).mean(-1)


def virtual_grid() -> Tensor:
    """Return 7 x 4 x 7 points (196, 3) with a spacing of 0.3 m, starting 1.8 m ahead."""
    x, y, z = (0.3 * torch.arange(count, dtype=torch.float64) for count in (7, 4, 7))
    return torch.cartesian_prod(x - x.mean(), y - y.mean(), z + 1.8)


def _errors(estimated: Tensor, true: Tensor, distance: Distance) -> tuple[Tensor, Tensor]:
    """Return the distances of the centres [m] and of the rotations of poses (..., 4, 4)."""
    check_shapes(estimated=(estimated, '... 4 4'), true=(true, '... 4 4'))
    translation = (estimated[..., :3, 3] - true[..., :3, 3]).norm(dim=-1)
    return translation, distance(estimated[..., :3, :3], true[..., :3, :3])


POSE_LOSSES = {
    'weighted': WeightedLoss,
    'adaptive': AdaptiveLoss,
    'max': MaxLoss,
    'reprojection': ReprojectionLoss,
}


def make_pose_loss(config: PoseLossConfig) -> nn.Module:
    """Make the loss selected by the settings."""
    return POSE_LOSSES[config.loss](config)


def training_loss(
    config: EndToEndConfig,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> nn.Module:
    """Make the loss selected by the settings of a training; `defaults` are those of a recipe."""
    chosen: dict[str, Any] = {'loss': config.pose_loss}
    if config.rotation_distance != 'auto':
        chosen['distance'] = config.rotation_distance
    if config.rotation_weight >= 0.0:
        chosen['rotation_weight'] = config.rotation_weight
    if config.loss_clamp > 0.0:
        chosen |= {'soft_clamp': config.loss_clamp, 'max_px': config.loss_clamp}
    return make_pose_loss(PoseLossConfig(**{**defaults, **chosen}))
