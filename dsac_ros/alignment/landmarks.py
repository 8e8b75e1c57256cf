# SPDX-License-Identifier: Apache-2.0
"""Landmarks: points of known depth in reference images, with templates to find them by."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from dsac_ros.alignment.reference_image import ReferenceImage

PATCH = 11  # side of a template [px of its level]
LEVELS = 4  # of the image pyramid: pixels of 1, 2, 4 and 8 px
GRID_WH = (8, 6)  # bins that an image is divided into


@dataclass(frozen=True)
class Landmarks:
    """L points, each as one reference image shows it.

    points (L, 3) [m] in the map's frame; reference (L,) index of the reference image; centre
    (L, 3) of its camera; d_point_d_pixel (L, 3, 2): derivative of the point by its pixel at the
    same depth [m/px]; scale (L,): pixels per metre there; templates (L, LEVELS, PATCH, PATCH)
    uint8.
    """

    points: Tensor
    reference: Tensor
    centre: Tensor
    d_point_d_pixel: Tensor
    scale: Tensor
    templates: Tensor

    def __len__(self) -> int:
        return len(self.points)

    def take(self, chosen: Tensor) -> Landmarks:
        """Select the landmarks of these indices (N,)."""
        return Landmarks(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True)
class Pyramid:
    """A gray image at LEVELS scales, each half as large as the one before.

    They lie beside each other in one `atlas` (1, 1, h, w) float32, so that all are read at once:
    first and last (LEVELS, 2) are the corners of each level there, in pixels; size_wh is that of
    the whole image; mask (H, W) bool: pixels where landmarks are looked for, None for all.
    """

    atlas: Tensor
    first: Tensor
    last: Tensor
    size_wh: tuple[int, int]
    mask: Tensor | None = None

    @classmethod
    def of(
        cls,
        image: np.ndarray,
        device: torch.device | str = 'cpu',
        valid: np.ndarray | None = None,
    ) -> Pyramid:
        """Build the pyramid of an image (H, W) uint8.

        Args:
            image: gray.
            device: where the pyramid lives.
            valid: (H, W) bool, pixels that show the scene; None for all.
        """
        height, width = image.shape
        atlas = np.zeros((height, width + max(1, width // 2)), np.float32)
        size_wh, corner, corners = (width, height), (0, 0), []
        for level in range(LEVELS):
            height, width = image.shape
            left, top = corner
            atlas[top : top + height, left : left + width] = image
            corners.append([corner, (left + width - 1, top + height - 1)])
            # the second one stands to the right of the first, the others below it
            corner = (size_wh[0], top + height if level else 0)
            image = cv2.resize(
                image, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA
            )
        first, last = torch.tensor(corners, dtype=torch.float32, device=device).unbind(1)
        mask = None if valid is None or valid.all() else distant(valid).to(device)
        return cls(torch.from_numpy(atlas)[None, None].to(device), first, last, size_wh, mask)

    def patches(self, level: Tensor, pixels: Tensor, warp: Tensor, reach: int) -> Tensor:
        """Sample squares (N, 2 reach + 1, 2 reach + 1) of the levels (N,) around pixels (N, 2).

        Pixels are those of the whole image; warp (N, 2, 2) maps a step on the square to a step
        there. Samples outside of the image repeat its border.
        """
        side = 2 * reach + 1
        shrink = 0.5 ** level[:, None]
        first, last = self.first[level], self.last[level]
        middle = (pixels + 0.5) * shrink - 0.5 + first
        # coordinates in rows: broadcasting along them is an order of magnitude faster
        where = middle[..., None] + (warp * shrink[..., None]) @ steps(reach, warp.device)
        where = where.maximum(first[..., None]).minimum(last[..., None])
        extent = where.new_tensor([[self.atlas.shape[3]], [self.atlas.shape[2]]])
        grid = ((2 * where + 1) / extent - 1).mT
        return grid_sample(self.atlas, grid[None], align_corners=False).reshape(-1, side, side)


def distant(valid: np.ndarray) -> Tensor:
    """Return the pixels (H, W) bool that have only valid ones around them, a template's side far.

    A landmark nearer to the rest is half seen, and would count as a misfit.
    """
    kernel = np.ones((2 * PATCH + 1, 2 * PATCH + 1), np.uint8)
    return torch.from_numpy(cv2.erode(valid.astype(np.uint8), kernel)) > 0


@functools.lru_cache(maxsize=16)
def steps(reach: int, device: torch.device) -> Tensor:
    """Return the steps (2, (2 reach + 1)^2) from the middle of a square to its pixels, by row."""
    along = torch.arange(-reach, reach + 1, dtype=torch.float32, device=device)
    return torch.stack(torch.meshgrid(along, along, indexing='xy')).reshape(2, -1)


def landmarks_of(
    references: Sequence[ReferenceImage], device: torch.device | str = 'cpu'
) -> Landmarks:
    """Return the landmarks of all reference images, with their templates."""
    columns: list[tuple[Tensor, ...]] = []
    for index, reference in enumerate(references):
        map_from_camera = np.linalg.inv(reference.camera_from_map)
        inverse = np.linalg.inv(reference.matrix)
        depth = reference.depth[:, None].astype(float)
        points = reference.points
        d_point_d_pixel = depth[:, :, None] * (map_from_camera[:3, :3] @ inverse)[None, :, :2]
        centre = np.broadcast_to(map_from_camera[:3, 3], points.shape)
        columns.append(
            (
                torch.from_numpy(points).float(),
                torch.full((len(points),), index),
                torch.from_numpy(centre.copy()).float(),
                torch.from_numpy(d_point_d_pixel).float(),
                torch.from_numpy(reference.matrix[0, 0] / reference.depth).float(),
                templates_of(
                    Pyramid.of(reference.image), torch.from_numpy(reference.pixels).float()
                ),
            )
        )
    return Landmarks(*(torch.cat(column).to(device) for column in zip(*columns)))


def templates_of(image: Pyramid, pixels: Tensor) -> Tensor:
    """Cut templates (L, LEVELS, PATCH, PATCH) uint8 out of an image around pixels (L, 2)."""
    upright = torch.eye(2).expand(len(pixels), 2, 2)
    templates = [
        image.patches(torch.full((len(pixels),), level), pixels, 2.0**level * upright, PATCH // 2)
        for level in range(LEVELS)
    ]
    return torch.stack(templates, 1).round().to(torch.uint8)


def grid_bins(
    pixels: Tensor, size_wh: tuple[int, int], grid_wh: tuple[int, int] = GRID_WH
) -> Tensor:
    """Return the grid bin (N,) of an image that each of the pixels (N, 2) lies in, by row."""
    bins = torch.tensor(grid_wh, device=pixels.device)
    place = pixels / torch.tensor(size_wh, device=pixels.device) * bins
    column, row = place.long().clamp(min=0).minimum(bins - 1).unbind(1)
    return column + grid_wh[0] * row


def select_uniformly(
    pixels: Tensor,
    priority: Tensor,
    size_wh: tuple[int, int],
    most: int,
    grid_wh: tuple[int, int] = GRID_WH,
) -> Tensor:
    """Select at most `most` of pixels (N, 2) by priority (N,), as many in each grid bin.

    Points in one corner would leave a pose undetermined, however many they are.
    """
    bin_of = grid_bins(pixels, size_wh, grid_wh)
    order = priority.argsort(descending=True, stable=True)
    order = order[bin_of[order].argsort(stable=True)]
    held = torch.bincount(bin_of, minlength=grid_wh[0] * grid_wh[1])
    first = held.cumsum(0) - held
    rank = torch.arange(len(order), device=pixels.device) - first[bin_of[order]]
    return order[rank < max(1, most // (grid_wh[0] * grid_wh[1]))]
