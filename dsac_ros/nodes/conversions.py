# SPDX-License-Identifier: Apache-2.0
"""Conversions between ROS messages and the values of the core library; pure functions."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import tf_transformations
from builtin_interfaces.msg import Duration, Time
from cv_bridge import CvBridge
from geometry_msgs.msg import Point, Pose, Quaternion, TransformStamped, Vector3
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from dsac_ros.errors import CameraError, ImageError, SourceError
from dsac_ros.geometry.camera import camera_of_image
from dsac_ros.geometry.camera_checks import check_principal_point
from dsac_ros.sources.calibration_files import Calibration
from dsac_ros.sources.camera_info import camera_from_message
from dsac_ros.sources.encodings import ENCODINGS, find_encoding
from dsac_ros.sources.image_messages import decode_message
from dsac_ros.types import PINHOLE, PLUMB_BOB, Camera

SECOND_NS = 1_000_000_000


def time_message(nanoseconds: int) -> Time:
    """Convert nanoseconds to a builtin_interfaces/Time."""
    seconds, rest = divmod(int(nanoseconds), SECOND_NS)
    return Time(sec=seconds, nanosec=rest)


def duration_message(nanoseconds: int) -> Duration:
    """Convert nanoseconds to a Duration; if negative, sec is negative and nanosec positive."""
    seconds, rest = divmod(int(nanoseconds), SECOND_NS)
    return Duration(sec=max(-(2**31), min(2**31 - 1, seconds)), nanosec=rest)


def header(frame_id: str, nanoseconds: int) -> Header:
    """Make a std_msgs/Header."""
    return Header(stamp=time_message(nanoseconds), frame_id=frame_id)


def image_from_message(message: Any) -> np.ndarray:
    """Decode an Image or CompressedImage to gray (H, W) or RGB (H, W, 3) uint8.

    The bag reader's decoder has priority, so that mapping and queries see the same pixels;
    cv_bridge decodes the encodings that it does not support.

    Raises:
        ImageError: the image cannot be decoded.
    """
    encoding = getattr(message, 'encoding', None)
    if encoding is None or find_encoding(encoding) is not None:
        try:
            return decode_message(message)
        except cv2.error as error:
            raise ImageError(f'image cannot be decoded: {" ".join(str(error).split())}') from None
    try:
        return CvBridge().imgmsg_to_cv2(message, 'rgb8')
    # cv_bridge raises whatever lies beneath it: CvBridgeError, KeyError, ValueError, ImportError.
    except Exception as error:
        raise ImageError(
            f'unknown image encoding {encoding!r}, expected one of '
            f'{", ".join(ENCODINGS)} ({type(error).__name__})'
        ) from None


def camera_from_info(info: Any, image: np.ndarray, rectified: bool) -> Camera:
    """Convert a CameraInfo to the camera of this image.

    Raises:
        CameraError: the calibration is invalid.
    """
    height, width = image.shape[:2]
    camera = camera_from_message(info, rectified=rectified, image_wh=(width, height))
    if not (math.isfinite(camera.matrix[0, 2]) and math.isfinite(camera.matrix[1, 2])):
        raise CameraError('camera_info has no principal point: calibrate the camera')
    return camera


def camera_from_file(calibration: Calibration, image: np.ndarray) -> Camera:
    """Return the camera of this image by a calibration file, scaled if the image was resized.

    Raises:
        CameraError: the calibration is not of images of this size.
    """
    height, width = image.shape[:2]
    camera = camera_of_image(calibration((width, height)), (width, height))
    check_principal_point(camera.matrix, camera.size_wh)
    return camera


def camera_info_message(camera: Camera, head: Header) -> CameraInfo:
    """Convert a camera to a CameraInfo of raw images."""
    width, height = camera.size_wh
    return CameraInfo(
        header=head,
        width=width,
        height=height,
        distortion_model=PLUMB_BOB if camera.model == PINHOLE else camera.model,
        d=[float(value) for value in camera.distortion or (0.0,) * 5],
        k=[float(value) for value in camera.matrix.reshape(9)],
    )


def image_message(image: np.ndarray, head: Header) -> Image:
    """Convert a gray or RGB image to an Image, mono8 or rgb8."""
    # Without an encoding cv_bridge needs none of its compiled part, which may not fit this NumPy.
    message = CvBridge().cv2_to_imgmsg(image)
    message.encoding = 'mono8' if image.ndim == 2 else 'rgb8'
    message.header = head
    return message


def jpeg_message(image: np.ndarray, head: Header) -> CompressedImage:
    """Convert a gray or RGB image to a CompressedImage in JPEG format."""
    bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    message = CvBridge().cv2_to_compressed_imgmsg(bgr, 'jpg')
    message.header = head
    return message


def matrix_from_parts(position: Any, orientation: Any) -> np.ndarray:
    """Convert a position (or translation) and a Quaternion to a 4x4 matrix.

    Raises:
        SourceError: a value is not finite or the quaternion has not unit length.
    """
    translation = np.array([position.x, position.y, position.z], dtype=np.float64)
    quaternion = np.array([orientation.x, orientation.y, orientation.z, orientation.w])
    length = float(np.linalg.norm(quaternion))
    if not np.isfinite(translation).all() or not 0.5 < length < 2.0:
        raise SourceError(
            f'pose has position {translation.tolist()} and quaternion '
            f'{quaternion.tolist()}, expected finite numbers and length 1'
        )
    matrix = np.array(tf_transformations.quaternion_matrix(quaternion / length))
    matrix[:3, 3] = translation
    return matrix


def matrix_from_pose(pose: Any) -> np.ndarray:
    """Convert a Pose to world_from_x (4, 4)."""
    return matrix_from_parts(pose.position, pose.orientation)


def matrix_from_transform(transform: Any) -> np.ndarray:
    """Convert a Transform to parent_from_child (4, 4)."""
    return matrix_from_parts(transform.translation, transform.rotation)


def matrix_from_xyz_rpy(values: list[float]) -> np.ndarray:
    """Convert x, y, z [m], roll, pitch, yaw [rad] about fixed axes (URDF) to a 4x4 matrix."""
    matrix = np.array(tf_transformations.euler_matrix(*values[3:], axes='sxyz'))
    matrix[:3, 3] = values[:3]
    return matrix


def quaternion_message(matrix: np.ndarray) -> Quaternion:
    """Convert the rotation of a 4x4 matrix to a unit Quaternion."""
    x, y, z, w = (float(v) for v in tf_transformations.quaternion_from_matrix(matrix))
    return Quaternion(x=x, y=y, z=z, w=w)


def pose_message(world_from_x: np.ndarray) -> Pose:
    """Convert world_from_x (4, 4) to a Pose."""
    x, y, z = (float(v) for v in world_from_x[:3, 3])
    return Pose(position=Point(x=x, y=y, z=z), orientation=quaternion_message(world_from_x))


def transform_message(
    parent: str, child: str, nanoseconds: int, parent_from_child: np.ndarray
) -> TransformStamped:
    """Convert parent_from_child (4, 4) to a TransformStamped."""
    message = TransformStamped(header=header(parent, nanoseconds), child_frame_id=child)
    x, y, z = (float(v) for v in parent_from_child[:3, 3])
    message.transform.translation = Vector3(x=x, y=y, z=z)
    message.transform.rotation = quaternion_message(parent_from_child)
    return message


def covariance_values(covariance: np.ndarray) -> list[float]:
    """Return the 36 values of a PoseWithCovariance, row-major."""
    return [float(value) for value in np.asarray(covariance).reshape(36)]


def point_message(values: Any) -> Point:
    """Convert three values to a Point; NaN if there are none."""
    x, y, z = (float(v) for v in (values or [math.nan] * 3))
    return Point(x=x, y=y, z=z)
