# SPDX-License-Identifier: Apache-2.0
"""Parts that the mapping of every system has in common: header, calibration, writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from dsac_ros.config import MappingConfig, as_dict
from dsac_ros.map_container import StoredMap, write_container
from dsac_ros.mapping.data.dataset import Dataset, as_posed_frame
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.header import describe_frames
from dsac_ros.mapping.optim.progress import Stages
from dsac_ros.systems.calibration import calibrate
from dsac_ros.systems.loading import make_system
from dsac_ros.systems.system import Estimate
from dsac_ros.types import PosedFrame


def system_header(
    data: Dataset, config: MappingConfig, own: Any, name: str, map_frame: str
) -> dict[str, Any]:
    """Make the header of a map, but for what is measured at the end.

    Args:
        data: the frames.
        config: settings of the mapping; its recipe is the system.
        own: settings of the system.
        name: of the map.
        map_frame: name of the frame that the poses are in.
    """
    return {
        **describe_frames(data, config, name, map_frame),
        'system': config.recipe,
        'settings': as_dict(own),
        'scale': float(data.scale),
    }


def finish(
    header: dict[str, Any],
    tensors: Mapping[str, Tensor],
    data: Dataset,
    output: Path,
    device: str,
    clock: Stages,
    further: Sequence[tuple[Estimate, np.ndarray]] = (),
) -> StoredMap:
    """Calibrate a system on the held-out views of its data and write its map.

    The header is that of `system_header`, with whatever the system adds; further: see `calibrate`.
    """
    header |= calibrated(header, tensors, data, device, clock, further)
    return write(header, tensors, output, device, clock)


def calibrated(
    header: dict[str, Any],
    tensors: Mapping[str, Tensor],
    data: Dataset,
    device: str,
    clock: Stages,
    further: Sequence[tuple[Estimate, np.ndarray]] = (),
) -> dict[str, Any]:
    """Return `held_out` and `acceptance` for the header of a map: `calibration.calibrate`."""
    system = make_system({**header, 'id': ''}, tensors, device)
    learned, held_out = (posed_frames(views, data) for views in (data.views, data.held_out))
    return calibrate(system, learned, held_out, clock.stage('measuring'), further)


def write(
    header: dict[str, Any],
    tensors: Mapping[str, Tensor],
    output: Path,
    device: str,
    clock: Stages,
) -> StoredMap:
    """Write a map with its provenance."""
    header.setdefault('training', {})
    header['provenance'] |= {
        'seconds': clock.total(),
        'stages': clock.seconds(),
        'device': device,
    }
    return StoredMap(write_container(output, header, tensors))


def posed_frames(views: Sequence[View], data: Dataset) -> list[PosedFrame]:
    """Return views as posed frames in the world."""
    return [as_posed_frame(view, data.origin, data.scale) for view in views]
