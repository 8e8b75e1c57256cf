# SPDX-License-Identifier: Apache-2.0
"""Matches between pixels and points of the map, as correspondences for RANSAC."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dsac_ros.types import SceneCoordinates


def matched_points(
    points: Sequence[Tensor], pixels: Sequence[Tensor], matrix: Tensor
) -> SceneCoordinates:
    """Make correspondences of points (N, 3) and their pixels (N, 2), a batch of B images.

    Shorter lists are padded with invalid entries; matrix (3, 3) is the intrinsics of all images.
    """
    padded_points, padded_pixels = (
        pad_sequence(list(x), batch_first=True) for x in (points, pixels)
    )
    counts = torch.tensor([len(x) for x in points], device=padded_points.device)
    places = torch.arange(padded_points.shape[1], device=counts.device)
    valid = places < counts[:, None]
    return SceneCoordinates(
        points_world=padded_points,
        pixels=padded_pixels,
        valid=valid,
        sigma_px=torch.ones_like(valid, dtype=padded_points.dtype),
        matrices=matrix.to(padded_points).expand(len(counts), 3, 3),
        grid_hw=(1, padded_points.shape[1]),
    )
