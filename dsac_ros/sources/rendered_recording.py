# SPDX-License-Identifier: Apache-2.0
"""A drive through the rendered world as a ROS 2 bag, as a robot would have recorded it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dsac_ros.geometry.resample import to_gray
from dsac_ros.sources.bag_writer import BagWriter
from dsac_ros.sources.rendered import RenderedSource
from dsac_ros.synthetic.drive import Drive
from dsac_ros.synthetic.sensor import SensorModel
from dsac_ros.synthetic.world import RenderedWorld
from dsac_ros.types import Camera

IMAGE_TOPIC, INFO_TOPIC = '/camera/image_raw', '/camera/camera_info'
ODOMETRY_TOPIC, TRUTH_TOPIC = '/odom', '/ground_truth/pose'
MAP_FRAME, ODOM_FRAME, BASE_FRAME = 'map', 'odom', 'base_link'
CAMERA_FRAME = 'camera_optical_frame'


def record_drive(
    world: RenderedWorld,
    path: Drive,
    bag: Path | str,
    *,
    camera: Camera | None = None,
    sensor: SensorModel | None = None,
    seed: int = 0,
    held_out: bool = False,
    gray: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the drive as a bag (see `BagWriter` for its name and storage) and return its path.

    A mapping bag carries map -> odom in its TF. A held-out one does not, for that is the answer:
    its truth is an Odometry of the camera on /ground_truth/pose. progress(done, frames) is called
    after each image.
    """
    source = RenderedSource(world, path, camera, sensor, seed)
    odometry = path.odometry
    with BagWriter(bag) as writer:
        first = int(odometry.stamps_ns[0])
        writer.transform(BASE_FRAME, CAMERA_FRAME, first, path.base_from_camera, static=True)
        # Time order: a player sends messages as they lie in the bag.
        due = np.searchsorted(odometry.stamps_ns, path.stamps_ns)
        image = 0
        for k, stamp in enumerate(odometry.stamps_ns.tolist()):
            while image < len(source) and due[image] <= k:
                _write_image(writer, source, image, gray=gray, held_out=held_out)
                image += 1
                if progress:
                    progress(image, len(source))
            odom_from_base = odometry.odom_from_base[k]
            writer.transform(ODOM_FRAME, BASE_FRAME, stamp, odom_from_base)
            writer.odometry(ODOMETRY_TOPIC, ODOM_FRAME, BASE_FRAME, stamp, odom_from_base)
            if not held_out:
                map_from_odom = odometry.world_from_base[k] @ np.linalg.inv(odom_from_base)
                writer.transform(MAP_FRAME, ODOM_FRAME, stamp, map_from_odom)
    return Path(bag)


def _write_image(
    writer: BagWriter, source: RenderedSource, index: int, *, gray: bool, held_out: bool
) -> None:
    """Write one image with its camera_info, and the truth where it is not in the TF."""
    posed = source.frame(index)
    frame, stamp = posed.frame, posed.frame.stamp_ns
    image = to_gray(frame.image) if gray else frame.image
    writer.image(IMAGE_TOPIC, CAMERA_FRAME, stamp, image)
    writer.camera_info(INFO_TOPIC, CAMERA_FRAME, stamp, frame.camera)
    if held_out:
        writer.odometry(TRUTH_TOPIC, MAP_FRAME, CAMERA_FRAME, stamp, posed.world_from_camera)
