# SPDX-License-Identifier: Apache-2.0
"""A tiny recording in the form of ARKitScenes."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from dsac_ros.geometry import se3
from dsac_ros.geometry.rotation import axis_angle_from_matrix

VIDEO, START_S = '47333462', 6845.7
TWISTS = [(0.3 * i, 1, 2, 0.1, -0.2 * i, 0.3) for i in range(4)]
POSES = [se3.exp(torch.tensor(t, dtype=torch.float64)).numpy() for t in TWISTS]


def seconds(index):
    return f'{START_S + 0.1 * index:.3f}'


def write_arkit_scenes(path, images='lowres_wide', size_wh=(32, 24)):
    """Images, depth and .pincam files a millisecond apart, as some of the data set are."""
    lines = []
    for index, pose in enumerate(POSES):
        for folder, image, shift in (
            (images, np.full((*size_wh[::-1], 3), 50 + index, np.uint8), 0),
            ('lowres_depth', np.full((24, 32), 1500 + index, np.uint16), 1),
        ):
            (path / folder).mkdir(parents=True, exist_ok=True)
            stamp = f'{START_S + 0.1 * index + shift / 1000:.3f}'
            cv2.imwrite(str(path / folder / f'{VIDEO}_{stamp}.png'), image)
        folder = path / f'{images}_intrinsics'
        folder.mkdir(exist_ok=True)
        text = f'{size_wh[0]} {size_wh[1]} {50 + index} {51 + index} 16.25 12.5\n'
        (folder / f'{VIDEO}_{seconds(index)}.pincam').write_text(text)
        inverse = np.linalg.inv(pose)
        axis_angle = axis_angle_from_matrix(torch.from_numpy(inverse[:3, :3].copy())).numpy()
        numbers = ' '.join(f'{x:.15g}' for x in (*axis_angle, *inverse[:3, 3]))
        lines.append(f'{seconds(index)} {numbers}\n')
    (path / 'lowres_wide.traj').write_text(''.join(lines))
    return path
