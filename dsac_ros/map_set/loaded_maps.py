# SPDX-License-Identifier: Apache-2.0
"""Maps of a set that are in memory: loaded when needed, the least recently used dropped."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.errors import MapError
from dsac_ros.geometry.resample import Resamplers, network_resamplers
from dsac_ros.localizer import Localizer
from dsac_ros.map_set.file import MapSet, map_path
from dsac_ros.map_set.resident import resident_bytes
from dsac_ros.trace import Trace
from dsac_ros.types import Frame


class MapSystem(Protocol):
    """A loaded map that localizes frames: what a map set asks of the system of each map."""

    @property
    def map(self) -> Any:
        """The map, of which the id is read."""

    def with_settings(self, ransac: RansacConfig, accept: AcceptConfig) -> Any:
        """Return a system of the same map under other settings."""

    def warm_up(self) -> None:
        """Prepare what the first query would wait for."""

    def trace(self, frame: Frame, guess: np.ndarray | None = None) -> Trace:
        """Localize a frame, and keep what the pose was made of."""


#: path, device -> the system of a map file.
Load = Callable[[Path, str], MapSystem]


class Common:
    """Parts that the maps of a set share: the encoder, and resamplers of the same images."""

    def __init__(self, encoder: nn.Module, encoder_id: str, device: torch.device) -> None:
        self.encoder, self._encoder_id = encoder.to(device), encoder_id
        self._resamplers: dict[tuple[float, ...], Resamplers] = {}

    def resamplers(self, focal_px: float, short_side: float) -> Resamplers:
        """Return resamplers to the images that a network sees."""
        return self._shared((focal_px, short_side), network_resamplers(focal_px, short_side))

    def share(self, system: MapSystem) -> None:
        """Let a localizer use the common parts in place of its own."""
        if not isinstance(system, Localizer):
            return
        header = system.map.header
        if header['encoder_id'] == self._encoder_id and 'network' not in header:
            system.network.encoder = self.encoder
        short_side = header['short_side']
        system.resamplers = self._shared((short_side,), system.resamplers)
        system.features.resamplers = self._shared((), system.features.resamplers)
        system.regressor.resamplers = self.resamplers(header['network_focal_px'], short_side)

    def _shared(self, key: tuple[float, ...], own: Resamplers) -> Resamplers:
        return self._resamplers.setdefault(key, own)


class LoadedMaps:
    """Least recently used cache of the maps of a set. Not thread-safe."""

    def __init__(
        self,
        path: Path,
        maps: MapSet,
        common: Common,
        load: Load,
        device: str,
        limit_mb: float,
    ) -> None:
        """Load nothing yet.

        Args:
            path: of the map set.
            maps: its content.
            common: parts that all maps share.
            load: loads one map.
            device: of the maps.
            limit_mb: memory of all loaded maps; the one in use is kept even beyond it.
        """
        self._path, self._maps, self._common = path, maps, common
        self._load, self._device = load, device
        self.limit_bytes = limit_mb * 1e6
        self._systems: OrderedDict[int, MapSystem] = OrderedDict()
        self._bytes: dict[int, int] = {}
        self.loads = 0

    def __len__(self) -> int:
        """Number of maps in memory."""
        return len(self._systems)

    @property
    def bytes(self) -> int:
        """Memory of the loaded maps, as it was when each of them was used last."""
        return sum(self._bytes.values())

    def get(self, index: int) -> MapSystem:
        """Return the system of the map with this index in the set.

        Raises:
            MapError: the file is missing or damaged, or another one than the set says.
        """
        if index not in self._systems:
            self._systems[index] = self._loaded(index)
        self._systems.move_to_end(index)
        return self._systems[index]

    def used(self, indices: set[int]) -> None:
        """Measure maps that were used, and drop those used least recently beyond the limit."""
        for index in indices & self._systems.keys():
            self._bytes[index] = resident_bytes(self._systems[index], (self._common.encoder,))
        while self.bytes > self.limit_bytes and len(self._systems) > 1:
            oldest, _ = self._systems.popitem(last=False)
            self._bytes.pop(oldest, None)

    def warm_up(self) -> None:
        """Load maps and prepare their first query, as many as the memory holds."""
        for index in range(len(self._maps.entries)):
            self.get(index).warm_up()
            self.used({index})
            if len(self) <= index:  # one was dropped: the memory is full
                return

    def _loaded(self, index: int) -> MapSystem:
        entry = self._maps.entries[index]
        path = map_path(self._path, entry)
        self.loads += 1
        try:
            system = self._load(path, self._device)
        except MapError as error:
            raise MapError(f'map {entry.id!r} of the set {self._path}: {error}') from error
        if system.map.id != entry.map_id:
            raise MapError(
                f'{path} was replaced: it has the id {system.map.id}, the set {self._path} '
                f'expects {entry.map_id}; run `dsac mapset update {self._path} {entry.id}`'
            )
        self._common.share(system)
        return system
