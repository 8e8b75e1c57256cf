# SPDX-License-Identifier: Apache-2.0
"""EuRoC's ASL layout: mav0/cam0/data.csv, sensor.yaml, state_groundtruth_estimate0/data.csv.

Burri et al., The EuRoC micro aerial vehicle datasets, IJRR 2016. A ground truth is the pose of its
own sensor; T_BS, in the sensor.yaml of each, is body_from_sensor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dsac_ros.errors import SourceError
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.calibration_documents import yaml_documents
from dsac_ros.sources.calibration_files import Calibration, find_calibration
from dsac_ros.sources.calibration_layouts import numbers
from dsac_ros.sources.file_names import natural_order
from dsac_ros.sources.frame_files import FileSource, FrameFiles, with_trajectory
from dsac_ros.sources.named_files import stamped_files, tell_unlisted
from dsac_ros.sources.poses import rigid_pose
from dsac_ros.sources.source import MAX_GAP_NS, POSES_ELSEWHERE, LeftOut
from dsac_ros.sources.text_files import read_text
from dsac_ros.sources.trajectory_files import Header, read_trajectory

LIST, SENSOR = 'data.csv', 'sensor.yaml'
# The best first. leica0 measures positions alone.
GROUND_TRUTHS = ('state_groundtruth_estimate0', 'vicon0', 'mocap0')
POSITIONS = 'leica0'
COLUMNS = Header((0, 1, 2, 3, 5, 6, 7, 4), 'ns')  # t x y z qx qy qz qw: w comes first


def find_camera(path: Path) -> Path | None:
    """The folder of the camera that a path stands for: itself, or the first one of mav0/."""
    if not path.is_dir():
        return None
    if path.name.startswith('cam') and _is_camera(path):
        return path
    cameras = [camera for base in (path / 'mav0', path) for camera in _cameras(base)]
    return cameras[0] if cameras else None


def open_euroc(
    path: Path, calibration: Calibration | None = None, max_gap_ns: int = MAX_GAP_NS
) -> FileSource:
    """The frames of one camera; their poses are interpolated from the ground truth.

    Args:
        path: the folder that mav0/ lies in, mav0/ itself, or a camera in it such as mav0/cam1.
        calibration: stands in the place of the sensor.yaml of the camera.
        max_gap_ns: the longest gap of the ground truth that is interpolated.
    """
    camera = find_camera(path)
    if camera is None:
        raise SourceError(f'{path} has no camera of EuRoC, expected mav0/cam0/{LIST}')
    source = FileSource(path, 'EuRoC folder', [])
    calibration = calibration or find_calibration(camera)
    if calibration is None:
        raise SourceError(
            f'{camera} has no calibration, expected {SENSOR} in it: give --camera-info or --focal'
        )
    images = stamped_files(source, camera / LIST, camera / 'data', 'ns')
    if not images:
        raise SourceError(f'{camera / LIST} lists no images, expected lines of a stamp and a file')
    no_pose = _no_ground_truth(camera.parent)
    source.files = [
        FrameFiles(image.stem, image, stamp, calibration, no_pose=no_pose)
        for stamp, image in images
    ]
    tell_unlisted(source, LIST)
    others = [one.name for one in _cameras(camera.parent) if one != camera]
    if others:
        source.unread.add(
            f'{", ".join(others)} beside {camera}: name {camera.parent / others[0]} to read it'
        )
    _add_ground_truth(source, camera, max_gap_ns)
    return source


def _is_camera(folder: Path) -> bool:
    return (folder / LIST).is_file() and (folder / 'data').is_dir()


def _cameras(base: Path) -> list[Path]:
    """The folders of cameras in the folder of a recording, in natural order."""
    return natural_order(one for one in base.glob('cam*') if _is_camera(one))


def _ground_truth(base: Path) -> Path | None:
    """The best ground truth of a recording that has rotations."""
    return next((base / name for name in GROUND_TRUTHS if (base / name / LIST).is_file()), None)


def _no_ground_truth(base: Path) -> LeftOut:
    """Why images have no pose where no ground truth gives them one."""
    if (base / POSITIONS / LIST).is_file():
        return LeftOut(f'a position of {POSITIONS}, but no rotation', cure=POSES_ELSEWHERE)
    return LeftOut('no ground truth', f'no {GROUND_TRUTHS[0]} in {base}', POSES_ELSEWHERE)


def _add_ground_truth(source: FileSource, camera: Path, max_gap_ns: int) -> None:
    """Give the frames the poses of the ground truth, brought from its sensor to the camera."""
    truth = _ground_truth(camera.parent)
    if truth is None:
        return
    read = read_trajectory(truth / LIST, COLUMNS)
    read.tell(source)
    body_from_camera = _body_from_sensor(camera)
    if body_from_camera is None:
        raise SourceError(
            f'{camera / SENSOR} has no T_BS, expected 4x4 numbers, body from camera: without it '
            f'the poses of {truth.name} are not those of the camera'
        )
    body_from_truth = _body_from_sensor(truth)
    if body_from_truth is None:
        source.assume(
            f'the poses of {truth} are those of the body, as it has no T_BS in a {SENSOR}'
        )
        body_from_truth = np.eye(4)
    truth_from_camera = np.linalg.inv(body_from_truth) @ body_from_camera
    trajectory = read.trajectory
    source.trajectory = Trajectory(
        trajectory.stamps_ns, trajectory.world_from_x @ truth_from_camera
    )
    source.trajectory_path = truth / LIST
    source.files = with_trajectory(source.files, source.trajectory, max_gap_ns)


def _body_from_sensor(folder: Path) -> np.ndarray | None:
    """T_BS (4, 4) of a sensor; None where its folder does not say it."""
    file = folder / SENSOR
    values: dict[str, Any] = {}
    try:
        for document in yaml_documents(read_text(file))[0] if file.is_file() else []:
            values.update(document)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise SourceError(f'{file} is not YAML: {" ".join(str(error).split())}') from None
    if values.get('T_BS') is None:
        return None
    try:
        found = numbers(values['T_BS'])
    except (KeyError, TypeError, ValueError, OverflowError):
        found = []
    pose = (
        rigid_pose(np.array(found).reshape(4, 4))
        if len(found) == 16
        else f'{len(found)} numbers instead of 16'
    )
    if isinstance(pose, str):
        raise SourceError(f'{file}: T_BS is {pose}, expected 4x4 numbers, body from sensor')
    return pose
