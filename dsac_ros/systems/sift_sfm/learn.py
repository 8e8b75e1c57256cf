# SPDX-License-Identifier: Apache-2.0
"""Mapping by structure from motion at known poses: match, triangulate, describe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.compute.device import choose_device
from dsac_ros.config import MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.map_container import StoredMap
from dsac_ros.mapping.data import dataset
from dsac_ros.mapping.optim.progress import ProgressCallback, Stages
from dsac_ros.systems.mapping import calibrated, posed_frames, system_header, write
from dsac_ros.systems.sift_sfm.sift_map import SiftMap, build_map
from dsac_ros.systems.sift_sfm.system import features_of, require, resamplers
from dsac_ros.systems.sift_sfm.triangulation import (
    Features,
    Match,
    Structure,
    match_all,
    triangulate,
)
from dsac_ros.types import PosedFrame


def learn(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    own: Any,
    *,
    device: str,
    output: Path,
    total: int | None = None,
    map_frame: str = 'map',
    progress: ProgressCallback = lambda state: None,
    resume: bool = False,
) -> StoredMap:
    """Map a place from all frames; see `mapping.ace.learn_map`.

    A map of the frames that are not held out is calibrated on those that are; the one that is
    written has the points of all.
    """
    require('pycolmap', 'poselib')
    clock = Stages(progress)
    device = choose_device(device)
    described = Described(frames)
    data = dataset.prepare(described, config, total, clock.stage, track=False)
    header = system_header(data, config, own, output.stem, map_frame)
    images = described.images
    matches = match_all(images, clock.stage('matching'))
    clock.stage('triangulating')
    if data.held_out:
        without = sift_map_of(*without_held_out(images, matches, data), data)
        header |= calibrated(header, without.tensors(), data, device, clock)
        clock.stage('triangulating all')
    learned = sift_map_of(images, matches, data)
    if not data.held_out:
        header |= calibrated(header, learned.tensors(), data, device, clock)
    return write(header, learned.tensors(), output, device, clock)


@dataclass
class Described:
    """Frames that leave their features behind as they pass."""

    frames: Iterable[PosedFrame]
    images: list[Features] = field(default_factory=list)

    def __iter__(self) -> Iterator[PosedFrame]:
        """Yield the frames."""
        resampler_of = resamplers()
        for posed in self.frames:
            self.images.append(
                features_of(posed.frame, resampler_of(posed.frame.camera), posed.world_from_camera)
            )
            yield posed


def without_held_out(
    images: list[Features], matches: list[Match], data: dataset.Dataset
) -> tuple[list[Features], list[Match]]:
    """Return the images, and matches among them, but for those near no view that was learned."""
    held_out = np.stack([posed.world_from_camera for posed in posed_frames(data.held_out, data)])
    kept = [
        index
        for index, image in enumerate(images)
        if np.abs(held_out - image.world_from_camera).max((1, 2)).min() > 1e-6 * data.scale
    ]
    new = {index: row for row, index in enumerate(kept)}
    return [images[index] for index in kept], [
        (new[i], new[j], rows) for i, j, rows in matches if i in new and j in new
    ]


def sift_map_of(images: list[Features], matches: list[Match], data: dataset.Dataset) -> SiftMap:
    """Triangulate the points of a map.

    Raises:
        MappingError: nothing can be triangulated.
    """
    structure: Structure = triangulate(images, matches)
    if not len(structure.points):
        raise MappingError(
            f'no point could be triangulated of {len(images)} mapping frames, expected frames '
            'that overlap; take more of them'
        )
    return build_map(images, structure, data.origin)
