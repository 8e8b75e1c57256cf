# SPDX-License-Identifier: Apache-2.0
"""Training of a regression of poses, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dsac_ros.config import MappingConfig
from dsac_ros.geometry import se3
from dsac_ros.geometry.pose_losses import AdaptiveLoss
from dsac_ros.mapping.losses.curriculum import LossTerms
from dsac_ros.mapping.losses.metric_scene import ROOM_M, to_metric
from dsac_ros.mapping.optim.checkpoint import Checkpoint, TrainingState
from dsac_ros.mapping.optim.loop import train
from dsac_ros.mapping.optim.progress import ProgressCallback
from dsac_ros.mapping.optim.schedule import Schedule, learning_rate
from dsac_ros.network.encoder import Encoder
from dsac_ros.systems.posenet.config import PoseNetConfig
from dsac_ros.systems.posenet.losses import (
    pose_losses,
    scene_reprojection,
    stage_at,
    stages_of,
)
from dsac_ros.systems.posenet.network import PoseRegression
from dsac_ros.systems.posenet.view_bank import Batch, ViewBank

BATCH = 64  # Kendall and Cipolla, 2017
ENCODER_BATCH = 8  # while the encoder is trained: images in place of their features
WEIGHTS_RATE = 1e-2  # of learned weights of losses, which are logarithms
MAX_GRADIENT = 10.0  # norm; that of the reprojection loss has heavy tails
NEAR_M, NEAR_DEG = 0.25, 5.0  # what counts as near, in a room


@dataclass(frozen=True)
class PoseNet:
    """Encoder and regression of one map, and the focal length [px] of the images they see."""

    encoder: Encoder
    regression: PoseRegression
    focal: float


def new_regression(bank: ViewBank, config: MappingConfig, own: PoseNetConfig) -> PoseRegression:
    """Make a network that answers with the mean pose; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        regression = PoseRegression(bank.features.shape[1], own)
    regression.to(bank.features.device).start_at(bank.poses)
    return regression


def train_network(
    net: PoseNet,
    bank: ViewBank,
    config: MappingConfig,
    own: PoseNetConfig,
    checkpoint: Checkpoint,
    resume: bool,
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Train in place; return what the map's header says of the training."""
    device = bank.features.device
    generator = torch.Generator(device=device).manual_seed(config.seed)
    stages, losses = stages_of(own), pose_losses(own).to(device)
    encoder = net.encoder.requires_grad_(own.finetune_encoder)
    groups: list[dict[str, Any]] = [
        {'params': [*net.regression.parameters()]},
        {'params': [*losses.parameters()], 'weight_decay': 0.0},
        {'params': [*encoder.parameters()] if own.finetune_encoder else []},
    ]
    optimizer = torch.optim.AdamW(groups)
    schedule = Schedule(replace(config, early_stop=math.inf))  # the stages have their shares
    state = TrainingState(
        checkpoint,
        {
            'regression': net.regression,
            'losses': losses,
            'optimizer': optimizer,
            'schedule': schedule,
            **({'encoder': encoder} if own.finetune_encoder else {}),
        },
    )
    if resume:
        state.resume(str(device))
        generator.manual_seed(config.seed + state.step)

    def step(done: float) -> LossTerms:
        stage, share = stage_at(stages, done)
        rates = learning_rates(share, config, stage.rate)
        encoder_rate = learning_rate(share, own.finetune_rate) if stage.encoder else 0.0
        set_rates(optimizer, (*rates, encoder_rate))
        size = ENCODER_BATCH if stage.encoder else config.batch or BATCH
        rows = bank.rows(size, stage.loss == 'reprojection', generator)
        batch = bank.batch(rows, encoder if stage.encoder else None, own.grid)
        terms = loss_terms(stage.loss, losses, net, batch, generator)
        descend(terms.total, optimizer)
        return terms

    told = train(state, schedule, step, progress)
    encoder.requires_grad_(False)
    return {**told, **learned_weights(losses)}


def learning_rates(share: float, config: MappingConfig, rate: float = 1.0) -> tuple[float, float]:
    """Return the rates of the regression and of learned weights, at a share of a stage."""
    return learning_rate(share, rate * config.learning_rate), learning_rate(share, WEIGHTS_RATE)


def set_rates(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> None:
    """Set the learning rate of each group of parameters."""
    for group, rate in zip(optimizer.param_groups, rates):
        group['lr'] = rate


def loss_terms(
    name: str, losses: nn.ModuleDict, net: PoseNet, batch: Batch, generator: torch.Generator
) -> LossTerms:
    """Return the mean loss of a batch, and the shares of poses that are finite, and near.

    name: of a loss among `losses`, or reprojection.
    """
    estimated = to_metric(net.regression(batch.features, generator))
    true = to_metric(batch.poses)
    if name == 'reprojection':
        focal = torch.full((len(true),), net.focal, device=true.device)
        each: Tensor = scene_reprojection(estimated, true, ROOM_M * batch.points, focal)
    else:
        each = losses.get_submodule(name)(estimated, true)
    with torch.no_grad():
        metres, angle = se3.pose_error(estimated, true)
        near = (metres < NEAR_M) & (angle < math.radians(NEAR_DEG))
    return LossTerms(
        each.mean(), estimated.isfinite().all(2).all(1).float().mean(), near.float().mean()
    )


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """One step, along a gradient of bounded length; none where it is not a number."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [p for group in optimizer.param_groups for p in group['params']]
    if torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT).isfinite():
        optimizer.step()


def learned_weights(losses: nn.ModuleDict) -> dict[str, Any]:
    """Return the log-variances that the learned loss ended with, for the map's header."""
    learned = losses['learned']
    assert isinstance(learned, AdaptiveLoss)
    position, rotation = (float(value) for value in learned.log_variances.detach())
    return {'log_variances': [round(position, 3), round(rotation, 3)]}
