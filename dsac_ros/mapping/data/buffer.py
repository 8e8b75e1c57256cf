# SPDX-License-Identifier: Apache-2.0
"""The feature buffer of ACE (section 3.1): encode once, then train on shuffled patches."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dsac_ros.compute.device import in_half
from dsac_ros.compute.memory import available_memory
from dsac_ros.config import MappingConfig
from dsac_ros.geometry.resample import STRIDE, cell_centres
from dsac_ros.mapping.data.augmentation import PhotometricConfig, change_light, uniform
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.losses.curriculum import Patches
from dsac_ros.network.encoder import Encoder

log = logging.getLogger(__name__)

LIGHT = PhotometricConfig(
    gain=0.15, gamma=0.15, offset=0.03, noise=0.01, blur_px=5.0, blur_share=0.1
)

PATCH_BYTES = 20  # beside its descriptor
MOST_BYTES = 1.5e9
PLAIN = 0.3  # how often a cell without contrast is drawn, relative to the mean one


@dataclass(frozen=True)
class FeatureBuffer:
    """M patches on the training device.

    descriptors (M, C) in half precision, pixels (M, 2), depth (M,), image (M,) the index of the
    augmented image, whose intrinsics (I, 3) are focal length and principal point and whose
    camera_from_scene is (I, 3, 4).
    """

    descriptors: Tensor
    pixels: Tensor
    depth: Tensor
    image: Tensor
    intrinsics: Tensor
    camera_from_scene: Tensor

    def __len__(self) -> int:
        return len(self.descriptors)

    def batch(self, chosen: Tensor) -> tuple[Tensor, Patches]:
        """Descriptors (N, C) float32 and patches of the chosen rows (N,)."""
        image = self.image[chosen]
        pose = self.camera_from_scene[image]
        intrinsics = self.intrinsics[image]
        return self.descriptors[chosen].float(), Patches(
            pixels=self.pixels[chosen],
            rotation=pose[:, :, :3],
            translation=pose[:, :, 3],
            focal=intrinsics[:, 0],
            principal=intrinsics[:, 1:],
            depth=self.depth[chosen],
        )


def augmented(view: View, config: MappingConfig, generator: torch.Generator) -> View:
    """The view turned about its optical axis, zoomed, and in another light."""
    zoom = math.exp(uniform(generator, -1, 1) * math.log(config.max_zoom))
    angle = math.radians(uniform(generator, -config.max_rotation, config.max_rotation))
    height, width = view.image.shape
    new_wh = tuple(max(STRIDE, STRIDE * round(side * zoom / STRIDE)) for side in (width, height))
    centre = view.matrix[:2, 2]
    new_centre = (np.array(new_wh) - 1) / 2
    cosine, sine = zoom * math.cos(angle), zoom * math.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    warp = np.column_stack([turn, new_centre - turn @ centre])
    image = cv2.warpAffine(
        view.image, warp, new_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    mask = cv2.warpAffine(view.mask.astype(np.uint8), warp, new_wh, flags=cv2.INTER_NEAREST)
    depth = None
    if view.depth is not None:
        depth = cv2.warpAffine(view.depth, warp, new_wh, flags=cv2.INTER_NEAREST)
    matrix = np.array(
        [
            [view.matrix[0, 0] * zoom, 0, new_centre[0]],
            [0, view.matrix[1, 1] * zoom, new_centre[1]],
            [0, 0, 1],
        ]
    )
    # pixels turned by +angle: the camera itself turned by -angle about its optical axis
    unroll = np.eye(4)
    unroll[:2, :2] = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    return View(
        image=change_light(image, LIGHT, generator),
        mask=mask > 0,
        matrix=matrix,
        scene_from_camera=view.scene_from_camera @ unroll,
        depth=depth,
    )


def fill(
    encoder: Encoder,
    views: Sequence[View],
    config: MappingConfig,
    generator: torch.Generator,
    device: str,
    progress: Callable[[float], None] = lambda share: None,
) -> FeatureBuffer:
    """Encode every view `passes` times, augmented anew, and keep patches of each."""
    rounds = config.passes * len(views)
    most = min(config.patches_per_image, affordable(rounds, encoder.config.descriptor, device))
    if most < config.patches_per_image:
        log.warning(
            'memory is short: %d of %d patches of an image are learned from',
            most,
            config.patches_per_image,
        )
    columns: dict[str, list[Tensor]] = {k: [] for k in ('descriptors', 'pixels', 'depth', 'image')}
    intrinsics, poses = [], []
    order = torch.cat(
        [torch.randperm(len(views), generator=generator) for _ in range(config.passes)]
    )
    for count, index in enumerate(order.tolist()):
        view = augmented(views[index], config, generator)
        image = torch.from_numpy(view.image).to(device)[None, None].float() / 255
        with torch.inference_mode(), in_half(device):
            descriptors = encoder(image)[0].flatten(1).T
        cells = patch_cells(view, most, generator)
        centres = cell_centres((view.image.shape[1], view.image.shape[0]), STRIDE)[cells]
        u, v = centres.round().astype(int).T
        depth = np.zeros(len(cells)) if view.depth is None else view.depth[v, u]
        columns['descriptors'].append(descriptors[torch.from_numpy(cells).to(device)].half())
        columns['pixels'].append(torch.from_numpy(centres).float())
        columns['depth'].append(torch.from_numpy(np.asarray(depth)).float())
        columns['image'].append(torch.full((len(cells),), count, dtype=torch.long))
        intrinsics.append([view.matrix[0, 0], view.matrix[0, 2], view.matrix[1, 2]])
        poses.append(np.linalg.inv(view.scene_from_camera)[:3])
        progress((count + 1) / rounds)
    tensors = {name: torch.cat(column).to(device) for name, column in columns.items()}
    return FeatureBuffer(
        **tensors,
        intrinsics=torch.tensor(intrinsics, device=device).float(),
        camera_from_scene=torch.tensor(np.stack(poses), device=device).float(),
    )


def affordable(rounds: int, descriptor: int, device: str) -> int:
    """Return the patches of each of `rounds` images that fit a quarter of the memory, at least 64.

    A quarter: the buffer is put together from its parts, so that it needs twice its size, and the
    views and the training need the rest. On a CPU never more than MOST_BYTES.
    """
    if device == 'cpu':
        free = min(4 * MOST_BYTES, available_memory())
    else:
        free = torch.cuda.mem_get_info(device)[0]
    return max(64, int(free / 4 / rounds / (2 * descriptor + PATCH_BYTES)))


def patch_cells(view: View, most: int, generator: torch.Generator) -> np.ndarray:
    """Indices of at most `most` cells that lie on the camera's image, without repetition.

    Cells where there is more to see are drawn more often: their descriptors say more, and it is
    they that a query's pose will rest on. The others are not left out: a blank wall has its place
    too. The draw is that of Efraimidis and Spirakis (2006): the largest of u^(1 / weight).
    """
    height, width = view.mask.shape
    grid = height // STRIDE, STRIDE, width // STRIDE, STRIDE
    inside = np.flatnonzero(view.mask.reshape(grid).all(axis=(1, 3)).ravel())
    contrast = view.image.reshape(grid).std(axis=(1, 3)).ravel()[inside]
    weight = PLAIN + (1.0 - PLAIN) * contrast / max(contrast.sum() / max(len(inside), 1), 1e-6)
    keys = torch.rand(len(inside), generator=generator).log() / torch.from_numpy(weight)
    return inside[keys.argsort(descending=True)[:most].numpy()]
