# SPDX-License-Identifier: Apache-2.0
"""Pre-training of the encoder: a descriptor must find its own point in another view.

Pairs of views come from photographs under random homographies and from posed frames with depth
(rendered worlds). The loss is InfoNCE (van den Oord et al., 2018, eq. 4) over dense
correspondences, symmetric; negatives are all other correspondences of the batch. Beside it, or in
its place, classical descriptors are distilled (`distillation.py`).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, grid_sample, normalize

from dsac_ros.compute.device import in_bfloat16
from dsac_ros.compute.files import replacing
from dsac_ros.config import as_dict
from dsac_ros.errors import MappingError
from dsac_ros.mapping.optim.progress import Progress
from dsac_ros.mapping.optim.schedule import learning_rate
from dsac_ros.mapping.pretraining.config import PretrainConfig
from dsac_ros.mapping.pretraining.distillation import distillation_loss
from dsac_ros.mapping.pretraining.view_pairs import ViewPair, draw_pairs
from dsac_ros.network.encoder import Encoder, EncoderConfig
from dsac_ros.types import PosedFrame

log = logging.getLogger(__name__)


def contrastive_loss(
    first: Tensor,
    second: Tensor,
    pixels: Tensor,
    size: int,
    config: PretrainConfig,
    generator: torch.Generator,
) -> Tensor:
    """Descriptors (B, C, h, w) of both views, pixels (B, N, 2) -> InfoNCE, symmetric."""
    picked_first, picked_second = [], []
    for a, b, target in zip(first.flatten(2).transpose(1, 2), second, pixels):
        seen = target.isfinite().all(1).nonzero()[:, 0]
        seen = seen[torch.randperm(len(seen), generator=generator)[: config.correspondences]]
        # pixel -> [-1, 1] of the grid of cells: cell j has its centre at pixel 8 j + 3.5
        grid = (target[seen] + 0.5) / size * 2 - 1
        sampled = grid_sample(
            b[None], grid[None, None].to(b), align_corners=False, padding_mode='border'
        )
        picked_first.append(a[seen])
        picked_second.append(sampled[0, :, 0].T)
    a = normalize(torch.cat(picked_first), dim=1)
    b = normalize(torch.cat(picked_second), dim=1)
    similarity = a @ b.T / config.temperature
    truth = torch.arange(len(a), device=a.device)
    return (cross_entropy(similarity, truth) + cross_entropy(similarity.T, truth)) / 2


def total_loss(
    first: Tensor,
    second: Tensor,
    pairs: Sequence[ViewPair],
    config: PretrainConfig,
    generator: torch.Generator,
) -> Tensor:
    """Descriptors (B, C, h, w) of both views in another light, their pairs as they are -> loss."""
    total = first.new_zeros(())
    if config.objective != 'distillation':
        pixels = torch.from_numpy(np.stack([p.pixels for p in pairs])).to(first)
        total = total + contrastive_loss(first, second, pixels, config.crop, config, generator)
    if config.objective != 'contrastive':
        views = [p.first for p in pairs] + [p.second for p in pairs]
        total = total + distillation_loss(
            torch.cat([first, second]), views, config.cells, config.temperature, generator
        )
    return total


def description(
    photographs: Sequence[np.ndarray],
    scenes: Sequence[Sequence[PosedFrame]],
    config: Any,
) -> dict[str, Any]:
    """Describe a training: two with the same description learn the same.

    config is the frozen settings of the training.
    """
    digest = hashlib.sha256()
    for image in (*photographs, *(posed.frame.image for scene in scenes for posed in scene)):
        digest.update(repr(image.shape).encode())
        digest.update(np.ascontiguousarray(image).data)
    return {
        **as_dict(config),
        'photographs': len(photographs),
        'scenes': len(scenes),
        'images': digest.hexdigest()[:16],
    }


def check_same(checkpoint: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse to go on with the checkpoint of another training, whose weights it would become."""
    for name, value in wanted.items():
        if found.get(name) != value:
            raise MappingError(
                f'{checkpoint} is of another training ({name} is {found.get(name)}, expected '
                f'{value}): repeat the command that was interrupted, or remove the file'
            )


def pretrain(
    photographs: Sequence[np.ndarray],
    scenes: Sequence[Sequence[PosedFrame]],
    config: PretrainConfig,
    checkpoint: Path,
    device: str = 'cpu',
    progress: Callable[[Progress], None] = lambda state: None,
    stop_at: int | None = None,
) -> Encoder:
    """Train the encoder up to step `stop_at`; `checkpoint` is written on the way and resumed from.

    photographs: (H, W) uint8 each; scenes: frames with depth of one place each, all of
    config.crop by config.crop pixels. Raises MappingError where the checkpoint is of another
    training. A complete training leaves it too: the caller removes it when the encoder is safe.
    """
    about = description(photographs, scenes, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # initial weights only; every draw below has its generator
        encoder = Encoder(EncoderConfig(), norm=True).to(device)
    optimizer = torch.optim.AdamW(encoder.parameters(), config.learning_rate, weight_decay=1e-4)
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        check_same(checkpoint, state.get('about', {}), about)
        encoder.load_state_dict(state['encoder'])
        optimizer.load_state_dict(state['optimizer'])
        start = state['step']
        log.info('resumed %s at step %d', checkpoint, start)
    generator = torch.Generator().manual_seed(config.seed + start)
    pairs = draw_pairs(photographs, scenes, config, generator)
    last = min(config.steps, stop_at or config.steps)
    began = time.monotonic()
    for step in range(start, last):
        batch, *views = zip(*(next(pairs) for _ in range(config.pairs)))
        images = torch.from_numpy(np.concatenate(views))[:, None].to(device).float() / 255
        with in_bfloat16(device):
            descriptors = encoder(images)
        first, second = descriptors.float().chunk(2)
        loss = total_loss(first, second, batch, config, generator)
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(step / config.steps, config.learning_rate)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        left = (time.monotonic() - began) / (step + 1 - start) * (last - step - 1)
        progress(Progress('training', (step + 1) / last, left, loss.item()))
        if (step + 1) % 100 == 0 or step + 1 == last:
            state = {
                'encoder': encoder.state_dict(),
                'optimizer': optimizer.state_dict(),
                'step': step + 1,
                'about': about,
            }
            with replacing(checkpoint) as partial:
                torch.save(state, partial)
    return encoder.eval()
