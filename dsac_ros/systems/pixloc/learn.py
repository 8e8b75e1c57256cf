# SPDX-License-Identifier: Apache-2.0
"""Mapping for PixLoc: reference images, points that they see, global descriptors; no training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dsac_ros.alignment.reference_image import to_tensors
from dsac_ros.compute.device import choose_device
from dsac_ros.config import MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.map_container import StoredMap
from dsac_ros.mapping.data import dataset
from dsac_ros.mapping.optim.progress import ProgressCallback, Stages
from dsac_ros.mapping.sfm.reference_selection import select_reference_images
from dsac_ros.mapping.sfm.tracks import find_tracks
from dsac_ros.systems.mapping import finish, system_header
from dsac_ros.systems.pixloc.config import PixLocConfig
from dsac_ros.systems.pixloc.network import load_network
from dsac_ros.systems.pixloc.system import with_codes
from dsac_ros.types import PosedFrame


def learn(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    own: PixLocConfig,
    *,
    device: str,
    output: Path,
    total: int | None = None,
    map_frame: str = 'map',
    progress: ProgressCallback = lambda state: None,
    resume: bool = False,
) -> StoredMap:
    """Map a place by matches of its images; see `mapping.ace.learn_map`."""
    clock = Stages(progress)
    device = choose_device(device)
    data = dataset.prepare(frames, config, total, clock.stage)
    network, network_id = load_network()
    network.to(device)
    header = system_header(data, config, own, output.stem, map_frame)
    header['encoder_id'] = network_id
    views = [view for view in data.views if view.features is not None]
    tracks = find_tracks(views, clock.stage('matching')).precise()
    references = [
        one
        for one in select_reference_images(
            views, tracks, data.scale, config.reference_images_mb * 1e6
        )
        if len(one.pixels)
    ]
    if not references:
        raise MappingError(
            f'no mapping image of {len(views)} sees enough points that others see as well, '
            'expected frames that overlap; take more of them'
        )
    clock.stage('encoding')
    tensors = to_tensors(with_codes(references, network, device))
    return finish(header, tensors, data, output, device, clock)
