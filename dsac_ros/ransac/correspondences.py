# SPDX-License-Identifier: Apache-2.0
"""Normalized 2D-3D correspondences: centred, scaled, masked and free of NaN.

The solver is independent of the world's unit: points are divided by their own extent, so that a
scene in millimetres yields the same numbers, in float32 too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from dsac_ros.geometry import se3
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.types import SceneCoordinates

# Bound of the relative precision, in both directions: no cell dominates or vanishes.
MAX_PRECISION = 16.0
# Points farther than this from the centre, in units of the scale, are invalid: their squares and
# products would overflow in float32.
FAR = 1e6


@dataclass(frozen=True)
class Correspondences:
    """N 2D-3D correspondences in each of B images.

    Attributes:
        points: (B, N, 3) in units of `scale`, relative to `centre`.
        pixels: (B, N, 2) relative to the principal point [px].
        focal: (B, 2) [px].
        valid: (B, N) bool.
        precision: (B, N) relative, of median 1; 0 where a cell is not valid.
        centre: (B, 3) in the world's unit.
        scale: (B,) in the world's unit.
        area: (B,) of the image region that the pixels cover [px^2].
        inverse_depth: (B, N) inverse of the measured depth in scaled units, 0 where none was
            measured; None for RGB alone.
    """

    points: Tensor
    pixels: Tensor
    focal: Tensor
    valid: Tensor
    precision: Tensor
    centre: Tensor
    scale: Tensor
    area: Tensor
    inverse_depth: Tensor | None = None

    @property
    def rays(self) -> Tensor:
        """Directions (B, N, 3) of the pixels in the camera frame, z = 1."""
        plane = self.pixels / self.focal[:, None]
        return torch.cat((plane, torch.ones_like(plane[..., :1])), -1)

    def take(self, cells: Tensor) -> Correspondences:
        """Select the cells (B, M)."""
        wide = cells[..., None]
        return replace(
            self,
            points=self.points.gather(1, wide.expand(-1, -1, 3)),
            pixels=self.pixels.gather(1, wide.expand(-1, -1, 2)),
            valid=self.valid.gather(1, cells),
            precision=self.precision.gather(1, cells),
            inverse_depth=None
            if self.inverse_depth is None
            else self.inverse_depth.gather(1, cells),
        )

    def first(self, count: int) -> Correspondences:
        """Select the first `count` cells."""
        return replace(
            self,
            points=self.points[:, :count],
            pixels=self.pixels[:, :count],
            valid=self.valid[:, :count],
            precision=self.precision[:, :count],
            inverse_depth=None if self.inverse_depth is None else self.inverse_depth[:, :count],
        )

    def detach(self) -> Correspondences:
        """Return the same values without gradient history."""
        return self._each(torch.Tensor.detach)

    def repeat(self, count: int) -> Correspondences:
        """Repeat every image `count` times, consecutively."""
        return self._each(lambda values: values.repeat_interleave(count, 0))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Correspondences:
        return replace(
            self,
            **{
                one.name: change(values)
                for one in fields(self)
                if (values := getattr(self, one.name)) is not None
            },
        )

    def camera_from_scaled(self, world_from_camera: Tensor) -> Tensor:
        """Convert world_from_camera (B, K, 4, 4) to camera_from_world of the scaled world."""
        translation = (world_from_camera[..., :3, 3] - self.centre[:, None]) / self.scale[
            :, None, None
        ]
        return se3.inverse(se3.from_parts(world_from_camera[..., :3, :3], translation))

    def world_from_camera(self, camera_from_scaled: Tensor) -> Tensor:
        """Convert poses (B, K, 4, 4) of the scaled world to world_from_camera, world's unit."""
        scaled = se3.inverse(camera_from_scaled)
        translation = scaled[..., :3, 3] * self.scale[:, None, None] + self.centre[:, None]
        return se3.from_parts(scaled[..., :3, :3], translation)


def normalize_correspondences(scene: SceneCoordinates) -> Correspondences:
    """Convert scene coordinates to normalized correspondences without NaN."""
    measured = {} if scene.depth is None else {'depth': (scene.depth, 'B N')}
    check_shapes(
        points_world=(scene.points_world, 'B N 3'),
        pixels=(scene.pixels, 'B N 2'),
        sigma_px=(scene.sigma_px, 'B N'),
        valid=(scene.valid, 'B N'),
        matrices=(scene.matrices, 'B 3 3'),
        **measured,
    )
    # The solver needs at least float32, also for a network in half precision.
    dtype = torch.promote_types(scene.points_world.dtype, torch.float32)
    # A sum is finite if and only if all its terms are.
    valid = scene.valid & (scene.points_world.sum(-1) + scene.pixels.sum(-1)).isfinite()
    points, valid, centre, scale = _normalised(scene.points_world.to(dtype), valid)
    matrices = scene.matrices.to(dtype)
    pixels = torch.where(valid[..., None], scene.pixels.to(dtype) - matrices[:, None, :2, 2], 0.0)
    focal = matrices.diagonal(dim1=-2, dim2=-1)[:, :2]
    extent = torch.where(valid[..., None], pixels, -torch.inf).amax(1) - torch.where(
        valid[..., None], pixels, torch.inf
    ).amin(1)
    area = extent.clamp(min=1.0).prod(-1)
    inverse_depth = None
    if scene.depth is not None:
        known = valid & scene.depth.isfinite() & (scene.depth > 0.0)
        inverse_depth = torch.where(known, scale[:, None] / scene.depth.to(dtype), 0.0)
    return Correspondences(
        points,
        pixels,
        focal,
        valid,
        _precision(scene.sigma_px.to(dtype), valid),
        centre,
        scale,
        area,
        inverse_depth,
    )


def _normalised(points: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centre points (B, N, 3) at their median and scale them by their median distance to it.

    Returns:
        The points, the valid mask (B, N) without points that are FAR, centre (B, 3), scale (B,).
    """
    with torch.no_grad():
        masked = torch.where(valid[..., None], points, torch.nan)
        centre = masked.nanmedian(1).values.nan_to_num(0.0)
        distance = torch.linalg.vector_norm(masked - centre[:, None], dim=-1)
        scale = distance.nanmedian(1).values.nan_to_num(1.0)
        scale = torch.where((scale > 0.0) & scale.isfinite(), scale, torch.ones_like(scale))
        valid = valid & (distance < FAR * scale[:, None])
    scaled = (points - centre[:, None]) / scale[:, None, None]
    return torch.where(valid[..., None], scaled, 0.0), valid, centre, scale


def _precision(sigma_px: Tensor, valid: Tensor) -> Tensor:
    """Return the relative precision (B, N): 1 / sigma^2 over its median, clamped."""
    known = valid & sigma_px.isfinite() & (sigma_px > 0.0)
    precision = torch.where(known, sigma_px, 1.0).square().reciprocal()
    median = torch.where(known, precision, torch.nan).detach().nanmedian(1, keepdim=True).values
    relative = (precision / median.nan_to_num(1.0)).clamp(1.0 / MAX_PRECISION, MAX_PRECISION)
    return torch.where(valid, torch.where(known, relative, 1.0), 0.0)
