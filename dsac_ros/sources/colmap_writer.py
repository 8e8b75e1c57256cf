# SPDX-License-Identifier: Apache-2.0
"""Writes frames as a COLMAP project: images/, masks/ and a model as text in sparse/0/.

Format: https://colmap.github.io/format.html; the mask of images/NAME is masks/NAME.png, as
COLMAP's ImageReader.mask_path has it. There are no points: points3D.txt is empty, for tools that
expect the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dsac_ros.compute.files import write_whole
from dsac_ros.sources.colmap_cameras import colmap_from_camera
from dsac_ros.sources.frame_files_writer import exact, save_image, write_mask
from dsac_ros.sources.poses import row_from_pose
from dsac_ros.types import PosedFrame

IMAGES, MASKS, MODEL = 'images', 'masks', Path('sparse') / '0'


def write_colmap(path: Path, frames: Iterable[PosedFrame], image_suffix: str = '.png') -> int:
    """Write frames into a folder; return their number."""
    cameras: dict[str, int] = {}
    images: list[str] = []
    for number, posed in enumerate(frames, 1):
        frame, name = posed.frame, f'frame-{number - 1:06d}{image_suffix}'
        save_image(path / IMAGES / name, frame.image)
        if frame.mask is not None:
            write_mask(path / MASKS / f'{name}.png', frame.mask)
        model, parameters = colmap_from_camera(frame.camera)
        width, height = frame.camera.size_wh
        camera = f'{model} {width} {height} {exact(*parameters)}'
        camera_id = cameras.setdefault(camera, len(cameras) + 1)
        pose = wxyz_row(np.linalg.inv(posed.world_from_camera))
        images.append(f'{number} {exact(*pose)} {camera_id} {name}\n')
    model_folder = path / MODEL
    model_folder.mkdir(parents=True)
    write_whole(
        model_folder / 'cameras.txt',
        '# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n'
        f'# Number of cameras: {len(cameras)}\n'
        + ''.join(f'{number} {camera}\n' for camera, number in cameras.items()),
    )
    write_whole(
        model_folder / 'images.txt',
        '# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME, and a line of points, empty\n'
        f'# Number of images: {len(images)}\n' + '\n'.join(images) + '\n',
    )
    write_whole(model_folder / 'points3D.txt', '# Number of points: 0\n')
    return len(images)


def wxyz_row(pose: np.ndarray) -> tuple[float, ...]:
    """The numbers qw qx qy qz tx ty tz of a pose (4, 4)."""
    x, y, z, qx, qy, qz, qw = row_from_pose(pose)
    return qw, qx, qy, qz, x, y, z
