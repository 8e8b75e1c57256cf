# SPDX-License-Identifier: Apache-2.0
"""Closeness of an image to those that were mapped: the evidence for a regressed pose.

A regression is right where it has been (Sattler et al., CVPR 2019), so images are compared, by
the distance of their features to the nearest mapping view's (Sun et al., "Out-of-Distribution
Detection with Deep Nearest Neighbors", ICML 2022). The spread of the pose under dropout does not
tell: docs/systems/posenet.md.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

DIMENSIONS = 512  # distances keep to 3 % (Johnson and Lindenstrauss, 1984)
LEAST_DISTANCE = 1e-3


def codes_of(features: Tensor) -> Tensor:
    """Project features (N, C, grid, grid) to codes (N, DIMENSIONS); distances are RMS ones."""
    flat = features.flatten(1).float()
    return flat @ projection(flat.shape[1]).to(flat.device)


def closeness(code: Tensor, references: Tensor) -> float:
    """Return the inverse distance of a code (1, D) to the nearest of the references (R, D).

    Components of descriptors have about unit variance, and so have their differences in images
    of different places.
    """
    distance = float((code - references).square().sum(1).min().sqrt())
    return 1.0 / max(distance, LEAST_DISTANCE)


@cache
def projection(inputs: int) -> Tensor:
    """Return a random matrix (inputs, DIMENSIONS), the same everywhere.

    RandomState, since its stream will never change.
    """
    entries = np.random.RandomState(1).standard_normal((inputs, DIMENSIONS))
    return torch.from_numpy(entries / np.sqrt(inputs * DIMENSIONS)).float()
