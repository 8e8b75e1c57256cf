# SPDX-License-Identifier: Apache-2.0
"""Features of an image at every step of the alignment: two scales, three levels each."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.reference_database import as_input
from dsac_ros.compute.device import in_half
from dsac_ros.systems.pixloc.network import FeatureNetwork, Level

#: Factors by which an image is shrunk, one after the other: the coarser, the further a pose may
#: be (paper, sec. 4.3: a quarter, then the whole image).
SHRINKS = (4, 1)


@dataclass(frozen=True)
class Step:
    """One level of one scale: `matrix` (3, 3) projects to the pixels of that scale."""

    level: Level
    matrix: Tensor
    scale: int
    index: int


def steps_of(
    network: FeatureNetwork,
    image: np.ndarray,
    matrix: np.ndarray,
    device: torch.device | str,
    scales: tuple[int, ...] = tuple(range(len(SHRINKS))),
) -> list[Step]:
    """Extract the features of an image (H, W) uint8, coarse to fine.

    Args:
        network: of the features.
        image: gray, of an ideal pinhole.
        matrix: its intrinsics (3, 3).
        device: to compute on.
        scales: indices into SHRINKS of the scales that are wanted.
    """
    steps = []
    for scale in scales:
        small, intrinsics = shrunk(image, matrix, SHRINKS[scale])
        with torch.no_grad(), in_half(device):
            levels = network(as_input(small, device))
        projection = torch.from_numpy(intrinsics).to(device).float()
        steps += [Step(level, projection, scale, i) for i, level in enumerate(levels)]
    return steps


def shrunk(image: np.ndarray, matrix: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image at 1 / factor of its size, and its intrinsics.

    An integer pixel is a pixel's centre, so that the corners of both images coincide.
    """
    if factor == 1:
        return image, matrix
    size_wh = tuple(max(1, round(side / factor)) for side in image.shape[::-1])
    ratio = np.array(size_wh) / image.shape[::-1]
    scaled = matrix.astype(float).copy()
    scaled[:2, 2] = (matrix[:2, 2] + 0.5) * ratio - 0.5
    scaled[[0, 1], [0, 1]] *= ratio.mean()
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), scaled
