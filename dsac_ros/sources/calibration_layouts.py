# SPDX-License-Identifier: Apache-2.0
"""Intrinsics in the layouts that calibration tools and `ros2 topic echo` write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from dsac_ros.errors import CameraError
from dsac_ros.geometry.camera import camera_from_info, fisheye_camera
from dsac_ros.sources.camera_info import camera_from_message
from dsac_ros.types import Camera

EXPECTED = (
    'expected image_width, image_height, camera_matrix, distortion_model, '
    'distortion_coefficients (ROS or OpenCV), cam0: (Kalibr), or a CameraInfo as '
    '`ros2 topic echo` prints it'
)
# What OpenCV's samples and users of cv::FileStorage call the same things.
MATRIX = ('camera_matrix', 'cameraMatrix', 'Camera_Matrix', 'CameraMatrix', 'K', 'M1', 'mtx')
DISTORTION = (
    'distortion_coefficients',
    'Distortion_Coefficients',
    'distCoeffs',
    'dist_coeffs',
    'DistCoeffs',
    'distortion_coeffs',
    'D',
    'D1',
    'dist',
)
STEREO_MATRICES = {'M1', 'M2'}  # of OpenCV's stereo_calib, beside D1 and D2
WIDTH = ('image_width', 'image_Width', 'imageWidth', 'width')
HEIGHT = ('image_height', 'image_Height', 'imageHeight', 'height')
SIZE = ('image_size', 'imageSize', 'resolution')


@dataclass(frozen=True)
class Intrinsics:
    """A calibration as a file holds it.

    size_wh: None where the file does not say it.
    fisheye: the lens is equidistant, also where its coefficients are zero.
    """

    size_wh: tuple[int, int] | None
    k: list[float]
    d: list[float]
    p: list[float]
    model: str
    fisheye: bool = False

    def camera(self, image_wh: tuple[int, int] | None, rectified: bool) -> Camera:
        """The camera of raw images, or of rectified ones, in the size that was calibrated."""
        size_wh = self.size_wh or image_wh
        assert size_wh is not None  # who asks without an image has seen to it
        if self.fisheye and not rectified:
            return fisheye_camera(size_wh, self.k, self.d)
        if not rectified:
            return camera_from_info(size_wh, self.k, self.d, self.p, self.model)
        if len(self.p) == 12 and any(self.p):
            return camera_from_info(size_wh, [0.0] * 9, (), self.p)
        if any(self.d) or self.fisheye:
            raise CameraError(
                'the images are rectified by the name of their topic, but the '
                'calibration has a distortion and no projection_matrix: give that '
                'of the rectified images'
            )
        return camera_from_info(size_wh, self.k)


@dataclass(frozen=True)
class NamedCamera:
    """One camera of a file: its name and image topic where it has them.

    camera: makes it for images of a size (None: not known yet), raw or rectified ones.
    has_size: the file says which size was calibrated.
    """

    camera: Callable[[tuple[int, int] | None, bool], Camera]
    has_size: bool
    name: str = ''
    topic: str = ''


def cameras_in(values: Mapping[str, Any]) -> list[NamedCamera]:
    """The cameras that the keys of a document describe; empty where they are of no layout.

    Raises:
        CameraError: the document is of a layout but of a camera that is not supported.
        KeyError, TypeError, ValueError: it is of a layout and lacks something.
    """
    if 'camera_model' in values and 'intrinsics' in values:
        return [_kalibr('', values)]
    chain = {
        str(name): one
        for name, one in values.items()
        if isinstance(one, Mapping) and 'intrinsics' in one
    }
    if chain:
        return [_kalibr(name, one) for name, one in chain.items()]
    if _is_camera_info(values):
        return [_camera_info(values)]
    if values.keys() >= STEREO_MATRICES:
        return [_stereo(values, number) for number in '12']
    for layout in (_opencv, _camodocal, _orb_slam):
        found = layout(values)
        if found is not None:
            return [NamedCamera(found.camera, found.size_wh is not None)]
    return []


def _is_camera_info(values: Mapping[str, Any]) -> bool:
    return 'distortion_model' in values and any(
        {k, p, 'width', 'height'} <= values.keys() for k, p in ('kp', 'KP')
    )


def is_same_camera_info(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two messages say the same, whatever their headers."""
    return {key: value for key, value in one.items() if key != 'header'} == {
        key: value for key, value in other.items() if key != 'header'
    }


def _camera_info(values: Mapping[str, Any]) -> NamedCamera:
    """A CameraInfo of ROS 1 or 2 as text."""
    region = values.get('roi') or {}
    message = SimpleNamespace(
        width=int(values['width']),
        height=int(values['height']),
        distortion_model=values['distortion_model'],
        binning_x=int(values.get('binning_x', 0)),
        binning_y=int(values.get('binning_y', 0)),
        roi=SimpleNamespace(
            **{
                name: int(region.get(name, 0))
                for name in ('x_offset', 'y_offset', 'width', 'height')
            }
        ),
        **{name: numbers(values.get(name, values.get(name.upper(), []))) for name in 'kdp'},
    )
    return NamedCamera(
        lambda image_wh, rectified: camera_from_message(
            message, rectified=rectified, image_wh=image_wh
        ),
        bool(message.width and message.height),
    )


