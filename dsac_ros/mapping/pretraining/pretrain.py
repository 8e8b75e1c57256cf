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
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, grid_sample, normalize

from dsac_ros.compute.device import in_bfloat16
from dsac_ros.compute.files import replacing
from dsac_ros.config import as_dict, setting
from dsac_ros.errors import MappingError
from dsac_ros.geometry.resample import STRIDE, cell_centres, to_gray
from dsac_ros.mapping.data.augmentation import PhotometricConfig, change_light, uniform
from dsac_ros.mapping.optim.progress import Progress
from dsac_ros.mapping.optim.schedule import learning_rate
from dsac_ros.mapping.pretraining.distillation import distillation_loss
from dsac_ros.network.encoder import Encoder, EncoderConfig
from dsac_ros.types import PosedFrame

log = logging.getLogger(__name__)

# as dark, noisy and blurred as what a robot's camera sees
MOST_REJECTED = 1000  # draws in a row; each image is drawn at random
LIGHT = PhotometricConfig(
    gain=0.7, gamma=0.4, offset=0.1, noise=0.05, blur_px=20.0, blur_share=0.35
)


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the pre-training of the encoder."""

    steps: int = setting(8000, 'gradient steps', low=1)
    pairs: int = setting(5, 'pairs of views per step', low=1)
    crop: int = setting(256, 'side of a view', unit='px', low=64)
    correspondences: int = setting(384, 'points drawn from each pair', low=8)
    objective: str = setting(
        'both', 'what is asked of the descriptors', choices=('contrastive', 'distillation', 'both')
    )
    cells: int = setting(128, 'cells of each view on which SIFT is distilled', low=8)
    temperature: float = setting(0.07, 'of the softmax over candidates', low=1e-3)
    learning_rate: float = setting(1.5e-3, 'peak of the one-cycle schedule', low=1e-6)
    rendered_share: float = setting(
        0.5,
        'share of the pairs from posed frames with depth, where there are any',
        low=0.0,
        high=1.0,
    )
    max_rotation: float = setting(
        0.6, 'largest rotation between two views of a photograph', unit='rad', low=0.0
    )
    max_zoom: float = setting(2.0, 'largest change of scale between two views', low=1.0)
    seed: int = setting(0, 'seed of all draws', low=0)


@dataclass(frozen=True)
class ViewPair:
    """Two views (S, S) uint8 and, for each cell of the first, its pixel in the second (N, 2).

    NaN where the second does not see it.
    """

    first: np.ndarray
    second: np.ndarray
    pixels: np.ndarray


def photograph_pair(
    photograph: np.ndarray, config: PretrainConfig, generator: torch.Generator
) -> ViewPair:
    """Two views of a flat photograph (H, W) uint8 under random homographies."""
    height, width = photograph.shape
    size = config.crop
    zoom = math.exp(uniform(generator, -0.5, 0.3)) * min(1.0, min(height, width) / (1.3 * size))
    centre = (uniform(generator, 0.25, 0.75) * width, uniform(generator, 0.25, 0.75) * height)
    angle = uniform(generator, -0.3, 0.3)
    ratio = math.exp(uniform(generator, -1, 1) * math.log(config.max_zoom) / 2)
    turn = uniform(generator, -1, 1) * config.max_rotation / 2
    views = []
    for sign in (-1, 1):
        shift = [uniform(generator, -0.15, 0.15) * size for _ in range(2)]
        views.append(
            random_homography(
                centre, zoom * ratio**sign, angle + sign * turn, shift, size, generator
            )
        )
    first, second = (warp(photograph, h, size) for h in views)
    cells = cell_centres((size, size), STRIDE)
    pixels = apply_homography(np.linalg.inv(views[1]) @ views[0], cells)
    outside = (pixels < 0) | (pixels > size - 1)
    pixels[outside.any(1)] = np.nan
    return ViewPair(first, second, pixels)


def random_homography(
    centre: Sequence[float],
    zoom: float,
    angle: float,
    shift: Sequence[float],
    size: int,
    generator: torch.Generator,
) -> np.ndarray:
    """photograph_from_view (3, 3): a similarity with a touch of perspective."""
    to_middle = np.array(
        [[1, 0, -(size - 1) / 2 + shift[0]], [0, 1, -(size - 1) / 2 + shift[1]], [0, 0, 1.0]]
    )
    tilt = np.eye(3)
    tilt[2, :2] = [uniform(generator, -0.25, 0.25) / size for _ in range(2)]
    stretch = math.exp(uniform(generator, -0.2, 0.2))
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    place = np.array(
        [[cosine * stretch, -sine, centre[0]], [sine * stretch, cosine, centre[1]], [0, 0, 1]]
    )
    return place @ tilt @ to_middle


def warp(photograph: np.ndarray, photograph_from_view: np.ndarray, size: int) -> np.ndarray:
    """The view (size, size) of a photograph; mirrored beyond its border."""
    return cv2.warpPerspective(
        photograph,
        photograph_from_view,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )


def apply_homography(homography: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) through a homography (3, 3)."""
    image = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ homography.T
    return image[:, :2] / image[:, 2:]


