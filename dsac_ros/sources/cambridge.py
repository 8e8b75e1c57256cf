# SPDX-License-Identifier: Apache-2.0
"""Cambridge Landmarks: dataset_train.txt, dataset_test.txt, VisualSFM's reconstruction.nvm.

Kendall et al., PoseNet, ICCV 2015. A line of a list is `file x y z qw qx qy qz`: the centre of the
camera, and the rotation from the world to the camera. Focal lengths are those of the
reconstruction, whose images are jpg where the list has png; its one coefficient of distortion is
not used by the published protocols and not read. The principal point is the middle of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.sources.calibration_files import Calibration, calibration_from_focal, naming_file
from dsac_ros.sources.file_names import some_names
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.named_files import files_named
from dsac_ros.sources.poses import poses_from_rows, rigid_pose
from dsac_ros.sources.source import MADE_UP_STEP_NS, LeftOut
from dsac_ros.sources.text_files import quoted, read_text

LISTS = ('dataset_train.txt', 'dataset_test.txt')
MODEL = 'reconstruction.nvm'
HEADER = 3  # lines of a list before its images
FARTHEST_M = 10_000.0  # a camera further off is a failure of the reconstruction


def is_cambridge(path: Path) -> bool:
    """Return True if a path is a list of the data set, or the folder of a scene."""
    if path.is_file():
        return path.name in LISTS
    return (path / MODEL).is_file() and any((path / name).is_file() for name in LISTS)


def open_cambridge(path: Path, calibration: Calibration | None = None) -> FileSource:
    """The images that a list names, in its order."""
    if path.is_dir():
        raise SourceError(
            f'{path} is a scene of Cambridge Landmarks: name '
            f'{" or ".join(str(path / name) for name in LISTS if (path / name).is_file())}'
        )
    source = FileSource(path, 'Cambridge Landmarks', [], has_stamps=False)
    listed = _listed(path)
    focals = {} if calibration else read_focals(path.parent / MODEL)
    known = {name: pose for name, pose in listed.items() if calibration or _stem(name) in focals}
    if not known:
        raise SourceError(f'{path.parent / MODEL} has a camera of no image of {path}')
    if len(known) < len(listed):
        missing = [Path(name) for name in listed if name not in known]
        source.unread.add(
            f'{len(missing)} images of {path} of which {MODEL} has no camera: '
            f'{some_names(missing)}'
        )
    cameras = {
        focal: naming_file(path.parent / MODEL, calibration_from_focal(focal))
        for focal in {focals[_stem(name)] for name in known if not calibration}
    }
    images = files_named(source, path.parent, list(known))
    for index, ((name, pose), image) in enumerate(zip(known.items(), images, strict=True)):
        camera = calibration or cameras[focals[_stem(name)]]
        files = FrameFiles(name, image, index * MADE_UP_STEP_NS, camera)
        source.files.append(files.posed(pose))
    return source


def _listed(path: Path) -> dict[str, np.ndarray | LeftOut]:
    """The images of a list with their poses world_from_camera, or why they have none."""
    found: dict[str, np.ndarray | LeftOut] = {}
    for number, line in enumerate(read_text(path).splitlines()[HEADER:], HEADER + 1):
        if not line.strip():
            continue
        name, *words = line.split()
        try:
            x, y, z, qw, qx, qy, qz = (float(word) for word in words)
        except ValueError:
            raise SourceError(
                f'{path}, line {number}: {quoted(line)} names no image, expected file x y z qw '
                'qx qy qz behind three lines of a header'
            ) from None
        found[name] = _pose(np.array([[0, 0, 0, qx, qy, qz, qw]]), np.array((x, y, z)), name)
    if not found:
        raise SourceError(f'{path} names no images, expected them behind {HEADER} header lines')
    return found


def _pose(row: np.ndarray, centre: np.ndarray, name: str) -> np.ndarray | LeftOut:
    camera_from_world = rigid_pose(poses_from_rows(row)[0])
    if isinstance(camera_from_world, str):
        return LeftOut(camera_from_world, name)
    if not np.abs(centre).max() <= FARTHEST_M:
        return LeftOut(f'a position further off than {FARTHEST_M / 1000:g} km', name)
    pose = np.linalg.inv(camera_from_world)
    pose[:3, 3] = centre
    return pose


def read_focals(path: Path) -> dict[str, float]:
    """The focal length [px] of each camera of a VisualSFM model, by its name without ending.

    Format: http://ccwu.me/vsfm/doc.html#nvm. A camera is a line of its file, focal length,
    quaternion wxyz, centre, distortion and 0.
    """
    lines = _lines(path)  # of a file of a hundred megabytes, most of them points
    if not next(lines, '').startswith('NVM_V3'):
        raise SourceError(f'{path} is no model of VisualSFM, expected NVM_V3 in its first line')
    number = next(lines, '')
    count = int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0
    cameras = list(islice(lines, count))
    if not count or len(cameras) < count:
        raise SourceError(f'{path} is cut short, or no model of VisualSFM: export it again')
    found = {}
    for line in cameras:
        words = line.split()
        try:
            found[_stem(words[0])] = float(words[1])
        except (IndexError, ValueError):
            raise SourceError(
                f'{path}: {quoted(line)} is no camera, expected a file and its focal length'
            ) from None
    return found


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file that are not empty, read one by one."""
    try:
        with path.open(encoding='utf-8-sig', errors='replace') as file:
            yield from filter(None, map(str.strip, file))
    except OSError as error:
        raise SourceError(f'{path} cannot be read: {error}') from None


def _stem(name: str) -> str:
    """The name of an image without its ending, which list and model disagree about."""
    folder, slash, file = name.replace('\\', '/').rpartition('/')
    return folder + slash + file.rpartition('.')[0]
