# SPDX-License-Identifier: Apache-2.0
"""A kapture: sensors/sensors.txt, records_camera.txt, trajectories.txt and rigs.txt.

Format: https://github.com/naver/kapture/blob/main/kapture_format.adoc. Poses lead from the world
to a sensor or rig, and from a rig to its sensors, with quaternions w x y z; the models of cameras
and their pixels are COLMAP's. All of it is converted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np

from dsac_ros.compute.files import read_whole
from dsac_ros.errors import CameraError, ImageError, SourceError
from dsac_ros.sources.calibration_files import Calibration
from dsac_ros.sources.colmap_cameras import camera_from_colmap
from dsac_ros.sources.file_names import natural_key
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.image_files import check_is_file, fit_depth
from dsac_ros.sources.named_files import files_named, tell_unlisted
from dsac_ros.sources.poses import poses_from_rows, rigid_pose
from dsac_ros.sources.source import MADE_UP_STEP_NS, POSES_ELSEWHERE, LeftOut
from dsac_ros.sources.stamps import epoch_unit, in_nanoseconds, read_stamp
from dsac_ros.sources.text_files import is_comment, quoted, read_text

SENSORS, RECORDS, TRAJECTORIES = 'sensors.txt', 'records_camera.txt', 'trajectories.txt'
RIGS, DATA, DEPTH = 'rigs.txt', 'records_data', 'records_depth.txt'
UNKNOWN = 'UNKNOWN_CAMERA'
POSE_WORDS = 7  # qw qx qy qz tx ty tz
MAX_DEPTH = 8  # of rigs on rigs
MAX_SIDE = 20_000  # px of a depth map


@dataclass(frozen=True)
class Record:
    """An image of a sensor at a time stamp, which may be any number."""

    stamp: Decimal
    sensor: str
    image: str


@dataclass(frozen=True)
class Poses:
    """Poses by stamp and device (device_from_world), and the rigs of each sensor.

    rigs: sensor -> [(rig, sensor_from_rig)]. A pose is (4, 4), or the reason why it is none.
    """

    devices: dict[tuple[Decimal, str], np.ndarray | str] = field(default_factory=dict)
    rigs: dict[str, list[tuple[str, np.ndarray | str]]] = field(default_factory=dict)

    def world_from(self, device: str, stamp: Decimal) -> np.ndarray | LeftOut:
        """The pose of a sensor, its own or that of a rig which carries it."""
        pose = self._device_from_world(device, stamp)
        if isinstance(pose, str):
            return LeftOut(pose, f'{device} at {stamp}', POSES_ELSEWHERE)
        return np.linalg.inv(pose)

    def _device_from_world(self, device: str, stamp: Decimal, depth: int = 0) -> np.ndarray | str:
        if (stamp, device) in self.devices:
            return self.devices[stamp, device]
        for rig, sensor_from_rig in self.rigs.get(device, []) if depth < MAX_DEPTH else []:
            pose = self._device_from_world(rig, stamp, depth + 1)
            if isinstance(sensor_from_rig, str):
                return sensor_from_rig
            if not isinstance(pose, str):
                return sensor_from_rig @ pose
        return f'no pose in {TRAJECTORIES}'


def find_kapture(path: Path) -> Path | None:
    """The folder sensors/ that a path stands for: in it, or itself."""
    folders = (path / 'sensors', path)
    return next(
        (one for one in folders if (one / SENSORS).is_file() and (one / RECORDS).is_file()), None
    )


def open_kapture(
    path: Path, calibration: Calibration | None = None, depth: bool = True
) -> FileSource:
    """The images of all cameras, in the order of their stamps.

    Args:
        path: the folder that sensors/ lies in, or sensors/ itself.
        calibration: stands in the place of the cameras of sensors.txt.
        depth: read the depth maps that are registered to images.
    """
    folder = find_kapture(path)
    if folder is None:
        raise SourceError(f'{path} is no kapture, expected sensors/{SENSORS} and {RECORDS}')
    source = FileSource(path, 'kapture', [], has_stamps=False)
    records = sorted(
        _records(folder / RECORDS), key=lambda one: (one.stamp, natural_key(one.image))
    )
    if not records:
        raise SourceError(
            f'{folder / RECORDS} lists no images, expected lines of timestamp, device_id, '
            'image_path'
        )
    cameras = {} if calibration else _cameras(folder / SENSORS, {one.sensor for one in records})
    poses = _poses(folder)
    images = files_named(source, folder / DATA, [one.image for one in records])
    for record, image, stamp in zip(records, images, _stamps(source, records), strict=True):
        files = FrameFiles(record.image, image, stamp, calibration or cameras[record.sensor])
        source.files.append(files.posed(poses.world_from(record.sensor, record.stamp)))
    tell_unlisted(source, RECORDS)
    if depth and (folder / DEPTH).is_file():
        _add_depth(source, folder, records)
    return source


def _add_depth(source: FileSource, folder: Path, records: Sequence[Record]) -> None:
    """Give images the depth of their stamp whose sensor has the same model as their camera."""
    lenses = {row[0]: row[3:] for _, row in _rows(folder / SENSORS, 3, 'sensors')}
    found = {}
    for one in _records(folder / DEPTH):
        size = _depth_size(lenses.get(one.sensor, []))
        if size is not None:
            file = folder / DATA / one.image
            found[one.stamp, tuple(lenses[one.sensor])] = partial(_read_depth, file, size)
    readers = [found.get((one.stamp, tuple(lenses.get(one.sensor, [])))) for one in records]
    if not any(readers):
        source.unread.add(
            f'the depth of {folder / DEPTH}, of sensors with other models than the cameras: it is '
            'not registered to the images'
        )
        return
    source.assume(
        f'depth of {folder / DEPTH} is registered to the images of the same stamp whose camera '
        'has the same model; --depth off leaves it out'
    )
    source.files = [
        replace(one, depth=reader or _no_depth)
        for one, reader in zip(source.files, readers, strict=True)
    ]


def _depth_size(lens: Sequence[str]) -> tuple[int, int] | None:
    """Width and height of the depth maps of a sensor; None where it does not say them."""
    try:
        width, height = int(lens[1]), int(lens[2])
    except (IndexError, ValueError):
        return None
    return (width, height) if 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE else None


def _read_depth(path: Path, size: tuple[int, int], size_wh: tuple[int, int]) -> np.ndarray:
    """A file of float32 metres, row by row, in the pixels of an image."""
    check_is_file(path)
    try:
        data = read_whole(path)
    except OSError as error:
        raise ImageError(f'{path} cannot be read: {error}') from None
    if len(data) != 4 * size[0] * size[1]:
        raise ImageError(f'{path} has {len(data)} bytes, expected those of {size[0]}x{size[1]}')
    depth = np.frombuffer(data, '<f4').reshape(size[::-1])
    depth = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0)).astype(np.float32)
    return fit_depth(depth, size_wh, str(path))


def _no_depth(size_wh: tuple[int, int]) -> np.ndarray:
    raise ImageError('there is no depth of this stamp')


def _rows(file: Path, least: int, expected: str) -> Iterator[tuple[str, list[str]]]:
    """The place of each line of a file, for errors, and its fields without blanks."""
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not line.strip() or is_comment(line):
            continue
        words = [word.strip() for word in line.split(',')]
        where = f'{file}, line {number}: {quoted(line)}'
        if len(words) < least:
            raise SourceError(f'{where} has {len(words)} fields, expected {expected}')
        yield where, words


def _records(file: Path) -> Iterator[Record]:
    for where, (stamp, sensor, image, *_) in _rows(file, 3, 'timestamp, device_id, image_path'):
        yield Record(_stamp(where, stamp), sensor, image.replace('\\', '/'))


def _stamp(where: str, text: str) -> Decimal:
    try:
        return read_stamp(text)
    except ValueError as error:
        raise SourceError(f'{where}: {error}, expected a timestamp first') from None


def _cameras(file: Path, used: set[str]) -> dict[str, Calibration]:
    """The cameras of images by their sensor."""
    cameras: dict[str, Calibration] = {}
    expected = 'sensor_device_id, name, sensor_type, model, width, height, parameters'
    for where, (sensor, _, kind, *lens) in _rows(file, 3, expected):
        if sensor in used and kind == 'camera':
            cameras[sensor] = _camera(where, lens)
    missing = sorted(used - cameras.keys())
    if missing:
        raise SourceError(
            f'{file} has no camera {quoted(missing[0])}, of which there are images: expected '
            f'{expected}'
        )
    return cameras


def _camera(where: str, lens: Sequence[str]) -> Calibration:
    model, *values = lens or ['']
    if model == UNKNOWN:
        raise CameraError(f'{where} has no intrinsics: give --camera-info or --focal')
    try:
        width, height, *parameters = (float(value) for value in values)
        size_wh = (int(width), int(height))
    except (ValueError, OverflowError):
        raise CameraError(
            f'{where} is no camera, expected a model of COLMAP, width, height and parameters'
        ) from None
    try:
        camera = camera_from_colmap(model, size_wh, parameters)
    except CameraError as error:
        raise CameraError(f'{where}: {error}') from None
    return lambda _: camera


def _poses(folder: Path) -> Poses:
    """The poses of devices and the rigs, empty where there are none."""
    poses = Poses()
    expected = 'device_id, qw, qx, qy, qz, tx, ty, tz'
    if (folder / TRAJECTORIES).is_file():
        rows = _rows(folder / TRAJECTORIES, 2 + POSE_WORDS, f'timestamp, {expected}')
        for where, (stamp, device, *words) in rows:
            poses.devices[_stamp(where, stamp), device] = _pose(where, words)
    if (folder / RIGS).is_file():
        for where, (rig, sensor, *words) in _rows(
            folder / RIGS, 2 + POSE_WORDS, f'rig_device_id, sensor_{expected}'
        ):
            poses.rigs.setdefault(sensor, []).append((rig, _pose(where, words)))
    return poses


def _pose(where: str, words: Sequence[str]) -> np.ndarray | str:
    """The pose (4, 4) of qw qx qy qz tx ty tz, or why it is none."""
    if not all(words[:POSE_WORDS]):
        return 'a pose without rotation or position'
    try:
        w, x, y, z, *position = (float(word) for word in words[:POSE_WORDS])
    except ValueError:
        raise SourceError(
            f'{where} is not a pose, expected the numbers qw, qx, qy, qz, tx, ty, tz'
        ) from None
    return rigid_pose(poses_from_rows(np.array([[*position, x, y, z, w]]))[0])


def _stamps(source: FileSource, records: Sequence[Record]) -> list[int]:
    """The stamps of images [ns]; made up from their order where they are no times."""
    units = {epoch_unit(one.stamp) for one in records}
    unit = units.pop() if len(units) == 1 else None
    if unit is None:
        return [index * MADE_UP_STEP_NS for index in range(len(records))]
    source.has_stamps = True
    if unit != 's':
        source.assume(f'the stamps of {source.path} are in {unit}, as their size says')
    return [in_nanoseconds(one.stamp, unit) for one in records]
