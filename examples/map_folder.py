# SPDX-License-Identifier: Apache-2.0
"""Learn a map from a folder of posed images.

    python examples/map_folder.py my_room -o room.map

The folder holds rgb/, poses/ (one 4x4 world_from_camera a file) and calibration/, the layout of
DSAC* and ACE; a bag, 7-Scenes, TUM RGB-D or COLMAP work as well. Takes about a minute on two CPU
cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dsac_ros.config import MappingConfig
from dsac_ros.mapping.ace import learn_map
from dsac_ros.sources.open_source import open_source


def main() -> None:
    """Learn the map and print its accuracy on frames that it was not learned from."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder')
    parser.add_argument('-o', '--output', type=Path, required=True)
    parser.add_argument('--minutes', type=float, default=1.0, help='longest training time')
    args = parser.parse_args()

    source = open_source(args.folder)
    learned = learn_map(
        source.posed_frames(),
        MappingConfig(minutes=args.minutes),
        device='auto',
        output=args.output,
        total=len(source),
        progress=lambda state: print(f'{state.stage} {state.fraction:.0%}'),
    )

    print(
        f'{args.output}: {args.output.stat().st_size / 1e6:.1f} MB, '
        f'{learned.header["frames"]} frames'
    )
    print('on frames held out of the training:', learned.header['held_out'])


if __name__ == '__main__':
    main()
