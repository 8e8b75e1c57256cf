# SPDX-License-Identifier: Apache-2.0
"""Writes frames as a transforms.json with images/, depth/ and masks/, as nerfstudio reads it.

Format: https://docs.nerf.studio/quickstart/data_conventions.html. Each frame has its own
intrinsics, and a key of ours, `stamp_ns`, which other readers pass over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.compute.files import write_whole
from dsac_ros.errors import CameraError
from dsac_ros.geometry.pose_convention import axes_from_optical
from dsac_ros.sources.calibration_files import CORNER
from dsac_ros.sources.frame_files_writer import save_image, write_mask
from dsac_ros.sources.image_files import write_depth
from dsac_ros.types import EQUIDISTANT, PINHOLE, PLUMB_BOB, RATIONAL_POLYNOMIAL, Camera, PosedFrame

LENSES = {
    PINHOLE: ('PINHOLE', ()),
    PLUMB_BOB: ('OPENCV', ('k1', 'k2', 'p1', 'p2', 'k3')),
    RATIONAL_POLYNOMIAL: ('FULL_OPENCV', ('k1', 'k2', 'p1', 'p2', 'k3', 'k4', 'k5', 'k6')),
    EQUIDISTANT: ('OPENCV_FISHEYE', ('k1', 'k2', 'k3', 'k4')),
}


def write_transforms(
    path: Path,
    frames: Iterable[PosedFrame],
    image_suffix: str = '.png',
    with_stamps: bool = True,
) -> int:
    """Write frames into a folder; return their number."""
    found = []
    for index, posed in enumerate(frames):
        frame, stem = posed.frame, f'frame-{index:06d}'
        name = f'images/{stem}{image_suffix}'
        save_image(path / name, frame.image)
        pose = np.array(posed.world_from_camera, np.float64)
        pose[:3, :3] = pose[:3, :3] @ axes_from_optical('opengl').T
        values: dict[str, Any] = {'file_path': name, **intrinsics(frame.camera)}
        if with_stamps:
            values['stamp_ns'] = int(frame.stamp_ns)
        if frame.depth is not None:
            values['depth_file_path'] = f'depth/{stem}.png'
            (path / 'depth').mkdir(exist_ok=True)
            write_depth(path / 'depth' / f'{stem}.png', frame.depth)
        if frame.mask is not None:
            values['mask_path'] = f'masks/{stem}.png'
            write_mask(path / 'masks' / f'{stem}.png', frame.mask)
        found.append({**values, 'transform_matrix': pose.tolist()})
    rows = ',\n'.join(f'  {json.dumps(one)}' for one in found)
    write_whole(
        path / 'transforms.json',
        f'{{\n "depth_unit_scale_factor": 0.001,\n "frames": [\n{rows}\n ]\n}}\n',
    )
    return len(found)


def intrinsics(camera: Camera) -> dict[str, Any]:
    """The keys of a camera, whose pixels are counted from the corner of the first one."""
    (fx, _, cx), (_, fy, cy) = np.asarray(camera.matrix, np.float64)[:2]
    model, names = LENSES.get(camera.model, ('', ()))
    if not model or any(camera.distortion[len(names) :]):
        raise CameraError(
            f'a transforms.json has no lens {camera.model} with {len(camera.distortion)} '
            'coefficients: --undistort writes the images of a pinhole'
        )
    return {
        'w': int(camera.size_wh[0]),
        'h': int(camera.size_wh[1]),
        'fl_x': float(fx),
        'fl_y': float(fy),
        'cx': float(cx) + CORNER,
        'cy': float(cy) + CORNER,
        'camera_model': model,
        **{name: float(value) for name, value in zip(names, camera.distortion)},
    }
