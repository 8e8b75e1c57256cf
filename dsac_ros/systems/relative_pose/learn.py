# SPDX-License-Identifier: Apache-2.0
"""Mapping without training or points: mapping images from many viewpoints, and their features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.features import MOST, quantised, root_sift
from dsac_ros.compute.device import choose_device
from dsac_ros.config import MappingConfig
from dsac_ros.map_container import StoredMap
from dsac_ros.mapping.data import dataset
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.optim.progress import ProgressCallback, Stages
from dsac_ros.mapping.sfm.reference_selection import distances
from dsac_ros.systems.mapping import finish, system_header
from dsac_ros.systems.relative_pose.config import RelativePoseConfig
from dsac_ros.systems.vlad import Vlad
from dsac_ros.types import PosedFrame


def learn(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    own: RelativePoseConfig,
    *,
    device: str,
    output: Path,
    total: int | None = None,
    map_frame: str = 'map',
    progress: ProgressCallback = lambda state: None,
    resume: bool = False,
) -> StoredMap:
    """Map a place in one pass over its images; see `mapping.ace.learn_map`."""
    clock = Stages(progress)
    device = choose_device(device)
    data = dataset.prepare(frames, config, total, clock.stage, track=False)
    header = system_header(data, config, own, output.stem, map_frame)
    chosen = [data.views[index] for index in spread(data.views, own.references)]
    tensors = described(chosen, own.features, data.scale, clock)
    return finish(header, tensors, data, output, device, clock)


def spread(views: Sequence[View], count: int) -> list[int]:
    """Select views one after the other, each the farthest in place or direction from the others.

    Farthest point sampling (Gonzalez 1985); indices in the order of the views.
    """
    apart, chosen = np.full(len(views), np.inf), [0]
    while len(chosen) < min(count, len(views)):
        apart = np.minimum(apart, distances(views, chosen[-1]))
        apart[chosen] = -1.0
        chosen.append(int(apart.argmax()))
    return sorted(chosen)


def described(
    views: Sequence[View], features: int, scale: float, clock: Stages
) -> dict[str, Tensor]:
    """Return the tensors of a map; see `system.References`."""
    progress = clock.stage('encoding')
    image, rays, depth, kept, every = [], [], [], [], []
    for index, view in enumerate(views):
        pixels, descriptors = root_sift(view.image, MOST, view.mask)
        every.append(descriptors)
        pixels, descriptors = pixels[:features], descriptors[:features]
        kept.append(quantised(descriptors))
        image.append(np.full(len(pixels), index, np.int32))
        rays.append((pixels - view.matrix[:2, 2]) / view.matrix[0, 0])
        depth.append(scale * depth_at(view, pixels))
        progress((index + 1) / len(views))
    vlad = Vlad.learn(every)
    poses = np.stack([view.scene_from_camera for view in views])
    poses[:, :3, 3] *= scale
    arrays = {
        'image': np.concatenate(image),
        'rays': np.concatenate(rays).astype(np.float32),
        'depth': np.concatenate(depth).astype(np.float32),
        'descriptors': np.concatenate(kept),
        'poses': poses,
        'basis': vlad.basis,
        'words': vlad.words,
        'codes': vlad.codes,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def depth_at(view: View, pixels: np.ndarray) -> np.ndarray:
    """Return the depth (K,) [scene units] of a view at pixels (K, 2), 0 where it has none."""
    if view.depth is None or not len(pixels):
        return np.zeros(len(pixels))
    height, width = view.depth.shape
    u, v = np.clip(pixels.round().astype(int), 0, (width - 1, height - 1)).T
    return np.asarray(view.depth[v, u], dtype=float)
