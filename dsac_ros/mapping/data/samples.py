# SPDX-License-Identifier: Apache-2.0
"""One view as a whole network trains on it: all cells of an image at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsac_ros.compute.device import in_half
from dsac_ros.geometry.resample import STRIDE, cell_centres
from dsac_ros.mapping.data.buffer import patch_cells
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.losses.curriculum import Patches
from dsac_ros.mapping.losses.metric_scene import metric_scene
from dsac_ros.network.scene_network import SceneNetwork
from dsac_ros.types import SceneCoordinates


@dataclass(frozen=True)
class Sample:
    """One view on the training device.

    image (1, 1, H, W) in [0, 1], cells (N,) those that lie on the camera's image, their patches
    (N), and the camera's matrix (3, 3).
    """

    image: Tensor
    cells: Tensor
    patches: Patches
    matrix: Tensor

    @classmethod
    def of(cls, view: View, device: torch.device, generator: torch.Generator) -> Sample:
        """All cells of a view, in some order."""
        cells = patch_cells(view, view.image.size, generator)
        pixels = cell_centres((view.image.shape[1], view.image.shape[0]), STRIDE)[cells]
        u, v = pixels.round().astype(int).T
        depth = np.zeros(len(cells)) if view.depth is None else view.depth[v, u]
        pose = np.linalg.inv(view.scene_from_camera)

        def tensor(values: np.ndarray, *shape: int) -> Tensor:
            """The same for all patches where `values` is of one."""
            return (
                torch.from_numpy(np.asarray(values)).float().to(device).expand(len(cells), *shape)
            )

        return cls(
            image=torch.from_numpy(view.image).to(device)[None, None].float() / 255,
            cells=torch.from_numpy(cells).to(device),
            patches=Patches(
                pixels=tensor(pixels, 2),
                rotation=tensor(pose[:3, :3], 3, 3),
                translation=tensor(pose[:3, 3], 3),
                focal=tensor(view.matrix[0, 0]),
                principal=tensor(view.matrix[:2, 2], 2),
                depth=tensor(depth),
            ),
            matrix=torch.from_numpy(view.matrix).float().to(device),
        )

    def predicted(self, network: SceneNetwork) -> tuple[Tensor, Tensor]:
        """Points (N, 3) in scene units and sigma (N, 1) [px] of the cells, with gradients.

        In half precision where that is faster: a CPU with bfloat16 takes 0.4 of the time.
        """
        with in_half(self.image.device):
            units, sigma = network.head(network.encoder(self.image).permute(0, 2, 3, 1))
        return units[0].flatten(0, 1)[self.cells], sigma[0].flatten(0, 1)[self.cells]

    def to_metric(
        self, points: Tensor, rgbd: bool, sigma: Tensor | None = None
    ) -> tuple[SceneCoordinates, Tensor]:
        """Points (N, 3) in scene units and world_from_camera (1, 4, 4), in metres of a room.

        With rgbd the depth that was measured takes part. A network that says how sure it is of
        the points has sigma (N, 1) [px].
        """
        return metric_scene(points, self.patches, self.matrix, rgbd, sigma)
