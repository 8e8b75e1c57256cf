# SPDX-License-Identifier: Apache-2.0
"""Real texture: photographs in the public domain that scikit-image's package carries."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from dsac_ros.errors import MissingExtraError, SourceError

# Each is CC0 or in the public domain by its docstring in skimage.data; others there are not used.
FREE = (
    'astronaut.png',
    'camera.png',
    'cell.png',
    'chelsea.png',
    'clock_motion.png',
    'coffee.png',
    'horse.png',
    'hubble_deep_field.jpg',
    'retina.jpg',
    'rocket.jpg',
    'text.png',
)
GRASS, GRAVEL = 'grass.png', 'gravel.png'
SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
LONGEST_SIDE = 700


def package_photographs(names: Sequence[str] = FREE) -> list[np.ndarray]:
    """The photographs `names` of the installed scikit-image, (H, W, 3) uint8 RGB; no network."""
    spec = find_spec('skimage')
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            'scikit-image is not installed, and the rendered world takes its '
            'photographs from it: pip install scikit-image'
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / 'data'
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise MissingExtraError(
            f'the installed scikit-image lacks its photograph {missing[0]}, '
            'which the rendered world needs: pip install --force-reinstall '
            'scikit-image'
        )
    return [read_photograph(folder / name) for name in names]


def list_photographs(paths: Sequence[Path | str]) -> list[Path]:
    """The image files among `paths`; a folder stands for every image below it, sorted."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(p for p in path.rglob('*') if p.suffix.lower() in SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            raise SourceError(f'no photograph or folder of photographs at {path}')
    if paths and not found:
        raise SourceError(
            f'no photographs in {", ".join(map(str, paths))}: expected {", ".join(SUFFIXES)} files'
        )
    return found


def read_photograph(path: Path) -> np.ndarray:
    """One photograph as (H, W, 3) uint8 RGB, shrunk to `LONGEST_SIDE`."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceError(f'{path} cannot be decoded as an image')
    scale = LONGEST_SIDE / max(image.shape[:2])
    if scale < 1.0:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
