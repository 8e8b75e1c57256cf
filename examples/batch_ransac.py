# SPDX-License-Identifier: Apache-2.0
"""Estimate the poses of many images at once from your own 2D-3D correspondences.

    python examples/batch_ransac.py correspondences.npz

The file holds points_world (B, N, 3) [m], pixels (B, N, 2) and matrix (3, 3), the intrinsics of
pixels without distortion. Any matcher or network may have made them; most may be wrong. Images
with fewer than N correspondences are filled up with NaN.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from dsac_ros.config import RansacConfig
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.types import SceneCoordinates


def main() -> None:
    """Print the camera position, its standard deviation and the inlier ratio of each image."""
    data = {
        name: torch.from_numpy(values).float() for name, values in np.load(sys.argv[1]).items()
    }
    points_world, pixels = data['points_world'], data['pixels']
    batch, count = points_world.shape[:2]
    scene = SceneCoordinates(
        points_world,
        pixels,
        sigma_px=torch.ones(batch, count),
        valid=points_world.isfinite().all(-1),
        matrices=data['matrix'].expand(batch, 3, 3),
        grid_hw=(1, count),
    )

    found = estimate_pose(scene, RansacConfig(hypotheses=256, inlier_px=4.0))

    for image in range(batch):
        if not found.found[image]:
            print(f'image {image}: no pose')
            continue
        position = found.world_from_camera[image, :3, 3].numpy().round(3)
        sigma = found.covariance[image].diagonal()[:3].sqrt().numpy().round(3)
        print(
            f'image {image}: position {position} +- {sigma} m, '
            f'{found.inlier_ratio[image].item():.0%} inliers'
        )


if __name__ == '__main__':
    main()
