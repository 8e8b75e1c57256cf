# SPDX-License-Identifier: Apache-2.0
"""Writes frames in EuRoC's ASL layout: mav0/cam0/ and mav0/state_groundtruth_estimate0/.

Burri et al., The EuRoC micro aerial vehicle datasets, IJRR 2016. The body is the camera: T_BS is
the identity. Velocities and biases of the original, which nothing measured here, are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import yaml

from dsac_ros.compute.files import write_whole
from dsac_ros.errors import CameraError, SourceError
from dsac_ros.sources.frame_files_writer import exact, save_image
from dsac_ros.sources.poses import row_from_pose
from dsac_ros.types import EQUIDISTANT, PINHOLE, PLUMB_BOB, Camera, PosedFrame

CAMERA, TRUTH = Path('mav0/cam0'), Path('mav0/state_groundtruth_estimate0')
IMAGES_HEAD = '#timestamp [ns],filename\n'
POSES_HEAD = (
    '#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], '
    'q_RS_z []\n'
)
IDENTITY = {'cols': 4, 'rows': 4, 'data': [float(x) for x in np.eye(4).reshape(-1)]}


def write_euroc(path: Path, frames: Iterable[PosedFrame], image_suffix: str = '.png') -> int:
    """Write frames of one camera into a folder; return their number.

    Raises:
        SourceError: cameras differ, or two frames have one stamp.
        CameraError: the layout has no such lens.
    """
    camera: Camera | None = None
    rows: dict[int, tuple[str, str]] = {}
    for posed in frames:
        frame, stamp = posed.frame, int(posed.frame.stamp_ns)
        if camera is None:
            camera = frame.camera
            (path / CAMERA).mkdir(parents=True)
            write_whole(path / CAMERA / 'sensor.yaml', sensor_yaml(camera))
        if not same_camera(camera, frame.camera):
            raise SourceError(
                f'{frame.name or stamp} has another camera than the frames before it, and a '
                'folder of EuRoC has one for all: write a bag, a folder, kapture or COLMAP'
            )
        if stamp in rows:
            raise SourceError(f'two frames have the stamp {stamp} ns, which EuRoC cannot hold')
        name = f'{stamp}{image_suffix}'
        save_image(path / CAMERA / 'data' / name, frame.image)
        x, y, z, qx, qy, qz, qw = row_from_pose(posed.world_from_camera)
        pose = exact(x, y, z, qw, qx, qy, qz).replace(' ', ',')
        rows[stamp] = (f'{stamp},{name}\n', f'{stamp},{pose}\n')
    (path / TRUTH).mkdir(parents=True)
    write_whole(path / TRUTH / 'sensor.yaml', yaml.safe_dump({'T_BS': IDENTITY}))
    images, poses = zip(*(rows[stamp] for stamp in sorted(rows)))
    write_whole(path / CAMERA / 'data.csv', IMAGES_HEAD + ''.join(images))
    write_whole(path / TRUTH / 'data.csv', POSES_HEAD + ''.join(poses))
    return len(rows)


def sensor_yaml(camera: Camera) -> str:
    """The sensor.yaml of a camera."""
    (fx, _, cx), (_, fy, cy) = np.asarray(camera.matrix, np.float64)[:2]
    if camera.model == EQUIDISTANT:
        lens, d = 'equidistant', camera.distortion
    elif camera.model in (PINHOLE, PLUMB_BOB) and not any(camera.distortion[4:]):
        lens, d = 'radial-tangential', (*camera.distortion[:4], *(0.0,) * 4)[:4]
    else:
        raise CameraError(
            f'EuRoC has no lens {camera.model} with {len(camera.distortion)} coefficients '
            f'{camera.distortion}, expected k1, k2, p1, p2 or a fisheye: --undistort writes the '
            'images of a pinhole'
        )
    values = {
        'sensor_type': 'camera',
        'T_BS': IDENTITY,
        'resolution': [int(side) for side in camera.size_wh],
        'camera_model': 'pinhole',
        'intrinsics': [float(value) for value in (fx, fy, cx, cy)],
        'distortion_model': lens,
        'distortion_coefficients': [float(value) for value in d],
    }
    return yaml.safe_dump(values, sort_keys=False)


def same_camera(one: Camera, other: Camera) -> bool:
    """Return True if two images have the same intrinsics."""
    return (
        one.size_wh == other.size_wh
        and one.model == other.model
        and one.distortion == other.distortion
        and np.array_equal(one.matrix, other.matrix)
    )
