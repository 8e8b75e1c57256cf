# SPDX-License-Identifier: Apache-2.0
"""Losses of PoseNet, and the stages of a training by them.

Poses are in metres of a room (`mapping.losses.metric_scene`), so that weights mean the same in
scenes of any unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from dsac_ros.geometry import se3
from dsac_ros.geometry.pose_losses import MIN_DEPTH, AdaptiveLoss, PoseLossConfig, WeightedLoss
from dsac_ros.systems.posenet.config import PoseNetConfig

REPROJECTION_RATE = 0.3  # of the learning rate: it refines what the first stage has learned
FINETUNE_RATE = 0.3  # of the learning rate of the head, while the encoder is trained


@dataclass(frozen=True)
class Stage:
    """A part of the training: its loss, its share of the steps, its peak learning rate.

    rate is a share of the recipe's; encoder: True if the encoder is trained as well.
    """

    loss: str
    share: float
    rate: float = 1.0
    encoder: bool = False


def stages_of(config: PoseNetConfig) -> tuple[Stage, ...]:
    """Return the stages that settings ask for; their shares sum to one."""
    stages = [Stage(config.loss, 1.0)]
    if config.loss == 'reprojection' and config.pretraining:
        stages = [
            Stage('learned', config.pretraining),
            Stage('reprojection', 1.0 - config.pretraining, REPROJECTION_RATE),
        ]
    if config.finetune_encoder:
        rest = 1.0 - config.finetune_share
        stages = [replace(stage, share=rest * stage.share) for stage in stages]
        stages.append(Stage(config.loss, config.finetune_share, FINETUNE_RATE, encoder=True))
    return tuple(stage for stage in stages if stage.share > 0)


def stage_at(stages: Sequence[Stage], progress: float) -> tuple[Stage, float]:
    """Return the stage at `progress` in [0, 1) of the schedule, and how much of it is done."""
    begin = 0.0
    for stage in stages[:-1]:
        if progress < begin + stage.share:
            return stage, (progress - begin) / stage.share
        begin += stage.share
    return stages[-1], min(1.0, (progress - begin) / stages[-1].share)


def pose_losses(config: PoseNetConfig) -> nn.ModuleDict:
    """Make the losses of poses by name: weighted (2015) and learned (2017)."""
    values = PoseLossConfig(
        distance=config.rotation_distance, rotation_weight=config.rotation_weight
    )
    return nn.ModuleDict({'weighted': WeightedLoss(values), 'learned': AdaptiveLoss(values)})


def scene_reprojection(estimated: Tensor, true: Tensor, points: Tensor, focal: Tensor) -> Tensor:
    """Mean |pi(x, q, g) - pi(x*, q*, g)|_1 over scene points g seen in the image [px].

    Kendall and Cipolla, CVPR 2017, eq. 7, with the L1 norm. A point nearer to a camera than
    MIN_DEPTH, or behind it, is projected as if it were there.

    Args:
        estimated: poses world_from_camera (B, 4, 4).
        true: the same.
        points: in the frames of the true cameras (B, N, 3).
        focal: of the images (B,) [px].
    """
    moved = se3.transform(se3.inverse(estimated) @ true, points)
    plane, plane_moved = (p[..., :2] / p[..., 2:].clamp(min=MIN_DEPTH) for p in (points, moved))
    return focal * (plane_moved - plane).abs().sum(-1).mean(-1)
