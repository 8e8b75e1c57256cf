# SPDX-License-Identifier: Apache-2.0
"""Map of SIFT points: each with its mean descriptor in 8 bits, and the images that see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsac_ros.systems.sift_sfm.triangulation import Features, Structure
from dsac_ros.systems.vlad import Vlad

LEVELS = 512  # of a unit descriptor's component; RootSIFT's hardly exceed a half


@dataclass(frozen=True)
class SiftMap:
    """Points, descriptors and retrieval codes, in the types that a file holds them in.

    points (P, 3) float32 relative to the map's origin, descriptors (P, 128) uint8; image `i` sees
    the points visible[starts[i]:starts[i + 1]] (int32).
    """

    points: np.ndarray
    descriptors: np.ndarray
    visible: np.ndarray
    starts: np.ndarray
    vlad: Vlad

    def tensors(self) -> dict[str, Tensor]:
        """All arrays by name."""
        arrays = {
            'points': self.points,
            'descriptors': self.descriptors,
            'visible': self.visible,
            'starts': self.starts,
            'basis': self.vlad.basis,
            'words': self.vlad.words,
            'codes': self.vlad.codes,
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> SiftMap:
        """Invert `tensors`; ValueError or KeyError where these are others."""
        own = {name: tensor.numpy() for name, tensor in tensors.items()}
        vlad = Vlad(*(own.pop(name) for name in ('basis', 'words', 'codes')))
        found = cls(**own, vlad=vlad)
        count = len(found.points)
        if (
            found.points.shape != (count, 3)
            or found.descriptors.shape != (count, 128)
            or len(found.starts) != len(vlad.codes) + 1
            or found.starts[-1] != len(found.visible)
            or (np.diff(found.starts) < 0).any()
            or not ((found.visible >= 0) & (found.visible < count)).all()
        ):
            raise ValueError('points, descriptors and images do not belong together')
        return found

    def seen_by(self, images: np.ndarray) -> np.ndarray:
        """Indices of the points that at least one of these images sees."""
        return np.unique(
            np.concatenate([self.visible[self.starts[i] : self.starts[i + 1]] for i in images])
        )


def build_map(images: list[Features], structure: Structure, origin: np.ndarray) -> SiftMap:
    """Keep of each point its place, its mean descriptor and the images that see it.

    origin (3,) is that of the map's frame.
    """
    sums = np.zeros((len(structure.points), 128), np.float32)
    for image, (rows, points) in zip(images, structure.tracks):
        np.add.at(sums, points, image.descriptors[rows])
    lists = [np.unique(points).astype(np.int32) for _, points in structure.tracks]
    return SiftMap(
        (structure.points - origin).astype(np.float32),
        quantised(normalised(sums)),
        np.concatenate(lists),
        np.cumsum([0, *map(len, lists)]).astype(np.int32),
        Vlad.learn([image.descriptors for image in images]),
    )


def normalised(descriptors: np.ndarray) -> np.ndarray:
    """Descriptors (K, 128) of unit length."""
    return descriptors / (np.linalg.norm(descriptors, axis=1, keepdims=True) + 1e-9)


def quantised(descriptors: np.ndarray) -> np.ndarray:
    """Unit descriptors (K, 128) in 8 bits."""
    return np.clip(np.round(LEVELS * descriptors), 0, 255).astype(np.uint8)
