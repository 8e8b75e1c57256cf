# SPDX-License-Identifier: Apache-2.0
"""Mapping without training or points: mapping images from many viewpoints, and their features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from dsac_ros.systems.mapping import calibrated, system_header, write
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
    """Map a place in one pass over its images; see `mapping.ace.learn_map`.

    A map without the views that are held out is calibrated on them; they are in the one that is
    written.
    """
    clock = Stages(progress)
    device = choose_device(device)
    data = dataset.prepare(frames, config, total, clock.stage, track=False)
    header = system_header(data, config, own, output.stem, map_frame)
    views = [*data.views, *data.held_out]
    chosen = spread(views, own.references)
    images = described([views[index] for index in chosen], own.features, data.scale, clock)
    learned = [image for index, image in zip(chosen, images) if index < len(data.views)]
    header |= calibrated(header, tensors_of(learned), data, device, clock)
    return write(header, tensors_of(images), output, device, clock)


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


@dataclass(frozen=True)
class Described:
    """A mapping image as the map keeps it; every (K, 128) float32: also features that it drops."""

    rays: np.ndarray
    depth: np.ndarray
    descriptors: np.ndarray
    every: np.ndarray
    map_from_camera: np.ndarray


def described(
    views: Sequence[View], features: int, scale: float, clock: Stages
) -> list[Described]:
    """Describe views by so many of their features; scale: of the scene [m]."""
    progress, images = clock.stage('encoding'), []
    for done, view in enumerate(views, 1):
        pixels, descriptors = root_sift(view.image, MOST, view.mask)
        kept = pixels[:features]
        pose = view.scene_from_camera.copy()
        pose[:3, 3] *= scale
        images.append(
            Described(
                (kept - view.matrix[:2, 2]) / view.matrix[0, 0],
                scale * depth_at(view, kept),
                quantised(descriptors[:features]),
                descriptors,
                pose,
            )
        )
        progress(done / len(views))
    return images


def tensors_of(images: Sequence[Described]) -> dict[str, Tensor]:
    """Return the tensors of a map; see `system.References`."""
    vlad = Vlad.learn([image.every for image in images])
    counts = [len(image.rays) for image in images]
    arrays = {
        'image': np.repeat(np.arange(len(images), dtype=np.int32), counts),
        'rays': np.concatenate([image.rays for image in images]).astype(np.float32),
        'depth': np.concatenate([image.depth for image in images]).astype(np.float32),
        'descriptors': np.concatenate([image.descriptors for image in images]),
        'poses': np.stack([image.map_from_camera for image in images]),
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
