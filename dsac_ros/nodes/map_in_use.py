# SPDX-License-Identifier: Apache-2.0
"""The map that the relocalizer answers with, and its replacement while images are processed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from rclpy.node import Node
from rclpy.parameter import Parameter

from dsac_ros.errors import MapError
from dsac_ros.nodes.map_loading import (
    LoadedMap,
    MapLoader,
    load_localizer,
    map_id,
    reason_of,
    warm_up,
)
from dsac_ros.nodes.relocalizer_parameters import (
    ACCEPT,
    RANSAC,
    RelocalizerParameters,
    accept_config,
    ransac_config,
)
from dsac_ros.systems.system import System

#: Parameters that define the localizer.
LOCALIZER_PARAMETERS = (*RANSAC.values(), *ACCEPT.values())


class MapInUse:
    """Holds one map; another one is loaded in the background and takes over when it is ready.

    Attributes:
        localizer: of the map in use; None before `configure` and after `release`.
        path: of the map in use, as the parameter `map` gave it.
        problem: why the map requested last cannot be used, one line; '' if it can.
        inference_lock: held while a localizer is used, which is not thread-safe: a worker that
            did not stop in time may still run.
    """

    def __init__(
        self,
        node: Node,
        on_preloaded: Callable[[], None],
        on_replaced: Callable[[System], None],
    ) -> None:
        """Hold no map yet.

        Args:
            node: owner of the parameter `map`.
            on_preloaded: called in the executor when `configure` would be quick.
            on_replaced: called in the executor with the localizer of another map.
        """
        self._node, self._on_preloaded, self._on_replaced = node, on_preloaded, on_replaced
        self.localizer: System | None = None
        self.path = self.problem = ''
        self.inference_lock = threading.Lock()
        self._is_warm = self._is_restoring = False
        self._preloaded: LoadedMap | None = None
        self._values: RelocalizerParameters | None = None
        self._loader = MapLoader(node, self._on_loaded, self._on_failed)

    @property
    def loading(self) -> str:
        """Path of the map that is being loaded; '' for none."""
        return self._loader.loading

    def preload(self, values: RelocalizerParameters) -> None:
        """Load the map for `configure` in the background.

        Raises:
            DsacError: the file is no map that can be used.
        """
        map_id(values.map)
        self._load(values)

    def configure(self, values: RelocalizerParameters) -> None:
        """Take the map that was preloaded, or load it now.

        A lifecycle manager waits a few seconds only: what is loaded now is not warmed up.

        Raises:
            DsacError: the map cannot be used.
        """
        loaded, self._preloaded = self._preloaded, None
        if loaded is None or loaded.path != values.map:
            self._loader.cancel()
            map_id(values.map)
            try:
                localizer = load_localizer(values.map, values)
            except Exception as error:  # as of a device without memory
                raise MapError(reason_of(error, values.map)) from error
            loaded = LoadedMap(values.map, localizer, is_warm=not values.warmup)
        self._use(loaded, values)

    def release(self) -> None:
        """Forget the map, and one that is being loaded."""
        self._loader.cancel()
        self.localizer = self._preloaded = None
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def close(self) -> bool:
        """End the thread that loads maps; return whether it ended in time."""
        return self._loader.close()

    def warm_up(self) -> None:
        """Process a synthetic image before the first real one; called by the worker."""
        localizer = self.localizer
        if localizer is not None and not self._is_warm:
            with self.inference_lock:
                warm_up(localizer)
            self._is_warm = True

    def apply(
        self, values: RelocalizerParameters, changed: frozenset[str], is_starting: bool
    ) -> None:
        """Apply changed parameters.

        A map is refused here where its file or header is bad, and otherwise loaded in the
        background. The map in use, set again, is loaded if the file has another id by now.

        Args:
            values: of all parameters.
            changed: names of those that were set.
            is_starting: True while autostart is due, which waits for a map.

        Raises:
            DsacError: the file is no map that can be used.
        """
        if 'map' in changed and not self._is_restoring:
            self._request(values, is_starting)
        old = self._values
        if self.localizer is not None and any(
            getattr(values, name) != getattr(old, name) for name in LOCALIZER_PARAMETERS
        ):
            self.localizer = with_settings(self.localizer, values)
        self._values = values

    def _request(self, values: RelocalizerParameters, is_starting: bool) -> None:
        new_id = map_id(values.map)
        if self.localizer is None and not is_starting:
            self._node.get_logger().info(
                f'the map {values.map} is loaded when the node is configured'
            )
        elif self.localizer is not None and (self.path, self.localizer.map.id) == (
            values.map,
            new_id,
        ):
            self._loader.cancel()
            self.problem = ''
        else:
            self._load(values)

    def _load(self, values: RelocalizerParameters) -> None:
        self.problem = ''
        self._node.get_logger().info(f'loading the map {values.map}')
        self._loader.load(values.map, values)

    def _use(self, loaded: LoadedMap, values: RelocalizerParameters) -> None:
        self.localizer, self._values = with_settings(loaded.localizer, values), values
        self.path, self._is_warm, self.problem = loaded.path, loaded.is_warm, ''
        self._node.get_logger().info(
            f'map {self.path} ({self.localizer.map.id}) on {self.localizer.device}'
        )

    def _on_loaded(self, loaded: LoadedMap, values: RelocalizerParameters) -> None:
        if self.localizer is None:
            self._preloaded = loaded
            self._on_preloaded()
            self._preloaded = None
        else:
            self._use(loaded, self._values or values)
            self._on_replaced(self.localizer)

    def _on_failed(self, path: str, reason: str) -> None:
        """Keep the map in use, and say so in the parameter, too."""
        self.problem = reason
        if self.localizer is None:
            self._node.get_logger().error(reason)
            return
        self._node.get_logger().error(f'{reason}; the map {self.path} stays in use')
        self._is_restoring = True
        try:
            self._node.set_parameters([Parameter('map', Parameter.Type.STRING, self.path)])
        finally:
            self._is_restoring = False


def with_settings(localizer: System, values: RelocalizerParameters) -> System:
    """Return a localizer of the same map under the settings of the parameters."""
    return localizer.with_settings(ransac_config(values), accept_config(values))
