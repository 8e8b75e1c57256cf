# SPDX-License-Identifier: Apache-2.0
"""Mapping for image retrieval: a vocabulary, and a code for each image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.features import MOST, root_sift
from dsac_ros.compute.device import choose_device
from dsac_ros.config import MappingConfig
from dsac_ros.map_container import StoredMap
from dsac_ros.mapping.data import dataset
from dsac_ros.mapping.optim.progress import ProgressCallback, Stages
from dsac_ros.systems.mapping import finish, system_header
from dsac_ros.systems.vlad import Vlad
from dsac_ros.types import PosedFrame


def learn(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    own: Any,
    *,
    device: str,
    output: Path,
    total: int | None = None,
    map_frame: str = 'map',
    progress: ProgressCallback = lambda state: None,
    resume: bool = False,
) -> StoredMap:
    """Map a place in one pass over its images; see `mapping.ace.learn_map`."""
    clock = Stages(progress)
    device = choose_device(device)
    data = dataset.prepare(frames, config, total, clock.stage, track=False)
    header = system_header(data, config, own, output.stem, map_frame)
    return finish(header, codes_of(data, clock), data, output, device, clock)


def codes_of(data: dataset.Dataset, clock: Stages) -> dict[str, Tensor]:
    """Return the tensors of a map: vocabulary, codes of the views, map_from_camera (N, 4, 4)."""
    progress, described = clock.stage('encoding'), []
    for done, view in enumerate(data.views, 1):
        described.append(root_sift(view.image, MOST, view.mask)[1])
        progress(done / len(data.views))
    vlad = Vlad.learn(described)
    poses = np.stack([view.scene_from_camera for view in data.views])
    poses[:, :3, 3] *= data.scale
    return {
        'basis': torch.from_numpy(vlad.basis),
        'words': torch.from_numpy(vlad.words),
        'codes': torch.from_numpy(vlad.codes),
        'poses': torch.from_numpy(poses).float(),
    }
