# SPDX-License-Identifier: Apache-2.0
"""Images, depth and masks of frames as files, and the folder that is whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from dsac_ros.compute.files import write_whole
from dsac_ros.sources.image_files import write_image


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` that takes its place when the block has ended.

    Where something ends the block, nothing stays. An empty folder at `path` is replaced.
    """
    path = path.absolute()
    partial = path.with_name(f'.{path.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask (H, W) bool as png: white where the image shows the scene."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode('.png', mask.astype(np.uint8) * 255)
    assert done
    write_whole(path, data.tobytes())


def save_image(path: Path, image: np.ndarray) -> None:
    """Write an image, and the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, image)


def exact(*values: float) -> str:
    """Numbers as the shortest text that reads back as the same doubles, with blanks."""
    return ' '.join(repr(float(value)) for value in values)
