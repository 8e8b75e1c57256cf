# SPDX-License-Identifier: Apache-2.0
"""Files beside a list of images: their stamps, and one file for each of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from pathlib import Path

from dsac_ros.errors import SourceError
from dsac_ros.sources.file_names import name_stamp, natural_order, pair_files, some_names
from dsac_ros.sources.frame_files import FileSource
from dsac_ros.sources.image_files import is_image_file
from dsac_ros.sources.source import MADE_UP_STEP_NS
from dsac_ros.sources.stamps import in_nanoseconds, read_stamp, unit_of
from dsac_ros.sources.text_files import is_comment, read_text

STAMPS = 'stamps.txt'
# Images of formats that are not read.
FOREIGN_IMAGES = frozenset(
    (
        '.heic',
        '.heif',
        '.avif',
        '.jp2',
        '.jxl',
        '.exr',
        '.npy',
        '.raw',
        '.dng',
        '.cr2',
        '.cr3',
        '.nef',
        '.arw',
        '.gif',
        '.svg',
    )
)


def files_beside(
    source: FileSource, images: Sequence[Path], folder: Path, suffixes: Collection[str]
) -> list[Path | None]:
    """The file of each image in another folder; what belongs to no image is told."""
    found = list_files(folder, suffixes)
    pairs = pair_files(images, found)
    if pairs.left_over:
        source.unread.add(
            f'{len(pairs.left_over)} of {len(found)} files of {folder}, which are '
            f'of no image: {some_names(pairs.left_over)}'
        )
    if pairs.by_number:
        image, file = pairs.by_number
        source.assume(
            f'files of {folder} are of the images with the same number, as {file.name} '
            f'is of {image.name}'
        )
    if not found and folder.is_dir():
        tell_foreign_files(source, folder, suffixes)
    return pairs.files


def list_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files of a folder that have one of these suffixes, in natural order."""
    if not folder.is_dir():
        return []
    return natural_order(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith('.') and path.is_file()
    )


def tell_foreign_files(source: FileSource, folder: Path, suffixes: Collection[str]) -> None:
    """Tell that a folder holds files, and none that is read."""
    files = natural_order(path for path in folder.iterdir() if not path.name.startswith('.'))
    if files:
        source.unread.add(
            f'{some_names(files)} of {folder}, expected {" or ".join(suffixes)} files'
        )


def told_contents(folder: Path) -> str:
    """The first names in a folder, for an error; '' where there is nothing."""
    names = natural_order(path for path in folder.iterdir() if not path.name.startswith('.'))
    return f' (it holds {some_names(names)})' if names else ''


def tell_foreign_images(source: FileSource, folder: Path) -> None:
    """Tell which images of a folder are of a format that is not read."""
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in FOREIGN_IMAGES
        and not path.name.startswith('.')
        and not is_image_file(path)
    ]
    if files:
        source.unread.add(
            f'{len(files)} files of {folder} ({some_names(natural_order(files))}): '
            'convert them to png or jpeg'
        )


def stamps_beside(source: FileSource, images: Sequence[Path], folder: Path) -> list[int]:
    """The stamps of images [ns]: from stamps.txt, from their names, else made up from their order.

    `source.has_stamps` is set accordingly.
    """
    file = folder / STAMPS
    listed = read_stamps(source, file) if file.is_file() else {}
    stamps = [listed.get(image.stem, listed.get(image.name)) for image in images]
    spare = len(listed) - sum(stamp is not None for stamp in stamps)
    if spare > 0:
        source.unread.add(f'{spare} of {len(listed)} stamps of {file}, which are of no image')
    if listed and None in stamps:
        without = [image for image, stamp in zip(images, stamps) if stamp is None]
        source.assume(
            f'images are {MADE_UP_STEP_NS // 1_000_000} ms apart, since {file} has no '
            f'stamp of {some_names(without)}'
        )
    elif not listed and not file.is_file():
        stamps = [name_stamp(image) for image in images]
        if stamps and None not in stamps:
            source.assume(f'the names of the images in {images[0].parent} are their stamps')
    told = [stamp for stamp in stamps if stamp is not None]
    source.has_stamps = bool(stamps) and len(told) == len(stamps)
    return told if source.has_stamps else [i * MADE_UP_STEP_NS for i in range(len(images))]


def read_stamps(source: FileSource, file: Path) -> dict[str, int]:
    """Stamps by name, from lines of a name and a number; whole numbers are nanoseconds.

    Lines that are none, as the last one may be that was being written, are told.
    """
    values: dict[str, Decimal] = {}
    broken = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        words = line.replace(',', ' ').rsplit(maxsplit=1)
        if not words or is_comment(line):
            continue
        try:
            name, value = words
            values[name] = read_stamp(value)
        except ValueError:
            broken.append(str(number))
    if broken:
        source.unread.add(
            f'{len(broken)} lines of {file} that are no name and stamp: line '
            f'{", ".join(broken[:3])}'
        )
    whole = all(value == value.to_integral_value() for value in values.values())
    unit = unit_of(list(values.values()), relative='ns' if whole else 's')
    if unit != 'ns':
        source.assume(f'the stamps of {file} are in {unit}, as their size says')
    try:
        return {name: in_nanoseconds(value, unit) for name, value in values.items()}
    except ValueError as error:
        raise SourceError(f'{file}: {error}, expected nanoseconds') from None
