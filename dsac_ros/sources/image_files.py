# SPDX-License-Identifier: Apache-2.0
"""Images, depth and lines of text as files; no reader meets half of what is written."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from dsac_ros.compute.files import read_whole, write_whole
from dsac_ros.errors import ImageError, SourceError
from dsac_ros.geometry.camera import is_resized
from dsac_ros.sources.encoded_images import MAX_FILE_PIXELS, decode_encoded
from dsac_ros.sources.file_names import natural_order

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.pgm', '.ppm')
Assume = Callable[[str], None]  # is told an assumption, as Source.assume
SENSOR_BITS = (8, 10, 12, 14, 16)
RANGE = (0.5, 99.5)  # percentiles between which an image uses its range
RANGE_SAMPLES = 1_000_000  # pixels from which they are taken, at most about twice as many
LEAST_RANGE = 128.0  # levels of 8 bits that an image uses at least
LEAST_SPAN = 0.25  # levels; what is flatter is noise and not stretched further
NO_DEPTH = 65535  # Kinect's mark beside 0
# The pixels as the sensor gave them: a rotation in the EXIF data would not fit the calibration.
AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def is_image_file(path: Path) -> bool:
    """Return True if the name is that of a finished image file."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith('.')


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder in natural order: 9.png comes before 10.png."""
    return natural_order(
        path for path in folder.iterdir() if is_image_file(path) and path.is_file()
    )


def decode_image_bytes(
    data: bytes | np.ndarray, assume: Assume | None = None, max_pixels: int = MAX_FILE_PIXELS
) -> np.ndarray:
    """Gray (H, W) or RGB (H, W, 3) uint8 of an encoded image (jpeg, png ...)."""
    image = to_eight_bits(decode_encoded(data, AS_STORED, max_pixels), assume)
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def to_eight_bits(image: np.ndarray, assume: Assume | None = None) -> np.ndarray:
    """uint8 of uint8 or uint16.

    The bits of a sensor are told by the largest value. An image that then uses less than half of
    the range between its percentiles RANGE, such as a thermal one, is stretched to half of it: an
    image looks the same alone and in a stream, and one of full range as in 8 bits.

    Args:
        image: (H, W) or (H, W, C).
        assume: is told that the range was taken from the image.

    Raises:
        ImageError: the image is of another type.
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype != np.uint16:
        raise ImageError(f'image has the type {image.dtype}, expected 8 or 16 bits a channel')
    if assume is not None:
        assume('images of 16 bits become 8 bits by the range of values that each of them uses')
    largest = int(image.max()) if image.size else 0
    bits = next(bits for bits in SENSOR_BITS if bits >= largest.bit_length())
    levels = np.arange(1 << bits) >> (bits - 8)
    sample = image.reshape(-1)[:: image.size // RANGE_SAMPLES | 1]
    low, high = np.percentile(sample, RANGE) if image.size else (0.0, 0.0)
    low, high = low / (1 << bits - 8), high / (1 << bits - 8)
    if 0.0 < high - low < LEAST_RANGE:
        gain = LEAST_RANGE / max(high - low, LEAST_SPAN)
        centre = np.clip((low + high) / 2, LEAST_RANGE / 2, 255 - LEAST_RANGE / 2)
        exact = np.arange(1 << bits) / (1 << bits - 8)
        levels = np.rint(np.clip((exact - (low + high) / 2) * gain + centre, 0, 255))
    return levels.astype(np.uint8)[image]


def read_image(path: Path, assume: Assume | None = None) -> np.ndarray:
    """Gray (H, W) or RGB (H, W, 3) uint8 of an image file; `assume` as in `to_eight_bits`."""
    try:
        return decode_image_bytes(read_whole(path), assume)
    except (OSError, ImageError) as error:
        raise ImageError(f'{path} cannot be read as an image: {error}') from None


def read_depth(
    path: Path,
    size_wh: tuple[int, int],
    units_per_metre: float = 1000.0,
) -> np.ndarray:
    """Depth (H, W) float32 [m] in the pixels of an image of size_wh, 0 where there is none."""
    try:
        raw = decode_encoded(read_whole(path), cv2.IMREAD_UNCHANGED)
    except (OSError, ImageError) as error:
        raise ImageError(f'{path} cannot be read as depth: {error}') from None
    if raw.ndim != 2 or raw.dtype != np.uint16:
        raise ImageError(f'{path} is not a depth image, expected a png of 16 bits')
    depth = np.where(raw == NO_DEPTH, 0, raw).astype(np.float32) / np.float32(units_per_metre)
    return fit_depth(depth, size_wh, str(path))


def read_depth_array(path: Path, size_wh: tuple[int, int], unit_m: float) -> np.ndarray:
    """Depth (H, W) float32 [m] of an .npy file in the pixels of an image, 0 for none."""
    try:
        raw = np.load(
            path, mmap_mode='r', allow_pickle=False
        )  # a size that lies allocates nothing
    except (OSError, ValueError, EOFError, SyntaxError, OverflowError, MemoryError) as error:
        raise ImageError(
            f'{path} cannot be read as depth: {" ".join(str(error).split())}'
        ) from None
    if not isinstance(raw, np.ndarray) or raw.squeeze().ndim != 2 or raw.dtype.kind not in 'uif':
        raise ImageError(f'{path} is not a depth image, expected an array of height and width')
    if raw.size > MAX_FILE_PIXELS:
        raise ImageError(f'{path} has {raw.size} pixels, expected at most {MAX_FILE_PIXELS}')
    depth = np.nan_to_num(raw.squeeze().astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return fit_depth(np.maximum(depth, 0.0) * np.float32(unit_m), size_wh, str(path))


def check_is_file(path: Path) -> None:
    """Raise ImageError for what is no plain file, such as a device that never ends."""
    if not os.path.isfile(path):
        raise ImageError('there is no such file')


def read_mask(path: Path, size_wh: tuple[int, int]) -> np.ndarray:
    """Mask (H, W) bool in the pixels of an image: True where the file is not black."""
    try:
        check_is_file(path)
        raw = decode_encoded(
            read_whole(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except (OSError, ImageError) as error:
        raise ImageError(f'{path} cannot be read as a mask: {error}') from None
    height, width = raw.shape[:2]
    if not is_resized((width, height), size_wh):
        raise SourceError(
            f'{path}: the mask is {width}x{height} but its image is {size_wh[0]}x{size_wh[1]}, '
            'expected one of the same shape'
        )
    return cv2.resize(raw, size_wh, interpolation=cv2.INTER_NEAREST) > 0


def fit_depth(depth: np.ndarray, size_wh: tuple[int, int], name: str) -> np.ndarray:
    """Registered depth of another resolution, brought to that of its image without mixing."""
    height, width = depth.shape
    if (width, height) == tuple(size_wh):
        return depth
    if abs(width * size_wh[1] / (height * size_wh[0]) - 1.0) > 0.02:
        raise SourceError(
            f'{name}: depth is {width}x{height} but its image is {size_wh[0]}x'
            f'{size_wh[1]}: register the depth to the image, or leave it out '
            'with --depth off'
        )
    return cv2.resize(depth, size_wh, interpolation=cv2.INTER_NEAREST)


def write_image(path: Path, image: np.ndarray, quality: int = 95) -> None:
    """Write gray or RGB uint8 as the suffix of `path` says."""
    bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix in ('.jpg', '.jpeg') else []
    done, data = cv2.imencode(path.suffix, bgr, options)
    if not done:
        raise ImageError(f'an image of shape {image.shape} cannot be written as {path.suffix}')
    write_whole(path, data.tobytes())


def write_depth(path: Path, depth: np.ndarray) -> None:
    """Write depth (H, W) [m] as png, uint16 millimetres, 0 where there is none."""
    write_whole(path, cv2.imencode('.png', millimetres(depth))[1].tobytes())


def millimetres(depth: np.ndarray) -> np.ndarray:
    """uint16 of depth (H, W) [m], 0 where there is none or where it is too far to be said."""
    scaled = np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0) * 1000.0
    return np.rint(np.where(scaled > NO_DEPTH - 1, 0.0, np.maximum(scaled, 0.0))).astype(np.uint16)


def append_line(path: Path, line: str) -> None:
    """Append a line to a text file, on the disk when this returns, or OSError and none of it.

    A line that was cut off before it does not swallow it.
    """
    with path.open('a+b', buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b'\n' else f'\n{line}'
        data = f'{line}\n'.encode()
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(size)
            raise
