# SPDX-License-Identifier: Apache-2.0
"""ARKit logs as ARKitScenes publishes them: lowres_wide/, lowres_wide.traj and .pincam files.

Baruch et al., ARKitScenes, NeurIPS 2021; formats: https://github.com/apple/ARKitScenes, DATA.md. A
line of the .traj is a stamp [s], camera_from_world as an axis times an angle [rad], and its
translation [m], at 10 Hz. A .pincam is width, height, fx, fy, cx and cy of one image, counted from
the corner of the first pixel; lowres_depth/ is png, uint16 millimetres. Files are named
VIDEO_SECONDS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dsac_ros.errors import CameraError, ImageError, SourceError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.geometry.rotation import matrix_from_axis_angle
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.beside import list_files
from dsac_ros.sources.calibration_files import CORNER, Calibration, naming_file
from dsac_ros.sources.frame_files import FileSource, FrameFiles, with_trajectory
from dsac_ros.sources.image_files import list_images, read_depth
from dsac_ros.sources.source import MAX_GAP_NS, POSES_ELSEWHERE, LeftOut
from dsac_ros.sources.stamps import nanoseconds
from dsac_ros.sources.text_files import quoted, read_text
from dsac_ros.types import Camera

IMAGES = ('lowres_wide', 'vga_wide', 'wide')  # those that go with lowres_depth first
TRAJECTORY, DEPTH, CONFIDENCE = 'lowres_wide.traj', 'lowres_depth', 'confidence'
INTRINSICS, PINCAM = '_intrinsics', '.pincam'
MAX_OFFSET_NS = 2_000_000  # between the stamps in the names of files of one frame
MAX_CAMERA_OFFSET_NS = 200_000_000  # the lens moves little between images
MOST = 1e6  # of any number of a pose
LINE = 'expected seconds, three numbers of a rotation [rad] and three of a translation [m]'


def find_arkit(path: Path) -> Path | None:
    """The folder that holds the trajectory: `path`, or PATH/VIDEO_frames as in the 3dod part."""
    if not path.is_dir():
        return None
    return next(
        (
            one
            for one in (path, *sorted(path.glob('*_frames')))
            if (one / TRAJECTORY).is_file() and _image_folder(one)
        ),
        None,
    )


def _image_folder(folder: Path) -> Path | None:
    return next((folder / name for name in IMAGES if (folder / name).is_dir()), None)


def open_arkit(
    path: Path,
    calibration: Calibration | None = None,
    depth: bool = True,
    max_gap_ns: int = MAX_GAP_NS,
) -> FileSource:
    """The frames of a recording, with poses interpolated between those of the trajectory.

    Args:
        path: the folder of a video.
        calibration: stands in the place of the .pincam files.
        depth: read lowres_depth/, where the images are those of lowres_wide/.
        max_gap_ns: the longest gap of the trajectory that is interpolated.
    """
    folder = find_arkit(path)
    images = _image_folder(folder) if folder else None
    if folder is None or images is None:
        raise SourceError(f'{path} has no {TRAJECTORY} beside {IMAGES[0]}/')
    source = FileSource(path, 'ARKitScenes', [])
    files = sorted((_stamp(file), file) for file in list_images(images))
    if not files:
        raise SourceError(f'{images} holds no images, expected VIDEO_SECONDS.png')
    camera_of = _given(calibration) if calibration else _cameras(images)
    depth_of = _depth(folder, images, depth)
    for stamp, file in files:
        source.files.append(
            FrameFiles(
                f'{images.name}/{file.stem}',
                file,
                stamp,
                camera_of(stamp),
                depth_of(stamp),
                no_pose=LeftOut(f'no pose in {TRAJECTORY}', cure=POSES_ELSEWHERE),
            )
        )
    source.trajectory = read_traj(folder / TRAJECTORY)
    source.trajectory_path = folder / TRAJECTORY
    source.files = with_trajectory(source.files, source.trajectory, max_gap_ns)
    for name in (CONFIDENCE, *(one for one in IMAGES if one != images.name)):
        if (folder / name).is_dir():
            source.unread.add(f'{folder / name}, beside the images of {images}')
    return source


def read_traj(path: Path) -> Trajectory:
    """The poses of a .traj file: world_from_camera at their stamps."""
    stamps, rows = [], []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            stamp, *words = line.split()
            values = np.array(words, dtype=np.float64)
            if values.shape != (6,) or not np.abs(values).max() < MOST:
                raise ValueError
            stamps.append(nanoseconds(stamp))
        except ValueError:
            raise SourceError(
                f'{path}, line {number}: {quoted(line)} is no pose, {LINE}'
            ) from None
        rows.append(values)
    if not rows:
        raise SourceError(f'{path} holds no poses, {LINE}')
    numbers = np.array(rows)
    poses = np.tile(np.eye(4), (len(numbers), 1, 1))
    poses[:, :3, :3] = matrix_from_axis_angle(torch.from_numpy(numbers[:, :3])).numpy()
    poses[:, :3, 3] = numbers[:, 3:]
    order = np.argsort(stamps, kind='stable')
    return Trajectory(np.array(stamps)[order], np.linalg.inv(poses)[order])


def _stamp(file: Path) -> int:
    """The stamp in the name of a file: the seconds behind the last underscore."""
    try:
        return nanoseconds(file.stem.rpartition('_')[2])
    except ValueError:
        raise SourceError(
            f'{file} has no stamp in its name, expected VIDEO_SECONDS{file.suffix}'
        ) from None


def _given(calibration: Calibration) -> Callable[[int], Calibration]:
    return lambda stamp: calibration


def _cameras(images: Path) -> Callable[[int], Calibration]:
    """The camera at a stamp: that of the .pincam file nearest in time."""
    folder = images.with_name(f'{images.name}{INTRINSICS}')
    nearest = _nearest(list_files(folder, (PINCAM,)), MAX_CAMERA_OFFSET_NS)

    def camera_of(stamp: int) -> Calibration:
        file = nearest(stamp)
        if file is None:
            raise SourceError(
                f'{folder} has no {PINCAM} file near {stamp / 1e9:.3f} s: give --camera-info or '
                '--focal'
            )
        return _pincam(file)

    return camera_of


def _pincam(file: Path) -> Calibration:
    """The camera of a .pincam file, read when an image is."""

    def camera_of(size_wh: tuple[int, int]) -> Camera:
        try:
            text = read_text(file)
        except SourceError as error:
            raise CameraError(str(error)) from None
        try:
            width, height, fx, fy, cx, cy = (float(word) for word in text.split())
            size = int(width), int(height)
        except (ValueError, OverflowError):
            raise CameraError(
                f'{quoted(text)} is no camera, expected width, height, fx, fy, cx and cy'
            ) from None
        return camera_from_info(size, (fx, 0, cx - CORNER, 0, fy, cy - CORNER, 0, 0, 1))

    return naming_file(file, camera_of)


def _depth(
    folder: Path, images: Path, wanted: bool
) -> Callable[[int], Callable[[tuple[int, int]], np.ndarray] | None]:
    """The reader of the depth of a stamp; None where the images are not those of the depth."""
    files = list_files(folder / DEPTH, ('.png',)) if wanted and images.name == IMAGES[0] else []
    nearest = _nearest(files, MAX_OFFSET_NS)

    def depth_of(stamp: int) -> Callable[[tuple[int, int]], np.ndarray] | None:
        if not files:
            return None
        file = nearest(stamp)
        return partial(read_depth, file) if file else _no_depth

    return depth_of


def _no_depth(size_wh: tuple[int, int]) -> np.ndarray:
    raise ImageError('there is no depth of this stamp')


def _nearest(files: Sequence[Path], most_ns: int) -> Callable[[int], Path | None]:
    """A function that finds the file nearest in time to a stamp, if it is near enough."""
    stamped = sorted(_stamped(files))
    stamps = np.array([stamp for stamp, _ in stamped], dtype=np.int64)

    def nearest(stamp: int) -> Path | None:
        if not len(stamps):
            return None
        index = int(np.searchsorted(stamps, stamp))
        around = [one for one in (index - 1, index) if 0 <= one < len(stamps)]
        best = min(around, key=lambda one: abs(int(stamps[one]) - stamp))
        return stamped[best][1] if abs(int(stamps[best]) - stamp) <= most_ns else None

    return nearest


def _stamped(files: Sequence[Path]) -> Iterator[tuple[int, Path]]:
    for file in files:
        yield _stamp(file), file
