# SPDX-License-Identifier: Apache-2.0
"""The camera of a CameraInfo, whoever made it.

REP 104 asks for K, P, size and region of interest in the pixels of the full resolution, and for
the binning beside them. Drivers differ in what they have applied already; the size of the image
and the place of the principal point tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dsac_ros.errors import CameraError
from dsac_ros.geometry.camera import camera_from_info, is_central, middle_of_another_size
from dsac_ros.geometry.camera_checks import check_principal_point
from dsac_ros.types import Camera

UNDECIDED = 0.05  # around the geometric mean of two sizes of which K could be
BINNED_SIZE = 0.01  # share by which a binned image may miss the size that binning gives


@dataclass(frozen=True)
class _Info:
    """A CameraInfo with its defaults resolved; roi (x, y, width, height) is None for all."""

    size_wh: tuple[int, int]
    k: np.ndarray
    d: np.ndarray
    p: np.ndarray
    model: str
    roi: tuple[int, int, int, int] | None
    binning: tuple[int, int]
    assumptions: tuple[str, ...] = ()

    @property
    def sent_wh(self) -> tuple[int, int]:
        """Size of the part that is sent, before binning."""
        return self.roi[2:] if self.roi else self.size_wh

    @property
    def matrix(self) -> np.ndarray:
        """The camera matrix (3, 3) that holds: K, or the left part of P where K is zero."""
        if self.k.size == 9 and (self.k.any() or self.p.size != 12):
            return self.k.reshape(3, 3)
        return self.p.reshape(3, 4)[:, :3] if self.p.size == 12 else np.zeros((3, 3))

    def but(self, told: str, **changes: Any) -> _Info:
        """The same with changes, and an assumption that says why."""
        return replace(self, **changes, assumptions=(*self.assumptions, told))


def camera_from_message(
    message: Any, *, rectified: bool = False, image_wh: tuple[int, int] | None = None
) -> Camera:
    """The camera of a CameraInfo (ROS 1 or 2), in the pixels of the image beside it.

    Args:
        message: the CameraInfo, read by its fields.
        rectified: the image is that of P, without distortion.
        image_wh: size of the image; it decides where the message contradicts itself, and stands
            in for a size that the driver left out.

    Raises:
        CameraError: no camera has these intrinsics, or they contradict each other.
    """
    info = _info(message, image_wh)
    if rectified:
        info = _rectified(info)
    elif not info.k.any() and info.p.any() and info.d.any():
        raise CameraError(
            'camera_info has distortion but a K of zero: calibrate the camera, or '
            'give a calibration file'
        )
    info = _resolve_binning(_resolve_region(info, image_wh), image_wh)
    camera = camera_from_info(
        info.size_wh, info.k, info.d, info.p, info.model, info.roi, info.binning
    )
    if image_wh in (None, camera.size_wh):  # else the image contradicts it anyway
        _check_size(info)
    return replace(camera, assumptions=info.assumptions + camera.assumptions)


def _check_size(info: _Info) -> None:
    """Refuse a principal point outside of the image, or in the middle of one of another size."""
    if not all(info.size_wh):
        return
    other = middle_of_another_size(info.matrix, info.size_wh)
    if other is None:
        check_principal_point(info.matrix, info.size_wh)
    else:
        (width, height), (cx, cy) = info.size_wh, info.matrix[:2, 2]
        raise CameraError(
            f'camera_info of {width}x{height} has the principal point ({cx:g}, '
            f'{cy:g}), which is the middle of about {other[0]}x{other[1]}: publish '
            'the K of the size that it says, and the region of interest of an image '
            'that is a part (REP 104), or give a calibration file'
        )


def frame_difference(info_frame: str, image_frame: str) -> str:
    """Describe how the frame_ids of a CameraInfo and its images differ; '' where they agree."""
    ours, theirs = info_frame.lstrip('/'), image_frame.lstrip('/')
    if not ours or not theirs or ours == theirs:
        return ''
    return f'its frame_id is {ours!r} and that of the images is {theirs!r}'


def _info(message: Any, image_wh: tuple[int, int] | None) -> _Info:
    """The fields of a message."""
    k, d, p = (
        np.array(getattr(message, name, getattr(message, name.upper(), ())), np.float64).reshape(
            -1
        )
        for name in ('k', 'd', 'p')
    )
    roi = message.roi
    region = int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)
    info = _Info(
        (int(message.width), int(message.height)),
        k,
        d,
        p,
        str(message.distortion_model or ''),
        region if all(region[2:]) else None,
        (max(1, int(message.binning_x)), max(1, int(message.binning_y))),
    )
    if all(info.size_wh) or not image_wh:
        return info
    return info.but(
        f'camera_info has no size: taken as {image_wh[0]}x{image_wh[1]}, that of the images',
        size_wh=tuple(image_wh),
    )


def _rectified(info: _Info) -> _Info:
    """The camera of the rectified image: that of P, or of K where there is no P."""
    if info.p.size == 12 and info.p[[0, 5]].all():
        rectified = replace(info, k=np.zeros(9), d=np.zeros(0))
        if not info.d.any() and np.allclose(rectified.matrix, info.matrix):
            return rectified
        return rectified.but(
            'the images are rectified by the name of their topic: P of '
            f'camera_info holds (fx {info.p[0]:g}), not K and D (fx '
            f'{info.matrix[0, 0]:g})',
            model='',
        )
    if info.d.any():
        raise CameraError(
            'the images are rectified by the name of their topic, but camera_info '
            'has distortion and no P: publish P, or give a calibration of the '
            'rectified images'
        )
    return info


def _resolve_region(info: _Info, image_wh: tuple[int, int] | None) -> _Info:
    """The info without a region of interest that K, or the image, does not heed."""
    if info.roi is None or info.sent_wh == info.size_wh or not all(info.size_wh):
        return info
    x, y, width, height = info.roi
    if image_wh == info.size_wh:
        return info.but(
            f'camera_info has a region of interest of {width}x{height}, but the images'
            f' have the full {image_wh[0]}x{image_wh[1]}: taken as not applied',
            roi=None,
        )
    if (
        info.binning == (1, 1)
        and is_central(info.matrix, info.sent_wh)
        and not is_central(info.matrix, info.size_wh)
    ):
        return info.but(
            f'camera_info has a region of interest of {width}x{height} at ({x}, {y}), '
            'but its principal point is in the middle of an image of that size: K is '
            'taken as that of the region',
            roi=None,
            size_wh=(width, height),
        )
    return info


def _resolve_binning(info: _Info, image_wh: tuple[int, int] | None) -> _Info:
    """The info with the binning that is still to be applied.

    Size and K are each of the full or of the binned image; the size of the image decides for the
    former, the principal point for the latter.
    """
    if info.binning == (1, 1) or not info.matrix.any() or not all(info.size_wh):
        return info
    binned_wh = (info.sent_wh[0] // info.binning[0], info.sent_wh[1] // info.binning[1])
    size_is_binned = image_wh is not None and image_wh == info.sent_wh
    steps = _binning_of_principal_point(info)
    binning = 'x'.join(map(str, info.binning))
    of_size, smaller, larger = (abs(steps - at) < 0.5 - UNDECIDED for at in (0, -1, 1))
    if size_is_binned and of_size:
        return info.but(
            f'camera_info says binning {binning} and the size of the images: taken as '
            'applied already',
            binning=(1, 1),
        )
    if size_is_binned and larger and info.roi is None:
        full = tuple(size * b for size, b in zip(info.size_wh, info.binning))
        return info.but(
            f'camera_info says binning {binning} and the size of the images, but its '
            f'principal point is that of {full[0]}x{full[1]}: K is taken as that of '
            'the full resolution',
            size_wh=full,
        )
    if not size_is_binned and smaller and info.roi is None:
        return info.but(
            f'camera_info says binning {binning}, but its principal point is that of '
            'a binned image: K is taken as that of the images',
            size_wh=_near(binned_wh, image_wh),
            binning=(1, 1),
        )
    if not size_is_binned and steps > -(0.5 - UNDECIDED):
        return info
    (width, height), (cx, cy) = info.size_wh, info.matrix[:2, 2]
    raise CameraError(
        f'camera_info of {width}x{height} with binning {binning} has its principal '
        f'point at ({cx:g}, {cy:g}), expected it near the middle of that size: '
        'publish K of the full resolution (REP 104), or give a calibration file'
    )


def _near(binned_wh: tuple[int, int], image_wh: tuple[int, int] | None) -> tuple[int, int]:
    """Size of a binned image: that of the image itself where only a few rows are missing."""
    if image_wh is None:
        return binned_wh
    fits = all(abs(a - b) <= BINNED_SIZE * b for a, b in zip(image_wh, binned_wh))
    return image_wh if fits else binned_wh


def _binning_of_principal_point(info: _Info) -> float:
    """Number of binning steps from the size of the info to the size that K belongs to.

    0 where K is of that size, -1 where it is of the binned one, 1 where it is of one that is
    larger by the binning.
    """
    steps = [
        math.log(max(2.0 * (float(centre) + 0.5) / size, 1e-9)) / math.log(b)
        for centre, size, b in zip(info.matrix[:2, 2], info.size_wh, info.binning)
        if b > 1
    ]
    return float(np.mean(steps)) if np.isfinite(steps).all() else 0.0
