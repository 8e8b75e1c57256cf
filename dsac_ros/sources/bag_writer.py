# SPDX-License-Identifier: Apache-2.0
"""Writes rosbag2 recordings that `ros2 bag play` of humble and later takes."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import cv2
import numpy as np
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.sources.image_files import millimetres
from dsac_ros.sources.message_types import message_types
from dsac_ros.sources.poses import row_from_pose
from dsac_ros.types import EQUIDISTANT, PINHOLE, PLUMB_BOB, Camera

STORAGE = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
SUFFIX = {'mcap': '.mcap', 'sqlite3': '.db3'}
METADATA_VERSION: Literal[8] = 8  # the newest that humble reads as well as jazzy
FIRST_TOO_LATE_NS = (1 << 31) * 1_000_000_000  # seconds of builtin_interfaces/Time are int32
FOREVER = QosTime(9223372036, 854775807)
IMAGE_ENCODINGS = {2: 'mono8', 3: 'rgb8'}


def offered_qos(depth: int, latched: bool = False) -> Qos:
    """The reliable profile that a topic is played back with; latched is transient local."""
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        durability,
        FOREVER,
        FOREVER,
        QosLiveliness.AUTOMATIC,
        FOREVER,
        False,
    )


class BagWriter:
    """Writes a bag; it stands under its name when it is complete, and not before.

    A path that ends in .mcap or .db3 becomes that one file, any other the usual folder.
    """

    def __init__(self, path: Path | str, storage: str = 'mcap') -> None:
        """Takes where the bag is to stand and its storage, mcap or sqlite3."""
        self.path = Path(path)
        ending = self.path.suffix.lower()
        is_file = ending in SUFFIX.values()
        if is_file:
            storage = next(name for name, suffix in SUFFIX.items() if suffix == ending)
        if storage not in STORAGE:
            raise SourceError(f'unknown storage {storage!r}, expected one of {", ".join(STORAGE)}')
        if self.path.exists():
            raise SourceError(f'{self.path} exists already, expected a new name for the bag')
        self._single_file = is_file
        self._partial = self.path.with_name(f'.{self.path.name}.partial')
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._types = message_types()
        self._writer = Writer(
            self._partial / self.path.name,
            version=METADATA_VERSION,
            storage_plugin=STORAGE[storage],
        )
        try:
            with self._told_as_os_error():
                self._writer.open()
        except OSError:
            shutil.rmtree(self._partial, ignore_errors=True)
            raise
        self._connections: dict[str, Any] = {}

    def image(self, topic: str, frame_id: str, stamp_ns: int, image: np.ndarray) -> None:
        """Write gray (H, W) or RGB (H, W, 3) uint8 as Image."""
        self._image(topic, frame_id, stamp_ns, image, IMAGE_ENCODINGS[image.ndim])

    def depth(self, topic: str, frame_id: str, stamp_ns: int, depth: np.ndarray) -> None:
        """Write depth (H, W) [m] as Image of uint16 millimetres."""
        self._image(topic, frame_id, stamp_ns, millimetres(depth), '16UC1')

    def mask(self, topic: str, frame_id: str, stamp_ns: int, mask: np.ndarray) -> None:
        """Write a mask (H, W) bool as Image, mono8: 0 where a pixel is not used."""
        self._image(topic, frame_id, stamp_ns, mask.astype(np.uint8) * 255, 'mono8')

    def _image(
        self, topic: str, frame_id: str, stamp_ns: int, image: np.ndarray, encoding: str
    ) -> None:
        height, width = image.shape[:2]
        data = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
        self._write(
            topic,
            'sensor_msgs/msg/Image',
            stamp_ns,
            header=self._header(frame_id, stamp_ns),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=data.size // height,
            data=data,
        )

    def compressed_image(
        self,
        topic: str,
        frame_id: str,
        stamp_ns: int,
        image: np.ndarray,
        kind: str = 'jpeg',
        quality: int = 90,
    ) -> None:
        """Write gray or RGB uint8 as CompressedImage, jpeg or png."""
        bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        data = cv2.imencode(
            '.png' if kind == 'png' else '.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality]
        )[1]
        pixels = 'mono8' if image.ndim == 2 else 'bgr8'
        self._write(
            topic,
            'sensor_msgs/msg/CompressedImage',
            stamp_ns,
            header=self._header(frame_id, stamp_ns),
            format=f'{pixels}; {kind} compressed {pixels}',
            data=data.reshape(-1),
        )

    def camera_info(self, topic: str, frame_id: str, stamp_ns: int, camera: Camera) -> None:
        """Write the intrinsics; P is K, the image is not rectified."""
        if camera.model == EQUIDISTANT and not any(camera.distortion):
            raise CameraError(
                f'{topic}: an equidistant lens with coefficients of zero is a '
                'pinhole for ROS: write a folder, or undistort the images'
            )
        distortion = camera.distortion if camera.model != PINHOLE else (0.0,) * 5
        k = np.asarray(camera.matrix, np.float64)
        roi = self._make(
            'sensor_msgs/msg/RegionOfInterest',
            x_offset=0,
            y_offset=0,
            height=0,
            width=0,
            do_rectify=False,
        )
        self._write(
            topic,
            'sensor_msgs/msg/CameraInfo',
            stamp_ns,
            header=self._header(frame_id, stamp_ns),
            width=camera.size_wh[0],
            height=camera.size_wh[1],
            distortion_model=PLUMB_BOB if camera.model == PINHOLE else camera.model,
            d=np.array(distortion, np.float64),
            k=k.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=np.column_stack([k, np.zeros(3)]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=roi,
        )

    def transform(
        self,
        parent: str,
        child: str,
        stamp_ns: int,
        parent_from_child: np.ndarray,
        *,
        static: bool = False,
    ) -> None:
        """Write one transform (4, 4) to /tf, or latched to /tf_static."""
        row = row_from_pose(parent_from_child)
        stamped = self._make(
            'geometry_msgs/msg/TransformStamped',
            header=self._header(parent, stamp_ns),
            child_frame_id=child,
            transform=self._make(
                'geometry_msgs/msg/Transform',
                translation=self._xyz('Vector3', row),
                rotation=self._quaternion(row),
            ),
        )
        self._write(
            '/tf_static' if static else '/tf',
            'tf2_msgs/msg/TFMessage',
            stamp_ns,
            transforms=[stamped],
        )

    def pose(self, topic: str, frame_id: str, stamp_ns: int, pose: np.ndarray) -> None:
        """Write a pose (4, 4) in frame_id as PoseStamped."""
        self._write(
            topic,
            'geometry_msgs/msg/PoseStamped',
            stamp_ns,
            header=self._header(frame_id, stamp_ns),
            pose=self._pose(pose),
        )

    def pose_with_covariance(
        self, topic: str, frame_id: str, stamp_ns: int, pose: np.ndarray, covariance: np.ndarray
    ) -> None:
        """Write a pose (4, 4) and its covariance (6, 6) as PoseWithCovarianceStamped."""
        self._write(
            topic,
            'geometry_msgs/msg/PoseWithCovarianceStamped',
            stamp_ns,
            header=self._header(frame_id, stamp_ns),
            pose=self._covariant('Pose', covariance, pose=self._pose(pose)),
        )

    def odometry(
        self,
        topic: str,
        frame_id: str,
        child_frame_id: str,
        stamp_ns: int,
        pose: np.ndarray,
        covariance: np.ndarray | None = None,
    ) -> None:
        """Write the pose (4, 4) of child_frame_id in frame_id as Odometry without a twist."""
        still = self._make(
            'geometry_msgs/msg/Twist',
            linear=self._xyz('Vector3', (0.0,) * 3),
            angular=self._xyz('Vector3', (0.0,) * 3),
        )
        self._write(
            topic,
            'nav_msgs/msg/Odometry',
            stamp_ns,
            header=self._header(frame_id, stamp_ns),
            child_frame_id=child_frame_id,
            pose=self._covariant('Pose', covariance, pose=self._pose(pose)),
            twist=self._covariant('Twist', None, twist=still),
        )

    def close(self) -> None:
        """Finish the bag and put it under its name."""
        with self._told_as_os_error():
            self._writer.close()
        made = self._partial / self.path.name
        if self._single_file:
            made = next(p for p in made.iterdir() if p.suffix in SUFFIX.values())
        made.rename(self.path)
        shutil.rmtree(self._partial)

    def abort(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError, sqlite3.OperationalError):  # what is left is not written
            self._writer.abort()
        shutil.rmtree(self._partial, ignore_errors=True)

    def __enter__(self) -> BagWriter:
        """Use as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the bag, or leave nothing behind after an error."""
        if kind is not None:
            self.abort()
            return
        try:
            self.close()
        except BaseException:  # the last bytes are written here, and the disk may be full
            self.abort()
            raise

    def _write(self, topic: str, msgtype: str, stamp_ns: int, **fields: Any) -> None:
        """Write a message, recorded at its own stamp."""
        if not 0 <= stamp_ns < FIRST_TOO_LATE_NS:
            raise SourceError(
                f'a stamp of {stamp_ns / 1e9:.3f} s cannot be written into '
                f'{self.path}: ROS has times from 0 to 2147483647 s; mend the stamps'
                ' of the source, which may be in another unit'
            )
        if topic not in self._connections:
            latched = topic == '/tf_static'
            with self._told_as_os_error():
                self._connections[topic] = self._writer.add_connection(
                    topic,
                    msgtype,
                    typestore=self._types,
                    offered_qos_profiles=[offered_qos(100 if 'tf' in topic else 10, latched)],
                )
        data = self._types.serialize_cdr(self._make(msgtype, **fields), msgtype)
        with self._told_as_os_error():
            self._writer.write(self._connections[topic], int(stamp_ns), data)

    @contextlib.contextmanager
    def _told_as_os_error(self) -> Iterator[None]:
        """Raise an OSError where SQLite has an error of its own for a disk that is full or bad."""
        try:
            yield
        except sqlite3.OperationalError as error:
            number = errno.ENOSPC if 'full' in str(error) else errno.EIO
            raise OSError(number, os.strerror(number), str(self.path)) from None

    def _make(self, msgtype: str, **fields: Any) -> Any:
        return self._types.types[msgtype](**fields)

    def _header(self, frame_id: str, stamp_ns: int) -> Any:
        seconds, rest = divmod(int(stamp_ns), 1_000_000_000)
        return self._make(
            'std_msgs/msg/Header',
            frame_id=frame_id,
            stamp=self._make('builtin_interfaces/msg/Time', sec=seconds, nanosec=rest),
        )

    def _xyz(self, kind: str, row: tuple[float, ...]) -> Any:
        return self._make(f'geometry_msgs/msg/{kind}', x=row[0], y=row[1], z=row[2])

    def _quaternion(self, row: tuple[float, ...]) -> Any:
        return self._make('geometry_msgs/msg/Quaternion', x=row[3], y=row[4], z=row[5], w=row[6])

    def _pose(self, pose: np.ndarray) -> Any:
        row = row_from_pose(pose)
        return self._make(
            'geometry_msgs/msg/Pose',
            position=self._xyz('Point', row),
            orientation=self._quaternion(row),
        )

    def _covariant(self, kind: str, covariance: np.ndarray | None, **field: Any) -> Any:
        values = np.zeros(36) if covariance is None else np.asarray(covariance, np.float64)
        return self._make(
            f'geometry_msgs/msg/{kind}WithCovariance', covariance=values.reshape(-1), **field
        )
