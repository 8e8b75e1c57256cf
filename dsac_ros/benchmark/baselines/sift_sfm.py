# SPDX-License-Identifier: Apache-2.0
"""SIFT and structure from motion: what a robotics engineer would build with COLMAP.

RootSIFT features of images with up to 1280 px, each by its own camera; points triangulated at the
known poses by pycolmap, each with the mean of its descriptors in 8 bits; for a query the 20 most
similar images by VLAD, Lowe's ratio test against the points that these see, and PoseLib's
LO-RANSAC. Needs the `benchmark` extra.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from dsac_ros.alignment.features import mutual, root_sift
from dsac_ros.benchmark.baselines.pnp import inverse
from dsac_ros.benchmark.baselines.triangulation import (
    CORNER,
    Features,
    Structure,
    camera_of,
    match_all,
    triangulate,
)
from dsac_ros.compute.stopwatch import Stopwatch
from dsac_ros.errors import ConfigError, MapError, MappingError, SourceError
from dsac_ros.geometry.resample import Resampler, Resamplers, to_gray
from dsac_ros.map_container import write_atomically
from dsac_ros.systems.vlad import Vlad
from dsac_ros.types import Frame, Localization, PosedFrame, PoseStatistics, Result

FEATURES = 3000
LONG_SIDE = 1280  # of images at most [px]
RETRIEVED = 20
RATIO = 0.85  # of Lowe's test among mean descriptors
INLIER_SHARE = 0.0075  # threshold of RANSAC, of the long side: 12 px of 1600, as in hloc
LEAST_INLIERS = 12
LEVELS = 512  # of a unit descriptor's component; RootSIFT's hardly exceed a half
SECONDS = 'mapping_seconds'  # beside the map's arrays in its file


@dataclass(frozen=True)
class SiftMap:
    """Points, descriptors and retrieval codes, in the types that a file holds them in.

    origin (3,) float64 and points (P, 3) float32 relative to it, descriptors (P, 128) uint8;
    image `i` sees the points visible[starts[i]:starts[i + 1]] (uint32).
    """

    origin: np.ndarray
    points: np.ndarray
    descriptors: np.ndarray
    visible: np.ndarray
    starts: np.ndarray
    vlad: Vlad

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        return {
            'origin': self.origin,
            'points': self.points,
            'descriptors': self.descriptors,
            'visible': self.visible,
            'starts': self.starts,
            'basis': self.vlad.basis,
            'words': self.vlad.words,
            'codes': self.vlad.codes,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> SiftMap:
        """The map of arrays by name; TypeError or KeyError where these are others."""
        own = dict(arrays)
        vlad = Vlad(*(own.pop(name) for name in ('basis', 'words', 'codes')))
        return cls(**own, vlad=vlad)

    def seen_by(self, images: np.ndarray) -> np.ndarray:
        """Indices of the points that at least one of these images sees."""
        return np.unique(
            np.concatenate([self.visible[self.starts[i] : self.starts[i + 1]] for i in images])
        )


def build_map(images: list[Features], structure: Structure) -> SiftMap:
    """Keep of each point its place, its mean descriptor and the images that see it."""
    sums = np.zeros((len(structure.points), 128), np.float32)
    for image, (rows, points) in zip(images, structure.tracks):
        np.add.at(sums, points, image.descriptors[rows])
    origin = np.median([image.world_from_camera[:3, 3] for image in images], axis=0)
    lists = [np.unique(points).astype(np.uint32) for _, points in structure.tracks]
    return SiftMap(
        origin,
        (structure.points - origin).astype(np.float32),
        quantised(normalised(sums)),
        np.concatenate(lists),
        np.cumsum([0, *map(len, lists)]).astype(np.uint32),
        Vlad.learn([image.descriptors for image in images]),
    )


def normalised(descriptors: np.ndarray) -> np.ndarray:
    """Descriptors (K, 128) of unit length."""
    return descriptors / (np.linalg.norm(descriptors, axis=1, keepdims=True) + 1e-9)


def quantised(descriptors: np.ndarray) -> np.ndarray:
    """Unit descriptors (K, 128) in 8 bits."""
    return np.clip(np.round(LEVELS * descriptors), 0, 255).astype(np.uint8)


class SiftSfm:
    """Localizes in a map of SIFT points."""

    def __init__(self, learned: SiftMap, seconds: float = math.nan) -> None:
        """Takes the map, and the seconds that learning it took."""
        require()
        self.map, self.seconds = learned, seconds
        self._resamplers = Resamplers.to_own_size(LONG_SIDE)
        self._descriptors = normalised(learned.descriptors.astype(np.float32))

    @classmethod
    def learn(
        cls, frames: Iterable[PosedFrame], progress: Callable[[float], None] = lambda share: None
    ) -> SiftSfm:
        """Triangulate the frames' features at their poses.

        Raises ConfigError without pycolmap, SourceError without frames, MappingError where
        nothing can be triangulated.
        """
        require('pycolmap')
        start = time.monotonic()
        resamplers = Resamplers.to_own_size(LONG_SIDE)
        images = [
            features_of(posed.frame, resamplers(posed.frame.camera), posed.world_from_camera)
            for posed in frames
        ]
        if not images:
            raise SourceError(
                'SIFT + SfM has no mapping frame with a pose, expected at least one;'
                ' name a source whose frames have poses'
            )
        structure = triangulate(images, match_all(images, progress))
        if not len(structure.points):
            raise MappingError(
                f'SIFT + SfM triangulates no point of {len(images)} mapping frames,'
                ' expected frames that overlap; take more of them'
            )
        learned = build_map(images, structure)
        return cls(learned, time.monotonic() - start)

    @classmethod
    def load(cls, path: Path) -> SiftSfm:
        """Load a map that `save` wrote; MapError where it is none."""
        try:
            arrays = load_file(path)
            seconds = float(arrays.pop(SECONDS))
            return cls(SiftMap.from_arrays(arrays), seconds)
        except (SafetensorError, TypeError, KeyError) as error:
            raise MapError(
                f'{path} is no map of SIFT + SfM ({error}), expected one that this '
                'version wrote; remove it, and it is learned again'
            ) from error

    def save(self, path: Path) -> None:
        """Write the map to a file, whole or not at all."""
        write_atomically(path, save({**self.map.arrays(), SECONDS: np.array(self.seconds)}))

    def localize(self, frame: Frame) -> Localization:
        """Localize a frame; a refusal has its reason."""
        import poselib

        clock = Stopwatch(torch.device('cpu'))
        query = features_of(frame, self._resamplers(frame.camera), np.eye(4))
        clock.lap('features')
        candidates = self.map.seen_by(self.map.vlad.nearest(query.descriptors, RETRIEVED))
        clock.lap('retrieval')
        rows, matched = mutual(query.descriptors, self._descriptors[candidates], ratio=RATIO).T
        clock.lap('matching')
        inliers = 0
        if len(rows) >= 4:
            pose, report = poselib.estimate_absolute_pose(
                query.pixels[rows] + CORNER,
                self.map.points[candidates[matched]].astype(np.float64),
                camera_of(query.matrix, query.size_wh),
                {
                    'max_reproj_error': INLIER_SHARE * max(query.size_wh),
                    'max_iterations': 20000,
                    'min_iterations': 200,
                },
                {'loss_type': 'CAUCHY', 'loss_scale': 1.0},
            )
            inliers = int(report['num_inliers'])
        clock.lap('ransac')
        if inliers < LEAST_INLIERS:
            return Localization(
                Result.LOW_INLIERS,
                f'{len(rows)} matches, {inliers} inliers, expected at least {LEAST_INLIERS}',
                frame.stamp_ns,
                frame.name,
                timings_ms=clock.laps,
            )
        world_from_camera = inverse(pose.R, pose.t)
        world_from_camera[:3, 3] += self.map.origin
        return Localization(
            Result.ACCEPTED,
            '',
            frame.stamp_ns,
            frame.name,
            world_from_camera,
            statistics=PoseStatistics(inliers / len(rows), inliers),
            timings_ms=clock.laps,
        )


def features_of(frame: Frame, resampler: Resampler, world_from_camera: np.ndarray) -> Features:
    """RootSIFT features of a frame where it shows the scene."""
    pixels, descriptors = root_sift(
        resampler(to_gray(frame.image)), FEATURES, resampler.valid_mask(frame.mask)
    )
    return Features(pixels, descriptors, resampler.matrix, resampler.size_wh, world_from_camera)


def require(*modules: str) -> None:
    """Raise ConfigError where the benchmark extra is not installed."""
    missing = [name for name in (*modules, 'poselib') if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f'SIFT + SfM needs {" and ".join(missing)}; '
            "`pip install 'dsac_ros[benchmark]'` installs them"
        )
