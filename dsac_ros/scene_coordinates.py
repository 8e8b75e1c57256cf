# SPDX-License-Identifier: Apache-2.0
"""Scene coordinates of a frame: predicted by the network of a map, joined by measured depth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dsac_ros.alignment.reference_database import as_input
from dsac_ros.compute.device import in_half
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.geometry.resample import Resampler, network_resamplers, to_gray
from dsac_ros.network.scene_network import SceneNetwork
from dsac_ros.types import Frame, SceneCoordinates


@dataclass(frozen=True)
class NetworkOutput:
    """Predictions for one frame.

    image (1, 1, H, W) in [0, 1] is what the network saw, descriptors (1, C, H/8, W/8) are the
    encoder's; the pixels of `scene` are those of the frame's own ideal pinhole.
    """

    image: Tensor
    descriptors: Tensor
    scene: SceneCoordinates


class SceneRegressor:
    """Scene coordinate regression with the network of one map, at the map's pixels per radian."""

    def __init__(
        self, network: SceneNetwork, header: dict[str, Any], device: torch.device
    ) -> None:
        """Takes the network on its device and the header of its map."""
        self.network, self.device = network, device
        self.resamplers = network_resamplers(header['network_focal_px'], header['short_side'])

    def __call__(
        self, frame: Frame, pinhole: Resampler, cache: FrameCache | None = None
    ) -> NetworkOutput:
        """Predict the scene coordinates of a frame's cells, in the pixels of its ideal pinhole."""
        resampler = self.resamplers(frame.camera)
        image, descriptors = described(
            frame,
            resampler,
            self.network.encoder,
            self.device,
            FrameCache() if cache is None else cache,
        )
        scene = self.network.correspondences(
            descriptors,
            torch.from_numpy(resampler.matrix).float().to(self.device)[None],
            torch.from_numpy(resampler.valid_mask(frame.mask)).to(self.device)[None],
        )
        scene = in_pinhole(scene, torch.from_numpy(pinhole.matrix))
        if frame.depth is not None:
            scene = with_depth(scene, pinhole.depth(frame.depth))
        return NetworkOutput(image, descriptors, scene)

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (1, 1, H, W) in [0, 1] to descriptors (1, C, H/8, W/8)."""
        return encode(self.network.encoder, images, self.device)


def described(
    frame: Frame,
    resampler: Resampler,
    encoder: nn.Module,
    device: torch.device,
    cache: FrameCache,
) -> tuple[Tensor, Tensor]:
    """Return the image (1, 1, H, W) that a network sees and its descriptors (1, C, H/8, W/8).

    Maps that have one encoder object and one focal length share them in the cache of the frame.
    """

    def describe() -> tuple[Tensor, Tensor]:
        image = as_input(resampler(to_gray(frame.image)), device)
        return image, encode(encoder, image, device)

    key = ('descriptors', id(encoder), resampler.size_wh, resampler.matrix.tobytes())
    return cache.get(key, describe)


def encode(encoder: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    """Encode images (1, 1, H, W) in [0, 1] to descriptors (1, C, H/8, W/8)."""
    # The encoder alone: the head's points need all digits, and of every image its experts get
    # other numbers of cells, for each of which a CPU would make a program anew.
    with in_half(device):
        descriptors: Tensor = encoder(images).float()
    return descriptors


def in_pinhole(scene: SceneCoordinates, matrix: Tensor) -> SceneCoordinates:
    """Express scene coordinates in the pixels of another ideal pinhole that looks the same way.

    Both cameras have square pixels; matrix (3, 3) is the intrinsics of the other one. Predicted
    errors keep their angle.
    """
    matrix = matrix.to(scene.matrices)
    ratio = matrix[0, 0] / scene.matrices[:, 0, 0]
    from_centre = scene.pixels - scene.matrices[:, None, :2, 2]
    return replace(
        scene,
        pixels=from_centre * ratio[:, None, None] + matrix[:2, 2],
        sigma_px=scene.sigma_px * ratio[:, None],
        matrices=matrix.expand_as(scene.matrices),
    )


def with_depth(scene: SceneCoordinates, depth: np.ndarray) -> SceneCoordinates:
    """Add what a sensor measured at the pixels of one image, from its depth (H, W) [m]."""
    u, v = scene.pixels[0].round().long().T.cpu().numpy()
    height, width = depth.shape
    measured = depth[v.clip(0, height - 1), u.clip(0, width - 1)]
    measured = torch.from_numpy(np.ascontiguousarray(measured, dtype=np.float32))
    return replace(scene, depth=measured.to(scene.pixels.device)[None])
