# SPDX-License-Identifier: Apache-2.0
"""dsac_relocalizer: localizes the robot from camera images."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tf2_ros import TransformBroadcaster

from dsac_ros.errors import DsacError
from dsac_ros.nodes import lifecycle
from dsac_ros.nodes.assumptions import AssumptionLog
from dsac_ros.nodes.camera_setup import CameraSetup, camera_names, camera_setup, image_mask
from dsac_ros.nodes.camera_subscriber import image_topic
from dsac_ros.nodes.debug_output import DebugOutput
from dsac_ros.nodes.executor_wait import ExecutorWait
from dsac_ros.nodes.health import RelocalizerHealth
from dsac_ros.nodes.load_map_service import LoadMapService, load_map_service
from dsac_ros.nodes.map_in_use import MapInUse
from dsac_ros.nodes.overridable_qos import warn_of_unused_overrides
from dsac_ros.nodes.pipeline import Equipment, Pipeline
from dsac_ros.nodes.publishers import Publishers
from dsac_ros.nodes.reason_log import ReasonLog
from dsac_ros.nodes.recovery_driver import INACTIVE, RecoveryDriver
from dsac_ros.nodes.relocalization_services import RelocalizationServices
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.scene_output import SceneOutput
from dsac_ros.nodes.transforms import Transforms
from dsac_ros.systems.system import System


class RelocalizerNode(lifecycle.ParameterNode[RelocalizerParameters]):
    """Configured it has a map, TF and publishers; active it has a pipeline for images, too."""

    def __init__(self) -> None:
        self._equipment: Equipment | None = None
        self._pipeline: Pipeline | None = None
        self._relocalization_services: RelocalizationServices | None = None
        self._load_map: LoadMapService | None = None
        super().__init__('dsac_relocalizer', RelocalizerParameters)
        self._map = MapInUse(self, self.start, self._on_map_replaced)
        self._wait = ExecutorWait(self)
        self._broadcaster = TransformBroadcaster(self)
        self._health = RelocalizerHealth(self)
        self._assumptions, self._reasons = AssumptionLog(self), ReasonLog(self)

    def prepare_start(self) -> None:
        """Load the map in the background; `configure` and `activate` follow."""
        try:
            self._map.preload(self.values)
        except DsacError as error:
            self.problem = str(error)
            self.get_logger().error(self.problem)

    def waiting_for(self) -> str:
        """Return why no image is processed."""
        if self._map.loading:
            return f'loading the map {self._map.loading}'
        is_idle = self.state == lifecycle.UNCONFIGURED
        return (is_idle and self._map.problem) or super().waiting_for()

    def configure(self) -> None:
        """Load the map, create publishers and services."""
        values = self.values
        cameras = self._read_cameras()
        self._map.configure(values)
        self._health.use(self._map.localizer, self._map.path)
        self._equipment = Equipment(
            self._map,
            Transforms(self, frame_parameters(values)),
            self._broadcaster,
            Publishers(self, values.map_frame),
            DebugOutput(self, values.map_frame),
            SceneOutput(self, values.map_frame),
            self._health,
            self._assumptions,
            self._reasons,
            cameras,
        )
        self._relocalization_services = RelocalizationServices(
            self,
            self._recovery,
            lambda: (self.values.relocalize_timeout, self.values.reinitialize_timeout),
            self._set_enabled,
            self._clear,
        )
        self._load_map = load_map_service(
            self, lambda: (self._map.path, self._map.loading, self._map.problem), self._wait
        )

    def activate(self) -> None:
        """Create the subscriptions and start to process images."""
        self._show_map(self._map.localizer)
        self._pipeline = Pipeline(self, self._equipment)
        warn_of_unused_overrides(self)
        self.get_logger().info(f'waiting for images on {", ".join(self._pipeline.image_topics)}')

    def deactivate(self) -> None:
        """Destroy the subscriptions, finish the current image, keep the map."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.close()

    def cleanup(self) -> None:
        """Release the map and destroy publishers and services."""
        equipment, self._equipment = self._equipment, None
        services = self._relocalization_services, self._load_map
        self._relocalization_services = self._load_map = None
        for offered in services:
            if offered is not None:
                offered.close()
        if equipment is not None:
            parts = equipment.publishers, equipment.debug, equipment.scene, equipment.transforms
            for part in parts:
                part.close()
        self._map.release()
        self._health.use(None)

    def stop(self) -> None:
        """Deactivate, clean up and end the thread that loads maps."""
        super().stop()
        if not self._map.close():
            self.get_logger().warning('the map that is being loaded takes too long; not waiting')

    def apply(self, values: RelocalizerParameters, changed: frozenset[str]) -> None:
        """Apply changed parameters between two images."""
        self._map.apply(values, changed, self.is_starting)
        if self._pipeline is not None:
            self._pipeline.apply(values)
            self._equipment.scene.show_map(self._map.localizer.map, values.map_alignment)

    def _on_map_replaced(self, localizer: System) -> None:
        """Answer by another map from now on."""
        if self._pipeline is not None:
            self._pipeline.use(localizer)
        self._health.use(localizer, self._map.path)
        self._show_map(localizer)

    def _show_map(self, localizer: System) -> None:
        """Publish the description and the points of a map."""
        now = self.get_clock().now().nanoseconds
        self._equipment.publishers.publish_map_info(localizer.map.header, self._map.path, now)
        self._equipment.scene.show_map(localizer.map, self.values.map_alignment)

    def _read_cameras(self) -> tuple[CameraSetup, ...]:
        """Return the setup of each camera; raises a DsacError for files that cannot be read."""
        values = self.values
        return tuple(
            camera_setup(
                values,
                name,
                image_topic(self, values.image_transport, name),
                image_mask(values.mask_path, values.exclude_border_px, name),
            )
            for name in camera_names(values.cameras)
        )

    def _recovery(self) -> RecoveryDriver | None:
        return None if self._pipeline is None else self._pipeline.recovery

    def _clear(self) -> None:
        if self._pipeline is not None:
            self._pipeline.forget('cleared by a call of ~/clear')

    def _set_enabled(self, enabled: bool) -> str:
        """Start or stop the processing of images; return what was done."""
        if self._pipeline is None:
            return INACTIVE
        self._pipeline.is_enabled = enabled
        return 'images are processed' if enabled else 'images are ignored until it is called again'


def frame_parameters(values: RelocalizerParameters) -> dict[str, str]:
    """Return frame -> name of the parameter that sets it, for reasons."""
    return {
        frame: name
        for name in ('base_frame', 'odom_frame', 'map_frame')
        if (frame := getattr(values, name))
    }


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return lifecycle.run(RelocalizerNode, args)


if __name__ == '__main__':
    sys.exit(main())
