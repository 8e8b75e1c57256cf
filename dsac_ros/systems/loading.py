# SPDX-License-Identifier: Apache-2.0
"""Loading of a map of any system."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from dsac_ros.compute.device import choose_device
from dsac_ros.config import AcceptConfig, MapSetConfig, RansacConfig
from dsac_ros.errors import MapError, did_you_mean
from dsac_ros.localizer import Localizer
from dsac_ros.map_container import DAMAGE, damaged, read_container, read_header
from dsac_ros.map_set.file import is_map_set
from dsac_ros.map_set.localizer import MapSetLocalizer
from dsac_ros.systems.recipes import SYSTEMS
from dsac_ros.systems.system import EvidenceSystem, System


def load_localizer(
    path: Path | str,
    device: str = 'auto',
    ransac: RansacConfig = RansacConfig(),
    accept: AcceptConfig = AcceptConfig(),
    map_set: MapSetConfig = MapSetConfig(),
) -> System:
    """Load a map by the system that its header names, or a map set.

    Args:
        path: a map file that `dsac map` wrote, by whichever recipe.
        device: auto, cpu or cuda.
        ransac: settings of the pose estimation.
        accept: settings of the acceptance.
        map_set: settings of queries in a map set.

    Raises:
        MapError: the file is no map that this version can use.
        ConfigError: there is no such device, or an extra that the system needs is missing.
    """
    path, device = Path(path), choose_device(device)
    header = read_header(path)
    if 'system' not in header:
        return Localizer.load(path, device, ransac, accept)
    if is_map_set(header):
        return MapSetLocalizer.load(path, device, ransac, accept, map_set, load_localizer)
    header, tensors = read_container(path)
    try:
        return _system_class(path, header['system']).of(header, tensors, device, ransac, accept)
    except DAMAGE as error:
        raise damaged(path, error) from error


def make_system(
    header: dict[str, Any], tensors: Mapping[str, Tensor], device: str
) -> EvidenceSystem:
    """Make the system of a map that is not written yet."""
    system = _system_class(Path(), header['system'])
    return system.of(header, tensors, device, RansacConfig(), AcceptConfig(max_position_sigma=0.0))


def _system_class(path: Path, name: str) -> type[EvidenceSystem]:
    if name not in SYSTEMS:
        raise MapError(
            f'{path} is a map of the system {name!r}: {did_you_mean(name, SYSTEMS)}; update '
            'dsac_ros'
        )
    module = import_module(f'dsac_ros.systems.{SYSTEMS[name].package}.system')
    system: type[EvidenceSystem] = module.SYSTEM
    return system
