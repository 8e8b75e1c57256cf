# SPDX-License-Identifier: Apache-2.0
"""Images without poses, for queries: one file, or a folder of them."""
from __future__ import annotations

from pathlib import Path

from dsac_ros.errors import SourceError
from dsac_ros.sources.calibration_files import Calibration, find_calibration, read_calibration
from dsac_ros.sources.image_files import list_images
from dsac_ros.sources.source import MADE_UP_STEP_NS, FileSource, FrameFiles

NO_POSE = 'no pose: these are plain images'


def open_images(path: Path, calibration: Calibration | None = None) -> FileSource:
    """The images at `path`, with the calibration given or one that lies beside them."""
    images = [path] if path.is_file() else list_images(path)
    files = [FrameFiles(image.stem, image, index * MADE_UP_STEP_NS,
                        calibration or _beside(image), no_pose=NO_POSE)
             for index, image in enumerate(images)]
    return FileSource(path, 'images', files, has_stamps=False)


def _beside(image: Path) -> Calibration:
    """The calibration of an image, in its folder or in the calibration/ beside it."""
    found = find_calibration(image.parent, image.stem)
    if found is None:
        folder = image.parent.parent / 'calibration'
        texts = sorted(folder.glob('*.txt')) if folder.is_dir() else []
        own = [text for text in texts if text.stem == image.stem] or texts[:1]
        if own and (len(texts) == 1 or own[0].stem == image.stem):
            return read_calibration(own[0])
        raise SourceError(f'{image} has no calibration beside it: give a calibration file '
                          '(focal length, 3x3 matrix, or camera_info YAML) or a focal length')
    return found
