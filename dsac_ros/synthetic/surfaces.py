# SPDX-License-Identifier: Apache-2.0
"""Surfaces of a room: flat textured patches, and boxes that cast shadows and block ways.

A patch is `origin + s edge_s + t edge_t` with s, t in [0, 1]; s runs along the texture's columns,
t down its rows, and `edge_s x edge_t` points away from whoever sees the patch's front.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

RECTANGLE, DISC, TRIANGLE = 0, 1, 2


@dataclass(frozen=True)
class Material:
    """A texture and its scale: index into `Builder.textures`, pixels per metre.

    Where it has a grain, that runs along x, and is laid along the longer side of every part.
    """

    texture: int
    px_per_m: float
    grain: bool = False


@dataclass(frozen=True)
class Box:
    """An upright box, turned by yaw [rad] about its vertical axis; centre and size (3,) [m]."""

    centre: np.ndarray
    size: np.ndarray
    yaw: float

    def corners_xy(self) -> np.ndarray:
        """The footprint (4, 2)."""
        half = self.size[:2] / 2
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        signs = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1)))
        return self.centre[:2] + (signs * half) @ np.array(((c, s), (-s, c)))


@dataclass(frozen=True)
class Obstacle:
    """Obstacle of a robot: the corners (4, 2) of its footprint and its height [m]."""

    corners_xy: np.ndarray
    height: float


@dataclass(frozen=True)
class SurfacePatches:
    """All patches of a room, Q of them.

    origins, edges_s, edges_t (Q, 3) [m]; shapes (Q,); regions (Q, 4): x, y, w, h in texels of
    textures (Q,); two_sided (Q,) bool; emission (Q,) radiance of those that shine, else 0.
    """

    origins: np.ndarray
    edges_s: np.ndarray
    edges_t: np.ndarray
    shapes: np.ndarray
    textures: np.ndarray
    regions: np.ndarray
    two_sided: np.ndarray
    emission: np.ndarray

    def __len__(self) -> int:
        """Return their number."""
        return len(self.origins)

    @cached_property
    def areas(self) -> np.ndarray:
        """|edge_s x edge_t| (Q,) [m^2]."""
        return np.linalg.norm(np.cross(self.edges_s, self.edges_t), axis=1)


@dataclass
class Builder:
    """Collects patches, textures, shadow boxes and obstacles while a room is furnished."""

    rng: np.random.Generator
    textures: list[np.ndarray] = field(default_factory=list)
    shadow_boxes: list[Box] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)
    _rows: list[tuple[Any, ...]] = field(default_factory=list)

    def material(self, image: np.ndarray, px_per_m: float, *, grain: bool = False) -> Material:
        """Register a texture whose parts are cut out at a fixed scale."""
        self.textures.append(image)
        return Material(len(self.textures) - 1, px_per_m, grain)

    def patch(
        self,
        origin: np.ndarray,
        edge_s: np.ndarray,
        edge_t: np.ndarray,
        skin: Material | np.ndarray,
        *,
        shape: int = RECTANGLE,
        two_sided: bool = False,
        emission: float = 0.0,
    ) -> None:
        """Add one patch; an image as `skin` covers it once, a material is cut to its size."""
        if isinstance(skin, Material):
            if skin.grain and shape == RECTANGLE and edge_t @ edge_t > edge_s @ edge_s:
                origin, edge_s, edge_t = origin + edge_t, -edge_t, edge_s
            texture, region = skin.texture, self._cut(skin, edge_s, edge_t)
        else:
            self.textures.append(skin)
            texture, region = len(self.textures) - 1, (0.0, 0.0, skin.shape[1], skin.shape[0])
        self._rows.append((origin, edge_s, edge_t, shape, texture, region, two_sided, emission))

    def _cut(
        self, material: Material, edge_s: np.ndarray, edge_t: np.ndarray
    ) -> tuple[float, float, float, float]:
        """A random piece of the material, as large as the patch."""
        height, width = self.textures[material.texture].shape[:2]
        w = min(float(np.linalg.norm(edge_s)) * material.px_per_m, width)
        h = min(float(np.linalg.norm(edge_t)) * material.px_per_m, height)
        return self.rng.uniform(0, width - w + 1e-9), self.rng.uniform(0, height - h + 1e-9), w, h

    def box(
        self,
        centre: ArrayLike,
        size: ArrayLike,
        yaw: float,
        skin: Material,
        *,
        front: np.ndarray | None = None,
        top: np.ndarray | None = None,
        casts: bool = True,
        bottom: bool = False,
    ) -> None:
        """Add an upright box; `front` (at local -y) and `top` may have images of their own."""
        centre, size = np.asarray(centre, float), np.asarray(size, float)
        c, s = np.cos(yaw), np.sin(yaw)
        ex, ey, ez = np.array((c, s, 0)), np.array((-s, c, 0)), np.array((0, 0, 1.0))
        hx, hy, hz = size / 2
        down = -ez * size[2]
        for outward, right, reach, width in (
            (-ey, ex, hy, size[0]),
            (ey, -ex, hy, size[0]),
            (-ex, -ey, hx, size[1]),
            (ex, ey, hx, size[1]),
        ):
            origin = centre + outward * reach - right * width / 2 + ez * hz
            own = front if front is not None and outward @ -ey > 0.5 else skin
            self.patch(origin, right * width, down, own)
        self.patch(
            centre + ez * hz - ex * hx + ey * hy,
            ex * size[0],
            -ey * size[1],
            skin if top is None else top,
        )
        if bottom:
            self.patch(centre - ez * hz - ex * hx - ey * hy, ex * size[0], ey * size[1], skin)
        if casts:
            self.shadow_boxes.append(Box(centre, size, float(yaw)))

    def cylinder(
        self,
        centre: np.ndarray,
        radius: float,
        height: float,
        skin: Material,
        *,
        sides: int = 14,
        taper: float = 1.0,
        top: np.ndarray | Material | None = None,
        casts: bool = True,
        emission: float = 0.0,
    ) -> None:
        """Add an upright prism of many sides; `taper` is the top radius over the bottom one."""
        centre = np.asarray(centre, float)
        angles = np.arange(sides + 1) * 2 * np.pi / sides
        ring = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], 1) * radius
        up = np.array((0, 0, height / 2))
        upper, lower = centre + ring * taper + up, centre + ring - up
        for k in range(sides):
            self.patch(
                upper[k],
                upper[k + 1] - upper[k],
                lower[k] - upper[k],
                skin,
                shape=RECTANGLE if abs(taper - 1) < 1e-9 else TRIANGLE,
                emission=emission,
            )
            if abs(taper - 1) > 1e-9:
                self.patch(
                    lower[k + 1],
                    lower[k] - lower[k + 1],
                    upper[k + 1] - lower[k + 1],
                    skin,
                    shape=TRIANGLE,
                    emission=emission,
                )
        wide = np.array((2 * radius * taper, 0, 0)), np.array((0, -2 * radius * taper, 0))
        self.patch(
            centre + up - wide[0] / 2 - wide[1] / 2,
            *wide,
            skin if top is None else top,
            shape=DISC,
        )
        if casts:
            side = 1.7 * radius * max(taper, 1.0)
            self.shadow_boxes.append(Box(centre, np.array((side, side, height)), 0.0))

    def block(self, centre: ArrayLike, size: ArrayLike, yaw: float) -> None:
        """Mark a footprint as no way for a robot."""
        size = np.asarray(size, float)
        box = Box(np.asarray(centre, float), size, float(yaw))
        self.obstacles.append(Obstacle(box.corners_xy(), float(size[2])))

    def patches(self) -> SurfacePatches:
        """All that was added, as arrays."""
        columns = list(zip(*self._rows))
        origins, edges_s, edges_t = (np.asarray(columns[i], np.float64) for i in (0, 1, 2))
        return SurfacePatches(
            origins,
            edges_s,
            edges_t,
            np.asarray(columns[3], np.int8),
            np.asarray(columns[4], np.int32),
            np.asarray(columns[5], np.float64),
            np.asarray(columns[6], bool),
            np.asarray(columns[7], np.float32),
        )
