# SPDX-License-Identifier: Apache-2.0
"""Writes frames as a kapture: sensors/ with lists of sensors, records and trajectories.

Format: https://github.com/naver/kapture/blob/main/kapture_format.adoc. Depth is a file of float32
metres beside the image, of a sensor with the same model as the camera. Time stamps are whole
nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dsac_ros.compute.files import write_whole
from dsac_ros.sources.colmap_cameras import colmap_from_camera
from dsac_ros.sources.colmap_writer import wxyz_row
from dsac_ros.sources.frame_files_writer import exact, save_image
from dsac_ros.types import PosedFrame

HEAD = '# kapture format: 1.1\n'
FILES = {
    'sensors.txt': '# sensor_device_id, name, sensor_type, [sensor_params]+\n',
    'trajectories.txt': '# timestamp, device_id, qw, qx, qy, qz, tx, ty, tz\n',
    'records_camera.txt': '# timestamp, device_id, image_path\n',
    'records_depth.txt': '# timestamp, device_id, depth_map_path\n',
}


def write_kapture(path: Path, frames: Iterable[PosedFrame], image_suffix: str = '.png') -> int:
    """Write frames into a folder; return their number."""
    sensors: dict[str, str] = {}
    lines: dict[str, list[str]] = {name: [] for name in FILES}
    for count, posed in enumerate(frames):
        frame, stamp = posed.frame, posed.frame.stamp_ns
        model, parameters = colmap_from_camera(frame.camera)
        size = ' '.join(map(str, frame.camera.size_wh))
        lens = ', '.join([model, *size.split(), *exact(*parameters).split()])
        camera = sensors.setdefault(lens, f'camera{len(sensors)}')
        stem = f'{camera}/frame-{count:06d}'
        save_image(path / 'sensors/records_data' / f'{stem}{image_suffix}', frame.image)
        lines['records_camera.txt'].append(f'{stamp}, {camera}, {stem}{image_suffix}\n')
        pose = ', '.join(exact(*wxyz_row(np.linalg.inv(posed.world_from_camera))).split())
        lines['trajectories.txt'].append(f'{stamp}, {camera}, {pose}\n')
        if frame.depth is not None:
            file = path / 'sensors/records_data' / f'{stem}.depth'
            write_whole(file, frame.depth.astype('<f4').tobytes())
            depth = camera.replace('camera', 'depth')
            lines['records_depth.txt'].append(f'{stamp}, {depth}, {stem}.depth\n')
    has_depth = bool(lines['records_depth.txt'])
    for lens, camera in sensors.items():
        lines['sensors.txt'].append(f'{camera}, , camera, {lens}\n')
        if has_depth:
            depth = camera.replace('camera', 'depth')
            lines['sensors.txt'].append(f'{depth}, , depth, {lens}\n')
    for name, found in lines.items():
        if found:
            write_whole(path / 'sensors' / name, HEAD + FILES[name] + ''.join(found))
    return len(lines['records_camera.txt'])
