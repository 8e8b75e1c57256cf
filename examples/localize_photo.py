# SPDX-License-Identifier: Apache-2.0
"""Localize one photo in a map.

    python examples/localize_photo.py room.map photo.jpg --focal 525

The map is one that `dsac map` or examples/map_folder.py made. The focal length is that of the
photo at its own size, in pixels.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np

from dsac_ros.localizer import Localizer
from dsac_ros.types import Camera, Frame


def main() -> None:
    """Print where the photo was taken, or why that is not known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('map')
    parser.add_argument('photo')
    parser.add_argument('--focal', type=float, required=True, help='focal length [px]')
    args = parser.parse_args()

    image = cv2.cvtColor(cv2.imread(args.photo), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    # An integer pixel is a pixel's centre, so the middle of the image is at (size - 1) / 2.
    matrix = np.array(
        [[args.focal, 0.0, (width - 1) / 2], [0.0, args.focal, (height - 1) / 2], [0.0, 0.0, 1.0]]
    )

    localizer = Localizer.load(args.map)
    found = localizer.localize(Frame(image, Camera((width, height), matrix)))

    if found.accepted:
        # 4x4: takes points of the camera (x right, y down, z forward) to the map, in metres.
        print(np.array2string(found.world_from_camera, precision=3, suppress_small=True))
        sigma = np.sqrt(np.diag(found.covariance)[:3])
        print('standard deviation of x, y, z [m]:', sigma.round(3))
    else:
        print(f'not accepted: {found.reason}')


if __name__ == '__main__':
    main()
