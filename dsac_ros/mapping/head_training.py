# SPDX-License-Identifier: Apache-2.0
"""The head learns from shuffled patches (ACE, section 3.1), as long as the schedule says."""
from __future__ import annotations

import math
from typing import Any

import torch

from dsac_ros.config import MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.mapping.buffer import FeatureBuffer
from dsac_ros.mapping.checkpoint import Checkpoint, Standing
from dsac_ros.mapping.losses import LossConfig, LossTerms, Patches, curriculum_loss
from dsac_ros.mapping.progress import Progress, Report
from dsac_ros.mapping.schedule import Schedule, learning_rate
from dsac_ros.network.head import Head, HeadConfig


def new_head(descriptor: int, config: MappingConfig, device: str) -> Head:
    """A head that knows nothing; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # layers draw their first weights from the global generator
        return Head(descriptor, HeadConfig(config.width, config.blocks,
                                           config.experts)).to(device)


def train_head(head: Head, patches: FeatureBuffer, config: MappingConfig,
               checkpoint: Checkpoint, resume: bool, progress: Report) -> dict[str, Any]:
    """Train the head on shuffled patches; returns what the map's header says of it."""
    device = patches.descriptors.device
    generator = torch.Generator(device=device).manual_seed(config.seed)
    # a CPU learns most from many small steps, a GPU computes a large one in the same time
    batch = config.batch or (5120 if device.type == 'cuda' else 2048)
    peak = config.learning_rate * math.sqrt(batch / 5120)
    optimizer = torch.optim.AdamW(head.parameters(), peak, fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == 'cuda')
    schedule = Schedule(config)
    stands = Standing(checkpoint, {'head': head, 'optimizer': optimizer, 'scaler': scaler,
                                   'schedule': schedule})
    if resume:
        stands.resume(str(device))
        generator.manual_seed(config.seed + stands.step)
    losses, terms = LossConfig(), None
    order, cursor = torch.randperm(len(patches), generator=generator, device=device), 0
    try:
        while (done := schedule.at(stands.step)) < 1.0:
            if cursor + batch > len(order):
                order, cursor = torch.randperm(len(patches), generator=generator, device=device), 0
            chosen = order[cursor:cursor + batch]
            cursor += batch
            for group in optimizer.param_groups:
                group['lr'] = learning_rate(done, peak)
            terms = train_step(head, optimizer, scaler, *patches.batch(chosen), done, losses)
            stands.step += 1
            if stands.step % 10 == 0:
                schedule.observe(terms.near.item(), stands.step)
                progress(training_state(schedule, terms))
            if stands.due:
                stands.save(summary(stands.step, schedule, terms))
    except KeyboardInterrupt:
        stands.save(summary(stands.step, schedule, terms))
        raise
    return finished(stands, schedule, terms)


def finished(stands: Standing, schedule: Schedule, terms: LossTerms | None) -> dict[str, Any]:
    """What the map's header says of a training that has ended well; MappingError otherwise.

    It is saved once more: Ctrl-C while the map is measured costs nothing either.
    """
    if terms and not torch.isfinite(terms.total):
        raise MappingError('the training diverged; check that poses are camera-to-world in the '
                           'optical frame (x right, y down, z forward) and intrinsics in pixels')
    stands.save(summary(stands.step, schedule, terms))
    return stands.told


def summary(step: int, schedule: Schedule, terms: LossTerms | None) -> dict[str, Any]:
    """What the map's header says of the training so far; nothing before its first step."""
    if terms is None:
        return {}
    return {'steps': step, 'seconds': round(schedule.seconds(), 1),
            'valid': round(terms.valid.item(), 4), 'near': round(terms.near.item(), 4),
            'stopped_early': schedule.cooling is not None}


def train_step(head: Head, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler,
               descriptors: torch.Tensor, patches: Patches, done: float,
               losses: LossConfig) -> LossTerms:
    """One gradient step; half precision in the layers where the device is fast at it."""
    device = descriptors.device.type
    with torch.autocast(device, torch.float16, enabled=device == 'cuda'):
        points, sigma = head(descriptors)
    terms = curriculum_loss(points, sigma, patches, done, losses)
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(terms.total).backward()
    scaler.step(optimizer)
    scaler.update()
    return terms


def training_state(schedule: Schedule, terms: LossTerms) -> Progress:
    """The progress to show: time left from the pace so far."""
    done = schedule.progress
    left = schedule.seconds() * (1 - done) / done if done > 0.01 else math.nan
    return Progress('training', done, left, terms.total.item(), terms.valid.item())