def _kalibr(name: str, values: Mapping[str, Any]) -> NamedCamera:
    """A camera of Kalibr's camchain, or of a sensor.yaml of EuRoC."""
    projection, model = (
        str(values.get(key, '')).lower() for key in ('camera_model', 'distortion_model')
    )
    where = f'{name}: ' if name else ''
    if projection != 'pinhole':
        raise CameraError(
            f'{where}camera_model is {projection!r}, expected pinhole: calibrate '
            'with pinhole-radtan or pinhole-equi'
        )
    fx, fy, cx, cy = numbers(values['intrinsics'])
    d = numbers(values.get('distortion_coeffs', values.get('distortion_coefficients', [])))
    size = values.get('resolution')
    found = Intrinsics(
        _size(size) if size is not None else None,
        [fx, 0, cx, 0, fy, cy, 0, 0, 1],
        d,
        [],
        model,
        fisheye=model in ('equidistant', 'equi'),
    )
    return NamedCamera(
        found.camera, found.size_wh is not None, name, str(values.get('rostopic', ''))
    )


def _opencv(values: Mapping[str, Any]) -> Intrinsics | None:
    """ROS's camera_calibration, and what OpenCV's samples write."""
    k = _first(values, MATRIX)
    if k is None:
        return None
    width, height, size = (_first(values, names) for names in (WIDTH, HEIGHT, SIZE))
    if size is None and width is not None and height is not None:
        size = (width, height)
    return Intrinsics(
        _size(size) if size is not None else None,
        numbers(k),
        numbers(_first(values, DISTORTION) or []),
        numbers(values.get('projection_matrix', [])),
        str(values.get('distortion_model') or ''),
        fisheye=bool(int(values.get('fisheye_model', 0) or 0)),
    )


def _stereo(values: Mapping[str, Any], number: str) -> NamedCamera:
    """One of the two cameras that OpenCV's stereo_calib writes, named M1 and M2."""
    others = {key: value for key, value in values.items() if key[-1:] not in ('1', '2')}
    found = _opencv({**others, 'M1': values[f'M{number}'], 'D1': values.get(f'D{number}', [])})
    assert found is not None  # M1 is a matrix
    return NamedCamera(found.camera, found.size_wh is not None, f'M{number}')


def _camodocal(values: Mapping[str, Any]) -> Intrinsics | None:
    """camodocal's files, which VINS uses."""
    projection = values.get('projection_parameters')
    if not isinstance(projection, Mapping):
        return None
    kind = str(values.get('model_type', '')).upper()
    size = _size((values['image_width'], values['image_height']))
    if kind == 'KANNALA_BRANDT':
        fx, fy, cx, cy, *d = (
            float(projection[name]) for name in ('mu', 'mv', 'u0', 'v0', 'k2', 'k3', 'k4', 'k5')
        )
        return Intrinsics(size, [fx, 0, cx, 0, fy, cy, 0, 0, 1], d, [], '', fisheye=True)
    if kind != 'PINHOLE':
        raise CameraError(f'model_type is {kind!r}, expected PINHOLE or KANNALA_BRANDT')
    fx, fy, cx, cy = (float(projection[name]) for name in ('fx', 'fy', 'cx', 'cy'))
    d = [float(values['distortion_parameters'][name]) for name in ('k1', 'k2', 'p1', 'p2')]
    return Intrinsics(size, [fx, 0, cx, 0, fy, cy, 0, 0, 1], d, [], 'plumb_bob')


def _orb_slam(values: Mapping[str, Any]) -> Intrinsics | None:
    """The settings of ORB-SLAM 2 and 3: Camera.fx or Camera1.fx, and so on."""
    prefix = next((p for p in ('Camera.', 'Camera1.') if f'{p}fx' in values), None)
    if prefix is None:
        return None
    fx, fy, cx, cy = (float(values[f'{prefix}{name}']) for name in ('fx', 'fy', 'cx', 'cy'))
    fisheye = str(values.get('Camera.type', '')) == 'KannalaBrandt8'
    names = ('k1', 'k2', 'k3', 'k4') if fisheye else ('k1', 'k2', 'p1', 'p2', 'k3')
    d = [float(values.get(f'{prefix}{name}', 0.0)) for name in names]
    size = (values.get('Camera.width'), values.get('Camera.height'))
    return Intrinsics(
        _size(size) if None not in size else None,
        [fx, 0, cx, 0, fy, cy, 0, 0, 1],
        d,
        [],
        'plumb_bob',
        fisheye,
    )


def numbers(value: object) -> list[float]:
    """The numbers of a list, or of the `data` of a matrix as OpenCV writes it."""
    data = value['data'] if isinstance(value, Mapping) else value
    return [float(x) for x in np.asarray(data, dtype=np.float64).reshape(-1)]


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((values[name] for name in names if name in values), None)


def _size(value: Any) -> tuple[int, int]:
    width, height = (int(side) for side in numbers(value))
    return width, height
