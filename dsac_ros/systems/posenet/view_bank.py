# SPDX-License-Identifier: Apache-2.0
"""Synthesised views of a scene, encoded once: what a regression of poses trains on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsac_ros.compute.device import in_half
from dsac_ros.config import MappingConfig
from dsac_ros.geometry import se3
from dsac_ros.geometry.resample import STRIDE
from dsac_ros.mapping.data.dataset import Dataset, network_focal
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.optim.parallel import in_parallel
from dsac_ros.network.encoder import Encoder
from dsac_ros.systems.posenet.config import PoseNetConfig
from dsac_ros.systems.posenet.network import pooled
from dsac_ros.systems.posenet.synthesis import Pinhole, moved_view, random_view

ENCODED = 16  # views at a time


@dataclass(frozen=True)
class Batch:
    """B views: features (B, C, grid, grid), poses (B, 4, 4), points (B, N, 3) in their frames."""

    features: Tensor
    poses: Tensor
    points: Tensor


@dataclass(frozen=True)
class ViewBank:
    """M views on the training device.

    features (M, C, grid, grid) in half precision, poses scene_from_camera (M, 4, 4). source (M,)
    is the mapping view that each was made of, points (V, N, 3) what those see in scene units (no
    points where no loss needs them), with_points (R,) the views that see any. images (M, 1, H, W)
    uint8 and masks (M, H, W) are empty unless the encoder is trained.
    """

    features: Tensor
    poses: Tensor
    source: Tensor
    points: Tensor
    with_points: Tensor
    images: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def select(self, kept: Tensor) -> ViewBank:
        """Return the features and poses of some views, a mask (M,); points and images stay out."""
        nothing = self.features.new_zeros(0)
        return ViewBank(
            self.features[kept],
            self.poses[kept],
            self.source[kept],
            self.points[:, :0],
            nothing,
            nothing,
            nothing,
        )

    def rows(self, count: int, seen_points: bool, generator: torch.Generator) -> Tensor:
        """Draw views (count,), of those that see points if a loss needs them."""
        if seen_points:
            chosen = torch.randint(len(self.with_points), (count,), generator=generator)
            return self.with_points[chosen]
        return torch.randint(len(self), (count,), generator=generator)

    def batch(self, rows: Tensor, encoder: Encoder | None = None, grid: int = 1) -> Batch:
        """Return views (B,); with an encoder their features have gradients."""
        poses = self.poses[rows]
        if encoder is None:
            features = self.features[rows].float()
        else:
            images = self.images[rows].float() / 255
            features = pooled(encoder(images), self.masks[rows], grid)
        return Batch(
            features, poses, se3.transform(se3.inverse(poses), self.points[self.source[rows]])
        )


def network_camera(data: Dataset, short_side: int) -> Pinhole:
    """Return the camera of the images that the network sees: the lens of most views."""
    focal = network_focal(data, short_side)
    view = data.views[0]
    sides = np.array(view.image.shape[::-1]) * focal / view.matrix[0, 0]
    width, height = (max(STRIDE, STRIDE * round(side / STRIDE)) for side in sides)
    matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    return Pinhole(matrix, (width, height))


def synthesised(
    views: Sequence[View], camera: Pinhole, config: MappingConfig, own: PoseNetConfig
) -> Iterator[tuple[int, View]]:
    """Yield each mapping view `passes` times, at first as it is, then moved; with its source."""
    jobs = [(index, turn) for turn in range(config.passes) for index in range(len(views))]
    limit = math.radians(config.max_rotation)

    def make(job: tuple[int, int]) -> tuple[int, View]:
        index, turn = job
        if not turn:
            return index, moved_view(views[index], camera, np.eye(3), np.zeros(3))
        seed = (config.seed * config.passes + turn) * len(views) + index
        generator = torch.Generator().manual_seed(seed)
        return index, random_view(views[index], camera, limit, own.reach, generator)

    return in_parallel(make, jobs)


def fill(
    encoder: Encoder,
    data: Dataset,
    points: Sequence[np.ndarray],
    camera: Pinhole,
    config: MappingConfig,
    own: PoseNetConfig,
    device: str,
    progress: Callable[[float], None],
) -> ViewBank:
    """Synthesise and encode views.

    Args:
        encoder: on the device.
        data: the mapping views.
        points: of each of them (N, 3) or (0, 3); empty where no loss needs them.
        camera: of the synthesised views.
        config: settings of the mapping.
        own: those of the system.
        device: of the bank.
        progress: takes the share done.
    """
    total = config.passes * len(data.views)
    columns: dict[str, list[Tensor]] = {
        name: [] for name in ('features', 'poses', 'images', 'masks')
    }
    source: list[int] = []
    for group in grouped(synthesised(data.views, camera, config, own), ENCODED):
        images = torch.from_numpy(np.stack([view.image for _, view in group]))[:, None].to(device)
        masks = torch.from_numpy(np.stack([view.mask for _, view in group])).to(device)
        with torch.inference_mode(), in_half(device):
            features = pooled(encoder(images.float() / 255), masks, own.grid)
        columns['features'].append(features.half())
        columns['poses'].append(
            torch.from_numpy(np.stack([view.scene_from_camera for _, view in group])).float()
        )
        if own.finetune_encoder:
            columns['images'].append(images)
            columns['masks'].append(masks)
        source += [index for index, _ in group]
        progress(len(source) / total)
    tensors = {
        name: torch.cat(column).clone().to(device) if column else torch.zeros(0, device=device)
        for name, column in columns.items()
    }
    rows = torch.tensor(source, device=device)
    stacked, usable = stack_points(points, len(data.views))
    return ViewBank(
        **tensors,
        source=rows,
        points=stacked.to(device),
        with_points=torch.nonzero(usable.to(device)[rows])[:, 0],
    )


def stack_points(points: Sequence[np.ndarray], count: int) -> tuple[Tensor, Tensor]:
    """Return points (V, N, 3), zero where a view has none, and which views have some (V,)."""
    usable = torch.tensor([len(one) > 0 for one in points] or [False] * count)
    most = max(map(len, points), default=0)
    stacked = torch.zeros(count, most, 3)
    for row, one in enumerate(points):
        if len(one):
            stacked[row] = torch.from_numpy(one).float()
    return stacked, usable


def grouped(items: Iterator[tuple[int, View]], size: int) -> Iterator[list[tuple[int, View]]]:
    """Yield lists of up to `size` items."""
    group: list[tuple[int, View]] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
