# SPDX-License-Identifier: Apache-2.0
"""End-to-end training of features, confidences and damping, from poses alone.

Loss: distance of the points' projections under the estimated and the true pose, after each level
(Sarlin et al., CVPR 2021, eq. 6), robust as the square root at large errors (Barron, alpha = 1).
A finer level learns from a pair only once the coarser one has brought it near.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsac_ros.compute.device import in_bfloat16
from dsac_ros.compute.files import replacing
from dsac_ros.mapping.optim.progress import Progress
from dsac_ros.mapping.optim.schedule import learning_rate
from dsac_ros.mapping.pretraining.pretrain import check_same, description
from dsac_ros.network.encoder import load_encoder
from dsac_ros.systems.pixloc.config import PixLocTraining
from dsac_ros.systems.pixloc.featuremetric import Field, ReferencePoints, project
from dsac_ros.systems.pixloc.network import Expansion, FeatureNetwork, Level
from dsac_ros.systems.pixloc.optimizer import optimize
from dsac_ros.systems.pixloc.pairs import collate, draw_pose_pairs
from dsac_ros.types import PosedFrame

log = logging.getLogger(__name__)

MOST_ERROR_PX = 50.0  # of a projection; a larger error has no gradient
LOSS_SCALE_PX = 2.0  # error from which the loss is no longer quadratic
NEAR_CELLS = 3.0  # mean error of a level, in its cells, with which the next one learns
CHECKPOINT_STEPS = 50
MEAN_SHARE = 0.02  # of a step in the running mean of the errors


def reference_points(level: Level, points: Tensor, matrix: Tensor) -> ReferencePoints:
    """Sample what B reference images show of points (B, N, 3) in their cameras."""
    identity = torch.eye(4, dtype=points.dtype, device=points.device).expand(len(points), 4, 4)
    _, pixels = project(points, identity, matrix)
    features, _, confidence, inside = Field.of(level).sample(pixels)
    return ReferencePoints(points, features, confidence * inside)


def reprojection_error(points: Tensor, pose: Tensor, truth: Tensor, matrix: Tensor) -> Tensor:
    """Return the distances (B, N) [px] of points' projections under two poses (B, 4, 4).

    At most MOST_ERROR_PX; as much where a pose has a point behind the camera.
    """
    (camera, pixels), (true_camera, true_pixels) = (
        project(points, one, matrix) for one in (pose, truth)
    )
    # a norm of zero has no derivative
    distance = ((pixels - true_pixels).square().sum(-1) + 1e-6).sqrt()
    before = (camera[..., 2] > 0) & (true_camera[..., 2] > 0) & (distance < MOST_ERROR_PX)
    return torch.where(before, distance, torch.full_like(distance, MOST_ERROR_PX))


def pose_loss(
    network: FeatureNetwork, batch: dict[str, Tensor], iterations: int
) -> tuple[Tensor, list[Tensor]]:
    """Align the queries of a batch and return the loss, and the errors (B,) [px] of each level."""
    points, matrix, truth = (batch[name] for name in ('points', 'matrix', 'query_from_reference'))
    with in_bfloat16(points.device):
        levels = network(batch['images'])
    pose, total = batch['start'], points.new_zeros(())
    errors, near = [], torch.ones(len(points), dtype=torch.bool, device=points.device)
    for index, level in enumerate(levels):
        first, second = (
            Level(*parts, level.stride)
            for parts in zip(level.features.chunk(2), level.confidence.chunk(2))
        )
        pose = optimize(
            reference_points(first, points, matrix),
            Field.of(second),
            pose.detach(),
            matrix,
            network.expansion.damping_factors(index),
            network.expansion.log_scale[index].exp(),
            iterations,
        )
        error = reprojection_error(points, pose, truth, matrix)
        loss = LOSS_SCALE_PX * ((error / LOSS_SCALE_PX).square().add(1).sqrt() - 1)
        total = total + (loss.mean(1) * near).mean() / len(levels)
        errors.append(error.detach().mean(1))
        near = near & (errors[-1] < NEAR_CELLS * level.stride)
    return total, errors


def train(
    photographs: Sequence[np.ndarray],
    scenes: Sequence[Sequence[PosedFrame]],
    config: PixLocTraining,
    checkpoint: Path,
    device: str = 'cpu',
    progress: Callable[[Progress], None] = lambda state: None,
    stop_at: int | None = None,
) -> Expansion:
    """Train up to step `stop_at`; `checkpoint` is written on the way and resumed from.

    Args:
        photographs: gray images (H, W) uint8.
        scenes: frames with depth of one place each, config.crop by config.crop pixels.
        config: settings.
        checkpoint: stays after a complete training too; the caller removes it.
        device: cpu or cuda.
        progress: called after every step; its loss is a running mean.
        stop_at: step to end at, before the schedule does.

    Raises:
        MappingError: the checkpoint is of another training, or the images show nothing.
    """
    about = description(photographs, scenes, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # initial weights only; draws have their generator
        network = FeatureNetwork(load_encoder()[0], Expansion()).to(device)
    expansion = network.expansion
    optimizer = torch.optim.Adam(parameter_groups(expansion, config))
    start = restored(checkpoint, expansion, optimizer, about, device)
    generator = torch.Generator().manual_seed(config.seed + start)
    pairs = draw_pose_pairs(photographs, scenes, config, generator)
    last, began = min(config.steps, stop_at or config.steps), time.monotonic()
    mean: Tensor | None = None
    for step in range(start, last):
        batch = collate([next(pairs) for _ in range(config.pairs)])
        batch = {name: value.to(device) for name, value in batch.items()}
        loss, errors = pose_loss(network, batch, config.iterations)
        for group in optimizer.param_groups:
            peak = config.learning_rate * group['factor']
            group['lr'] = learning_rate(step / config.steps, peak)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(expansion.parameters(), 1.0)
        optimizer.step()
        found = torch.stack([one.median() for one in errors])
        mean = found if mean is None else (1 - MEAN_SHARE) * mean + MEAN_SHARE * found
        left = (time.monotonic() - began) / (step + 1 - start) * (last - step - 1)
        progress(Progress('training', (step + 1) / last, left, float(mean[-1])))
        if (step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == last:
            log.info('step %d: median errors of the levels %s px', step + 1, mean.tolist())
            state = {
                'expansion': expansion.state_dict(),
                'optimizer': optimizer.state_dict(),
                'step': step + 1,
                'about': about,
            }
            with replacing(checkpoint) as partial:
                torch.save(state, partial)
    return expansion.eval()


def parameter_groups(expansion: Expansion, config: PixLocTraining) -> list[dict[str, Any]]:
    """Return the weights, and apart from them the priors, whose few numbers must move faster."""
    priors = [expansion.damping, expansion.log_scale]
    weights = [one for part in (expansion.units, expansion.heads) for one in part.parameters()]
    return [
        {'params': weights, 'lr': config.learning_rate, 'factor': 1.0},
        {'params': priors, 'lr': config.learning_rate, 'factor': config.prior_rate},
    ]


def restored(
    checkpoint: Path,
    expansion: Expansion,
    optimizer: torch.optim.Optimizer,
    about: dict[str, Any],
    device: str,
) -> int:
    """Load a checkpoint where there is one; return the number of steps done."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, map_location=device, weights_only=True)
    check_same(checkpoint, state.get('about', {}), about)
    expansion.load_state_dict(state['expansion'])
    optimizer.load_state_dict(state['optimizer'])
    log.info('resumed %s at step %d', checkpoint, state['step'])
    return int(state['step'])
