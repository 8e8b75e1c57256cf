# SPDX-License-Identifier: Apache-2.0
"""Properties of the cameras that the parameters define: names, frames, calibrations, masks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dsac_ros.errors import CameraError, ConfigError
from dsac_ros.geometry.resample import MAX_RESAMPLERS
from dsac_ros.nodes.image_mask import ImageMask
from dsac_ros.nodes.resource_path import of_camera, resource_path
from dsac_ros.sources.calibration_files import Calibration, read_calibration
from dsac_ros.sources.topic_names import is_rectified

CAMERA_NAME = re.compile(r'/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)


class CameraParameters(Protocol):
    """Parameters of a node with cameras."""

    @property
    def rectified(self) -> str:
        """yes, no or auto."""

    @property
    def camera_frame(self) -> str:
        """Optical frame; '' to use the frame_id of the images."""

    @property
    def camera_info_url(self) -> str:
        """Calibration file; '' to use camera_info."""


@dataclass(frozen=True)
class CameraSetup:
    """What the parameters say of one camera.

    Attributes:
        name: in parameter `cameras`; '' for the only camera.
        rectified: the images are rectified.
        camera_frame: optical frame; '' to use the frame_id of the images.
        calibration: the camera of a size of images, from camera_info_url; None to use camera_info.
        mask: pixels that are used.
    """

    name: str = ''
    rectified: bool = False
    camera_frame: str = ''
    calibration: Calibration | None = None
    mask: ImageMask = field(default_factory=ImageMask)


def camera_names(names: Sequence[str]) -> list[str]:
    """Return the names in parameter `cameras`; [''] if it is empty.

    Raises:
        ConfigError: a name cannot be that of topics, or occurs twice, or they are too many.
    """
    named = [name for name in names if name]
    for name in named:
        if not CAMERA_NAME.fullmatch(name):
            raise ConfigError(
                f'cameras has {name!r}, expected a name of ROS such as front, so that its images '
                'come on front/image'
            )
    if len(set(named)) < len(named):
        raise ConfigError(f'cameras is {named}, expected each name once')
    if len(named) > MAX_RESAMPLERS:
        raise ConfigError(f'cameras has {len(named)} names, expected at most {MAX_RESAMPLERS}')
    return named or ['']


def camera_setup(
    values: CameraParameters, name: str, image_topic: str, mask: ImageMask | None = None
) -> CameraSetup:
    """Return the setup of one camera; its calibration file is read.

    Args:
        values: parameters of the node.
        name: of the camera; '' for the only one.
        image_topic: full name.
        mask: pixels that are used; None for all.

    Raises:
        ConfigError: a file is named wrongly, or cannot be read.
    """
    rectified = (
        is_rectified(image_topic) if values.rectified == 'auto' else values.rectified == 'yes'
    )
    url = of_camera(values.camera_info_url, 'camera_info_url', name)
    calibration = None
    if url:
        # The reader tells rectified images by the name of their topic.
        topic = image_topic if values.rectified == 'auto' else 'image_rect' if rectified else ''
        path = resource_path(url, 'camera_info_url')
        try:
            calibration = read_calibration(path, topic=topic)
        except CameraError as error:
            raise ConfigError(f'camera_info_url: {error}') from None
    return CameraSetup(
        name,
        rectified,
        of_camera(values.camera_frame, 'camera_frame', name),
        calibration,
        mask or ImageMask(),
    )


def image_mask(mask_path: str, border_px: int, name: str) -> ImageMask:
    """Return the mask of one camera by parameters mask_path and exclude_border_px [px].

    Raises:
        ConfigError: the picture cannot be read.
    """
    text = of_camera(mask_path, 'mask_path', name)
    return ImageMask.read(resource_path(text, 'mask_path') if text else None, border_px)
