# SPDX-License-Identifier: Apache-2.0
"""Names of files: their natural order, and which files belong to the same frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.sources.stamps import epoch_nanoseconds

Key = Callable[[Path], Hashable]
# A number in a name: with decimals where no letter or dot stands before it, else digits alone.
NUMBER = re.compile(r'((?<![0-9A-Za-z.])[0-9]+\.[0-9]+(?!\.?[0-9])|[0-9]+)')
WORD = re.compile(r'[^\W\d_]+')
# Words that say which part of a frame a file is, not which frame it is of.
PARTS = frozenset(
    (
        'color',
        'colour',
        'rgb',
        'bgr',
        'gray',
        'grey',
        'mono',
        'image',
        'img',
        'frame',
        'pose',
        'extrinsic',
        'extrinsics',
        'depth',
        'disparity',
        'aligned',
        'registered',
        'calib',
        'calibration',
        'intrinsic',
        'intrinsics',
        'camera',
        'info',
        'cam2world',
        'c2w',
    )
)
SAME_STAMP_NS = 1_000_000  # one instant in names that keep another number of digits
NAMED = 3  # files that a message names


@dataclass(frozen=True)
class Pairs:
    """The file of each image, None where it has none, and the files that are of no image.

    by_number is an image and its file where nothing but the number in their names joins them.
    """

    files: list[Path | None]
    left_over: list[Path]
    by_number: tuple[Path, Path] | None = None


def natural_key(name: str) -> tuple[object, ...]:
    """Sort key of a name or relative path: frame-9 before frame-10, stamps by their value."""
    return (
        *(
            tuple(
                Decimal(part) if index % 2 else part.casefold()
                for index, part in enumerate(NUMBER.split(component))
            )
            for component in name.split('/')
        ),
        (name,),
    )


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """The paths of a folder in natural order."""
    return sorted(paths, key=lambda path: natural_key(path.name))


def some_names(paths: Sequence[Path]) -> str:
    """The first few names of a list, for a message."""
    rest = len(paths) - NAMED
    return ', '.join(path.name for path in paths[:NAMED]) + (
        f' and {rest} more' if rest > 0 else ''
    )


def name_stamp(path: Path) -> int | None:
    """The only number in a name as nanoseconds, where it is a time of this century."""
    numbers = _numbers(path)
    return epoch_nanoseconds(numbers[0]) if len(numbers) == 1 else None


def pair_files(images: Sequence[Path], files: Sequence[Path]) -> Pairs:
    """Pair files with images by their names, else by the numbers in them.

    Raises:
        SourceError: nothing joins the names, or it does so for more than one file a frame, or
            all numbers of one side are higher by the same.
    """
    if not files:
        return Pairs([None] * len(images), [])
    named = max((_joined(images, files, key, key) for key in (_stem, _words_and_numbers)), key=len)
    found = named or _joined_by_number(images, files) or _joined_by_stamp(images, files)
    if not found:
        raise SourceError(_why_unpaired(images, files))
    _refuse_shift(images, files)
    used = set(found.values())
    return Pairs(
        [found.get(image) for image in images],
        [file for file in files if file not in used],
        None if named else next(iter(found.items())),
    )


def _joined(
    images: Sequence[Path],
    files: Sequence[Path],
    image_key: Key,
    file_key: Key,
) -> dict[Path, Path]:
    """Images and files of equal keys; none at all where a key does not tell files apart."""
    file_of = {file_key(file): file for file in files}
    image_of = {image_key(image): image for image in images}
    if len(file_of) < len(files) or len(image_of) < len(images):
        return {}
    return {image: file_of[key] for key, image in image_of.items() if key in file_of}


def _stem(path: Path) -> Hashable:
    return path.stem


def _words_and_numbers(path: Path) -> Hashable:
    """The name without padding, punctuation and the words for parts of a frame."""
    words = (word.casefold() for word in WORD.findall(path.stem))
    return (tuple(word for word in words if word not in PARTS), _values(path))


def _joined_by_number(images: Sequence[Path], files: Sequence[Path]) -> dict[Path, Path]:
    """Images and files with the same numbers, but for those that are the same in all names.

    Such a number after the same word must be the same on both sides: cam0 is not cam1.
    """
    fixed = [_fixed_numbers(paths) for paths in (images, files)]
    words = [
        {_labels(paths[0])[index]: value for index, value in numbers.items()}
        for paths, numbers in zip((images, files), fixed)
    ]
    if any(word and words[1].get(word, value) != value for word, value in words[0].items()):
        return {}
    image_key, file_key = (
        lambda path, skipped=frozenset(numbers): tuple(
            value for index, value in enumerate(_values(path)) if index not in skipped
        )
        for numbers in fixed
    )
    if not all(map(image_key, images)) or not all(map(file_key, files)):
        return {}
    return _joined(images, files, image_key, file_key)


def _fixed_numbers(paths: Sequence[Path]) -> dict[int, Decimal]:
    """Place and value of the numbers that all names share; of a single name, all but the last."""
    rows = [_numbers(path) for path in paths]
    if len({len(row) for row in rows}) > 1:
        return {}
    if len(rows) == 1:
        return dict(enumerate(rows[0][:-1]))
    return {index: column[0] for index, column in enumerate(zip(*rows)) if len(set(column)) == 1}


def _joined_by_stamp(images: Sequence[Path], files: Sequence[Path]) -> dict[Path, Path]:
    """Images and files whose names are stamps of the same instant, less than 1 ms apart."""
    image_stamps, file_stamps = (
        [stamp for path in paths if (stamp := name_stamp(path)) is not None]
        for paths in (images, files)
    )
    if len(image_stamps) < len(images) or len(file_stamps) < len(files):
        return {}
    distance = np.array(file_stamps, dtype=np.int64)
    found: dict[Path, Path] = {}
    for stamp, image in zip(image_stamps, images):
        nearest = int(np.abs(distance - stamp).argmin())
        if abs(file_stamps[nearest] - stamp) < SAME_STAMP_NS:
            found[image] = files[nearest]
    return found if len(set(found.values())) == len(found) else {}


def _refuse_shift(images: Sequence[Path], files: Sequence[Path]) -> None:
    """Raise SourceError where one side counts from 0 and the other from 1, or the like."""
    sides = [
        sorted(numbers[-1] for path in paths if (numbers := _numbers(path)))
        for paths in (images, files)
    ]
    if len(sides[0]) == len(sides[1]) == len(images) == len(files):
        shifts = {file - image for image, file in zip(*sides)}
        if len(shifts) == 1 and shifts != {0}:
            raise SourceError(
                f'{files[0].parent} counts from {sides[1][0]} to {sides[1][-1]} but '
                f'{images[0].parent} from {sides[0][0]} to {sides[0][-1]}: expected '
                'the same numbers; rename one of them'
            )


def _why_unpaired(images: Sequence[Path], files: Sequence[Path]) -> str:
    """The error for names that cannot be paired."""
    for paths in (images, files):
        names: dict[Hashable, Path] = {}
        for path in paths:
            twin = names.setdefault(_words_and_numbers(path), path)
            if twin is not path:
                return (
                    f'{path.parent} holds {twin.name} and {path.name}, which are of the same '
                    'frame by their names: expected one file for each frame; remove or rename '
                    'one'
                )
    return (
        f'{files[0].parent} holds {some_names(files)} for the images {some_names(images)}, '
        'and nothing joins their names: expected the same names, or the same number in both; '
        'rename the files'
    )


def _numbers(path: Path) -> list[Decimal]:
    """The numbers in a name."""
    return [Decimal(part) for part in NUMBER.split(path.stem)[1::2]]


def _values(path: Path) -> tuple[Hashable, ...]:
    """The numbers in a name; stamps as nanoseconds, whatever their unit."""
    return tuple(epoch_nanoseconds(number) or number for number in _numbers(path))


def _labels(path: Path) -> list[str]:
    """The word before each number of a name, '' where there is none."""
    texts = NUMBER.split(path.stem)[0::2]
    return [(WORD.findall(text) or [''])[-1].casefold() for text in texts]
