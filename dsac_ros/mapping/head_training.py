# SPDX-License-Identifier: Apache-2.0
"""The head learns from shuffled patches (ACE, section 3.1), as long as the schedule says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from dsac_ros.compute.device import in_half
from dsac_ros.config import MappingConfig
from dsac_ros.mapping.data.buffer import FeatureBuffer
from dsac_ros.mapping.losses.curriculum import LossConfig, LossTerms, Patches, curriculum_loss
from dsac_ros.mapping.optim.checkpoint import Checkpoint, TrainingState
from dsac_ros.mapping.optim.loop import train
from dsac_ros.mapping.optim.progress import ProgressCallback
from dsac_ros.mapping.optim.schedule import Schedule, learning_rate
from dsac_ros.network.head import Head, HeadConfig


def new_head(descriptor: int, config: MappingConfig, device: str) -> Head:
    """A head that knows nothing; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # layers draw their first weights from the global generator
        return Head(descriptor, HeadConfig(config.width, config.blocks, config.experts)).to(device)


def train_head(
    head: Head,
    patches: FeatureBuffer,
    config: MappingConfig,
    checkpoint: Checkpoint,
    resume: bool,
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Train the head on shuffled patches; returns what the map's header says of it."""
    device = patches.descriptors.device
    generator = torch.Generator(device=device).manual_seed(config.seed)
    # a CPU learns most from many small steps, a GPU computes a large one in the same time
    batch = config.batch or (5120 if device.type == 'cuda' else 2048)
    peak = config.learning_rate * math.sqrt(batch / 5120)
    optimizer = torch.optim.AdamW(head.parameters(), peak, fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == 'cuda')
    schedule = Schedule(config)
    state = TrainingState(
        checkpoint, {'head': head, 'optimizer': optimizer, 'scaler': scaler, 'schedule': schedule}
    )
    if resume:
        state.resume(str(device))
        generator.manual_seed(config.seed + state.step)
    losses, rows = LossConfig(), batches(len(patches), batch, generator)

    def step(done: float) -> LossTerms:
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(done, peak)
        return train_step(head, optimizer, scaler, *patches.batch(next(rows)), done, losses)

    return train(state, schedule, step, progress)


def batches(count: int, batch: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Rows (batch,) of count, on the generator's device: all once in a random order, then anew."""
    while True:
        order = torch.randperm(count, generator=generator, device=generator.device)
        yield from order.split(batch)[: max(1, count // batch)]


def train_step(
    head: Head,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    descriptors: torch.Tensor,
    patches: Patches,
    done: float,
    losses: LossConfig,
) -> LossTerms:
    """One gradient step; half precision in the layers where the device is fast at it."""
    with in_half(descriptors.device):
        points, sigma = head(descriptors)
    terms = curriculum_loss(points, sigma, patches, done, losses)
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(terms.total).backward()
    scaler.step(optimizer)
    scaler.update()
    return terms