def posed_pair(
    frames: Sequence[PosedFrame], config: PretrainConfig, generator: torch.Generator
) -> ViewPair | None:
    """Two frames of one scene with depth, where they see the same; None where they don't.

    All frames are ideal pinhole images of one camera.
    """
    first, second = (frames[i] for i in torch.randperm(len(frames), generator=generator)[:2])
    a, b = first.frame, second.frame
    cells = cell_centres(a.camera.size_wh, STRIDE)
    u, v = cells.T.round().astype(int)
    depth = a.depth[v, u]
    rays = np.concatenate([cells, np.ones((len(cells), 1))], 1) @ np.linalg.inv(a.camera.matrix).T
    points = np.concatenate([rays * depth[:, None], np.ones((len(cells), 1))], 1)
    in_second = points @ (np.linalg.inv(second.world_from_camera) @ first.world_from_camera).T
    z = in_second[:, 2]
    projected = in_second[:, :3] @ b.camera.matrix.T
    pixels = projected[:, :2] / np.maximum(z, 1e-6)[:, None]
    width, height = b.camera.size_wh
    inside = (depth > 0) & (z > 0) & (pixels >= 0).all(1)
    inside &= (pixels <= [width - 1, height - 1]).all(1)
    u, v = np.where(inside[:, None], pixels, 0).round().astype(int).T
    # what the second camera sees there must be the same surface, not something before it
    inside &= np.abs(b.depth[v, u] - z) < 0.02 * z
    pixels[~inside] = np.nan
    if inside.mean() < 0.15:
        return None
    return ViewPair(to_gray(a.image), to_gray(b.image), pixels)


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


def draw_pairs(
    photographs: Sequence[np.ndarray],
    scenes: Sequence[Sequence[PosedFrame]],
    config: PretrainConfig,
    generator: torch.Generator,
) -> Iterator[tuple[ViewPair, np.ndarray, np.ndarray]]:
    """Endless pairs of views, and both views (S, S) in another light.

    Raises MappingError where MOST_REJECTED draws in a row show nothing.
    """
    rejected = 0
    while rejected < MOST_REJECTED:
        use_scene = scenes and uniform(generator, 0, 1) < config.rendered_share
        if use_scene:
            chosen = int(torch.randint(len(scenes), (), generator=generator))
            pair = posed_pair(scenes[chosen], config, generator)
        else:
            chosen = int(torch.randint(len(photographs), (), generator=generator))
            pair = photograph_pair(photographs[chosen], config, generator)
        # a view without any texture teaches nothing
        if pair is None or pair.first.std() < 8 or pair.second.std() < 8:
            rejected += 1
            continue
        rejected = 0
        yield (
            pair,
            change_light(pair.first, LIGHT, generator),
            change_light(pair.second, LIGHT, generator),
        )
    raise MappingError(
        f'{MOST_REJECTED} views in a row show no texture, expected photographs '
        'with something to see on them; use others'
    )


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
