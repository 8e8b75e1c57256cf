# SPDX-License-Identifier: Apache-2.0
"""The rendered world: a furnished room one can take pictures of, with exact depth and poses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dsac_ros.errors import CameraError
from dsac_ros.synthetic.atlas import build_atlas, to_srgb
from dsac_ros.synthetic.lighting import bake
from dsac_ros.synthetic.raycast import cast, soften_edges
from dsac_ros.synthetic.room import build_room
from dsac_ros.synthetic.shading import Shader
from dsac_ros.synthetic.surfaces import Obstacle
from dsac_ros.types import PINHOLE, Camera


class RenderedWorld:
    """One room; the same seed (and photographs) gives the same room.

    The floor is z = 0, the room fills [0, extent]. `photographs` are image files or folders of
    them, to hang beside the few that come with scikit-image. exchanged makes a room that looks
    like the one of the seed: in this share of the places other prints hang on the walls.
    """

    def __init__(
        self,
        seed: int = 0,
        photographs: Sequence[Path | str] | None = None,
        exchanged: float = 0.0,
    ) -> None:
        self.seed = seed
        room = build_room(np.random.default_rng((seed, 0)), tuple(map(str, photographs or ())))
        room.exchange_prints(exchanged, np.random.default_rng((seed, 5)))
        builder = room.builder
        self._patches = builder.patches()
        self._extent = room.extent
        self._obstacles = tuple(builder.obstacles)
        lightmaps = bake(
            self._patches,
            builder.shadow_boxes,
            room.lights,
            room.extent,
            room.ambient,
            np.random.default_rng((seed, 1)),
        )
        self._shader = Shader(self._patches, build_atlas(builder.textures), lightmaps)

    @property
    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """The room's lowest and highest corner, (3,) each [m]."""
        return np.zeros(3), self._extent.copy()

    @property
    def obstacles(self) -> tuple[Obstacle, ...]:
        """Layout of the furniture."""
        return self._obstacles

    def render(
        self, world_from_camera: np.ndarray, camera: Camera
    ) -> tuple[np.ndarray, np.ndarray]:
        """A clean picture: image (H, W, 3) uint8 sRGB, depth (H, W) float32 along z [m]."""
        linear, depth = self.render_linear(world_from_camera, camera)
        return to_srgb(linear), depth

    def render_linear(
        self, world_from_camera: np.ndarray, camera: Camera
    ) -> tuple[np.ndarray, np.ndarray]:
        """The light that reaches the sensor (H, W, 3) float32, 1 is white, and the depth [m]."""
        if camera.model != PINHOLE and any(camera.distortion):
            raise CameraError(f'the rendered world takes pinhole cameras, not {camera.model!r}')
        pose = np.asarray(world_from_camera, np.float64)
        if pose.shape != (4, 4) or not np.isfinite(pose).all():
            raise ValueError(f'world_from_camera is {pose.shape}, expected a finite (4, 4)')
        view = cast(self._patches, pose, np.asarray(camera.matrix, np.float64), camera.size_wh)
        image = self._shader.shade(view)
        soften_edges(image, view, self._patches.shapes)
        depth = np.zeros_like(view.inverse_depth)
        np.divide(1.0, view.inverse_depth, out=depth, where=view.inverse_depth > 0)
        return image, depth
