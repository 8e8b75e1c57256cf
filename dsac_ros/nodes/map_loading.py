# SPDX-License-Identifier: Apache-2.0
"""Loading of maps in a thread, while the node goes on with the map that it has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from dsac_ros.compute.device import set_precision
from dsac_ros.errors import ConfigError, DsacError
from dsac_ros.map_container import read_header
from dsac_ros.nodes.paths import user_path
from dsac_ros.nodes.relocalizer_parameters import (
    RelocalizerParameters,
    accept_config,
    map_set_config,
    ransac_config,
)
from dsac_ros.nodes.worker import Worker
from dsac_ros.systems import loading
from dsac_ros.systems.system import System
from dsac_ros.types import Camera, Frame

POLL_S = 0.02
MAX_REASON = 300


@dataclass(frozen=True)
class LoadedMap:
    """A map that can be used.

    Attributes:
        path: value of the parameter `map`.
        localizer: on its device.
        is_warm: an image was processed, so that the first real one is not slow.
    """

    path: str
    localizer: System
    is_warm: bool


@dataclass(frozen=True)
class _Request:
    path: str
    values: RelocalizerParameters


class MapLoader:
    """Loads and warms up the map that was requested last; results arrive in the executor."""

    def __init__(
        self,
        node: Node,
        on_loaded: Callable[[LoadedMap, RelocalizerParameters], None],
        on_failed: Callable[[str, str], None],
    ) -> None:
        """Make a loader without a thread: the first request starts it.

        Args:
            node: whose executor calls back.
            on_loaded: takes the map and the parameters of its request.
            on_failed: takes the path of the map and the reason, one line.
        """
        self._on_loaded, self._on_failed = on_loaded, on_failed
        self._request: _Request | None = None
        self._results: deque[tuple[_Request, LoadedMap | str]] = deque()
        self._worker: Worker[_Request] | None = None
        # A steady clock: simulated time may stand still.
        self._timer = node.create_timer(
            POLL_S, self._deliver, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._timer.cancel()

    @property
    def loading(self) -> str:
        """Path of the map that is being loaded; '' for none."""
        return self._request.path if self._request is not None else ''

    def load(self, path: str, values: RelocalizerParameters) -> None:
        """Start to load a map; the result of an earlier request is discarded."""
        if self._worker is None:
            self._worker = Worker(self._work, self._on_error, name='dsac_maps')
        self._request = _Request(path, values)
        self._worker.slot.put(self._request)
        self._timer.reset()

    def cancel(self) -> None:
        """Discard the result of the current request."""
        self._request = None
        self._timer.cancel()

    def close(self) -> bool:
        """Stop the thread; return whether it stopped in time."""
        self.cancel()
        worker, self._worker = self._worker, None
        return worker is None or worker.stop()

    def _work(self, request: _Request) -> None:
        localizer = load_localizer(request.path, request.values)
        if request.values.warmup:
            warm_up(localizer)
        self._results.append((request, LoadedMap(request.path, localizer, True)))

    def _on_error(self, request: _Request | None, error: Exception) -> None:
        if request is not None:
            self._results.append((request, reason_of(error, request.path)))

    def _deliver(self) -> None:
        while self._results:
            request, result = self._results.popleft()
            if request is not self._request:
                continue
            self.cancel()
            if isinstance(result, str):
                self._on_failed(request.path, result)
            else:
                self._on_loaded(result, request.values)


def map_id(path: str) -> str:
    """Return the id of a map file, after a check of the file and its header, which is quick.

    Raises:
        DsacError: the file is no map that can be used.
    """
    if not path:
        raise ConfigError(
            'parameter map is empty, expected a map file that `dsac map` wrote: '
            'map:=/path/to/the.map'
        )
    return str(read_header(user_path(path))['id'])


def load_localizer(path: str, values: RelocalizerParameters) -> System:
    """Load the localizer described by the parameters.

    Raises:
        DsacError: the map cannot be used.
    """
    set_precision(values.precision, values.device)
    return loading.load_localizer(
        user_path(path),
        device=values.device,
        ransac=ransac_config(values),
        accept=accept_config(values),
        map_set=map_set_config(values),
    )


def warm_up(localizer: System) -> None:
    """Process a synthetic image, so that the first real one is not slow."""
    localizer.warm_up()
    side = int(localizer.map.header['short_side'])
    size_wh = (side * 4 // 3, side)
    centre = [(size - 1) / 2 for size in size_wh]
    camera = Camera(size_wh, np.array([[side, 0, centre[0]], [0, side, centre[1]], [0, 0, 1.0]]))
    noise = np.random.default_rng(0).integers(0, 255, (side, size_wh[0]), dtype=np.uint8)
    localizer.localize(Frame(noise, camera))


def reason_of(error: Exception, path: str) -> str:
    """Return why a map cannot be loaded, in one line."""
    if isinstance(error, DsacError):
        return str(error)
    first_line = (str(error).splitlines() or [''])[0][:MAX_REASON]
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return (
            f'not enough memory for the map {path} beside what runs on the device: {first_line}; '
            'stop other programs, or set device:=cpu'
        )
    return f'the map {path} cannot be loaded: {type(error).__name__}: {first_line}'
