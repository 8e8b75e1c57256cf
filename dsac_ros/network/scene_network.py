# SPDX-License-Identifier: Apache-2.0
"""Encoder and head: an image to scene coordinates in the world's frame and units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.resample import STRIDE, cell_centres
from dsac_ros.types import SceneCoordinates


class SceneNetwork(nn.Module):
    """The network of a loaded map.

    scale [m] is the head's unit, the scene's typical depth: the network is independent of metres.
    Points are relative to the map's origin, so that float32 suffices for any world origin (UTM
    coordinates are common).
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, scale: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.scale = scale

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict scene coordinates from images (B, 1, H, W) in [0, 1].

        Returns:
            Points (B, h, w, 3) [m] relative to the map's origin, and sigma (B, h, w) [px].
        """
        return self.points(self.encoder(images))

    def points(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the same from descriptors (B, C, h, w)."""
        units, sigma = self.head(descriptors.permute(0, 2, 3, 1))
        return self.scale * units, sigma[..., 0]

    def correspondences(
        self, descriptors: Tensor, matrices: Tensor, mask: Tensor
    ) -> SceneCoordinates:
        """Predict one 2D-3D correspondence per cell.

        Args:
            descriptors: of the images (B, C, H/8, W/8).
            matrices: intrinsics (B, 3, 3).
            mask: (B, H, W) bool, True for pixels that come from the camera.
        """
        check_shapes(
            descriptors=(descriptors, 'B C h w'),
            matrices=(matrices, 'B 3 3'),
            mask=(mask, 'B H W'),
        )
        batch, height, width = mask.shape
        points, sigma = self.points(descriptors)
        rows, columns = points.shape[1:3]
        pixels = torch.as_tensor(
            cell_centres((width, height), STRIDE), dtype=points.dtype, device=points.device
        )
        inside = mask.view(batch, rows, STRIDE, columns, STRIDE).to(points.dtype)
        inside = inside.mean((2, 4)) > 0.5
        return SceneCoordinates(
            points_world=points.reshape(batch, -1, 3),
            pixels=pixels.expand(batch, -1, 2),
            sigma_px=sigma.reshape(batch, -1),
            valid=inside.reshape(batch, -1),
            matrices=matrices.to(points),
            grid_hw=(rows, columns),
        )
