# SPDX-License-Identifier: Apache-2.0
"""Frames from messages of images and camera_info, or the result and reason why there is none."""

from __future__ import annotations

from dsac_ros.errors import CameraError, ImageError
from dsac_ros.geometry.camera import check_image_matches
from dsac_ros.geometry.half_turn import upright
from dsac_ros.nodes.camera_subscriber import StampedImage
from dsac_ros.nodes.conversions import camera_from_file, camera_from_info, image_from_message
from dsac_ros.sources.camera_info import frame_difference
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.types import Frame, Result


class FrameRejected(Exception):
    """The frame cannot be localized; carries the result in addition to the reason."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.result = result


def frame_from_message(stamped_image: StampedImage, half_turn: bool = False) -> Frame:
    """Decode the messages of an image.

    Args:
        stamped_image: the messages, and the setup of the camera.
        half_turn: rotate the image by 180 deg.

    Raises:
        FrameRejected: the image or its camera_info cannot be used.
    """
    setup = stamped_image.setup
    if setup.calibration is None:
        check_info(stamped_image)
    try:
        image = image_from_message(stamped_image.image)
    except ImageError as error:
        raise FrameRejected(Result.BAD_IMAGE, str(error)) from None
    try:
        camera = (
            camera_from_info(stamped_image.info, image, setup.rectified)
            if setup.calibration is None
            else camera_from_file(setup.calibration, image)
        )
    except CameraError as error:
        raise FrameRejected(Result.NO_CAMERA_INFO, str(error)) from None
    try:
        check_image_matches(camera, image)
        mask = setup.mask.of_size(camera.size_wh)
    except (CameraError, ImageError) as error:
        raise FrameRejected(Result.BAD_IMAGE, str(error)) from None
    frame = Frame(image, camera, stamp_ns(stamped_image.image.header.stamp), mask=mask)
    return upright(frame) if half_turn else frame


def check_info(stamped_image: StampedImage) -> None:
    """Refuse an image that has no camera_info, or that of another camera.

    Raises:
        FrameRejected: with the reason.
    """
    if stamped_image.info is None:
        raise FrameRejected(Result.NO_CAMERA_INFO, stamped_image.no_info)
    reason = other_camera(
        stamped_image.info.header.frame_id,
        stamped_image.image.header.frame_id,
        stamped_image.setup.camera_frame,
    )
    if reason:
        raise FrameRejected(Result.NO_CAMERA_INFO, reason)


def other_camera(info_frame: str, image_frame: str, camera_frame: str) -> str:
    """Return why a camera_info does not belong to the image, by their frames; '' if it may."""
    difference = frame_difference(info_frame, image_frame)
    if not difference or info_frame.lstrip('/') == camera_frame:
        return ''
    return (
        f'camera_info is of another camera, {difference}: remap camera_info to that of the '
        f'images, or set camera_frame to {info_frame!r} if both are of one camera'
    )
