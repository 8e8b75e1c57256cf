# SPDX-License-Identifier: Apache-2.0
"""Mapping by structure from motion at known poses: match, triangulate, describe.

A source that is a COLMAP model brings its own points: then nothing is matched or triangulated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dsac_ros.compute.device import choose_device
from dsac_ros.config import MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.map_container import StoredMap
from dsac_ros.mapping.data import dataset
from dsac_ros.mapping.optim.progress import ProgressCallback, Stages
from dsac_ros.systems.mapping import calibrated, posed_frames, system_header, write
from dsac_ros.systems.sift_sfm.config import SiftSfmConfig
from dsac_ros.systems.sift_sfm.model_points import (
    Track,
    features_of_model,
    is_usable,
    structure_of,
    track_of,
)
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

log = logging.getLogger(__name__)


def learn(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    own: SiftSfmConfig,
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
    require('poselib')
    clock = Stages(progress)
    device = choose_device(device)
    described = Described(frames, own.model_points == 'auto')
    data = dataset.prepare(described, config, total, clock.stage, track=False)
    header = system_header(data, config, own, output.stem, map_frame)
    structures = structures_of(described, clock.stage('matching'))
    clock.stage('triangulating')
    everything = range(len(described.images))
    if data.held_out:
        kept = without_held_out(described.images, data)
        without = sift_map_of(described.images, structures, kept, data)
        header |= calibrated(header, without.tensors(), data, device, clock)
        clock.stage('triangulating all')
    learned = sift_map_of(described.images, structures, everything, data)
    if not data.held_out:
        header |= calibrated(header, learned.tensors(), data, device, clock)
    header['training'] = {'points': structures.origin, 'count': len(learned.points)}
    return write(header, learned.tensors(), output, device, clock)


@dataclass
class Described:
    """Frames that leave their features, and what a model knows of them, behind as they pass."""

    frames: Iterable[PosedFrame]
    use_points: bool = True
    images: list[Features] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)

    def __iter__(self) -> Iterator[PosedFrame]:
        """Yield the frames."""
        resampler_of = resamplers()
        for posed in self.frames:
            self._describe(posed, resampler_of(posed.frame.camera))
            yield posed

    def _describe(self, posed: PosedFrame, resampler: Any) -> None:
        pose = posed.world_from_camera
        points = posed.points() if posed.points is not None and self.use_points else None
        known = None if points is None else features_of_model(points, resampler, pose)
        image = known[0] if known else features_of(posed.frame, resampler, pose)
        self.images.append(image)
        if points is not None:
            self.tracks.append(known[1] if known else track_of(image, points))


class Structures(Protocol):
    """Points of any of the images; origin says in the map's header where they are from."""

    @property
    def origin(self) -> str:
        """'model' or 'triangulated'."""

    def of(self, kept: Sequence[int]) -> Structure:
        """Return the points of these images."""


def structures_of(described: Described, progress: Callable[[float], None]) -> Structures:
    """Return the points of a model that knows every image, else those that can be triangulated."""
    images, tracks = described.images, described.tracks
    if tracks and len(tracks) == len(images):
        if is_usable(tracks):
            return ModelStructures(tracks)
        log.warning('the points of the model are not where SIFT features are: triangulating anew')
    require('pycolmap')
    return TriangulatedStructures(images, match_all(images, progress))


@dataclass(frozen=True)
class ModelStructures:
    """Points that a model has of images."""

    tracks: list[Track]
    origin: str = 'model'

    def of(self, kept: Sequence[int]) -> Structure:
        """Return the points of these images."""
        return structure_of([self.tracks[index] for index in kept])


@dataclass(frozen=True)
class TriangulatedStructures:
    """Points triangulated of matches of images."""

    images: list[Features]
    matches: list[Match]
    origin: str = 'triangulated'

    def of(self, kept: Sequence[int]) -> Structure:
        """Return the points of these images."""
        new = {index: row for row, index in enumerate(kept)}
        return triangulate(
            [self.images[index] for index in kept],
            [(new[i], new[j], rows) for i, j, rows in self.matches if i in new and j in new],
        )


def without_held_out(images: Sequence[Features], data: dataset.Dataset) -> list[int]:
    """Return the indices of the images but for those held out."""
    held_out = np.stack([posed.world_from_camera for posed in posed_frames(data.held_out, data)])
    return [
        index
        for index, image in enumerate(images)
        if np.abs(held_out - image.world_from_camera).max((1, 2)).min() > 1e-6 * data.scale
    ]


def sift_map_of(
    images: Sequence[Features],
    structures: Structures,
    kept: Sequence[int],
    data: dataset.Dataset,
) -> SiftMap:
    """Make a map of the points of some images.

    Raises:
        MappingError: there are none.
    """
    structure = structures.of(kept)
    if not len(structure.points):
        raise MappingError(
            f'no point could be triangulated of {len(images)} mapping frames, expected frames '
            'that overlap; take more of them'
        )
    return build_map([images[index] for index in kept], structure, data.origin)
