# SPDX-License-Identifier: Apache-2.0
"""Images that a list names: which files they are, and which images beside them it leaves out."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from dsac_ros.errors import SourceError
from dsac_ros.sources.file_names import some_names
from dsac_ros.sources.frame_files import FileSource
from dsac_ros.sources.image_files import is_image_file, list_images
from dsac_ros.sources.stamps import in_nanoseconds, read_stamp, unit_of
from dsac_ros.sources.text_files import is_comment, quoted, read_text


def files_named(source: FileSource, folder: Path, names: Sequence[str]) -> list[Path]:
    """The file of each name in a folder, as it is written or as it may be meant.

    A name that is not found as it is written is looked for with other slashes, another case or
    another Unicode form, and without its first folders, such as those of another machine.
    """
    files = [folder / name for name in names]
    missing = [index for index, file in enumerate(files) if not os.path.isfile(file)]
    if not missing:
        return files
    there = {_normal(str(file.relative_to(folder))): file for file in images_below(folder)}
    meant = {
        index: there[end]
        for index in missing
        if (end := next((end for end in _ends(_normal(names[index])) if end in there), None))
    }
    claims = Counter((*meant.values(), *files))
    meant = {index: file for index, file in meant.items() if claims[file] == 1}
    if meant:
        index, file = next(iter(meant.items()))
        source.assume(
            f'{len(meant)} listed images are files of another spelling: '
            f'{quoted(names[index])} is {file}'
        )
    return [meant.get(index, file) for index, file in enumerate(files)]


def _normal(name: str) -> str:
    """A name in one form of Unicode, with one kind of slash and one case."""
    return unicodedata.normalize('NFC', name).replace('\\', '/').casefold()


def _ends(name: str) -> list[str]:
    """A relative path, and what is left of it without its first folders."""
    parts = PurePosixPath(name).parts
    return ['/'.join(parts[index:]) for index in range(len(parts))]


def images_below(folder: Path) -> list[Path]:
    """The images in a folder and its folders, but for hidden ones and those of thumbnails."""
    return [
        file
        for file in folder.rglob('*')
        if is_image_file(file)
        and file.is_file()
        and not any(part.startswith(('.', '@')) for part in file.relative_to(folder).parts)
    ]


def tell_unlisted(source: FileSource, listing: str) -> None:
    """Tell how many images beside those that a list of this name has are on disk."""
    listed = [file.image for file in source.files if os.path.isfile(file.image)]
    used = {os.path.realpath(image) for image in listed}
    for folder in dict.fromkeys(image.parent for image in listed):
        spare = [image for image in list_images(folder) if os.path.realpath(image) not in used]
        if spare:
            source.unread.add(
                f'{len(spare)} images of {folder} that {listing} does not list: '
                f'{some_names(spare)}'
            )


def stamped_files(
    source: FileSource, listing: Path, folder: Path | None = None, unit: str = ''
) -> list[tuple[int, Path]]:
    """The stamps and files that a list such as rgb.txt names, in the order of time.

    Args:
        source: is told the unit, where the size of the stamps says it.
        listing: lines of a stamp and a file, separated by a comma or blanks.
        folder: of the files; None takes that of the list.
        unit: of the stamps; '' tells it by their size.
    """
    times, files = [], []
    for number, line in enumerate(read_text(listing).splitlines(), 1):
        words = line.replace(',', ' ').split(maxsplit=1)
        if not words or is_comment(line):
            continue
        try:
            time, file = words
            times.append(read_stamp(time))
        except ValueError:
            raise SourceError(
                f'{listing}, line {number}: {quoted(line)} lists no image, expected a '
                'stamp and a file'
            ) from None
        files.append((folder or listing.parent) / file.strip().replace('\\', '/'))
    told = unit or unit_of(times)
    if told != (unit or 's'):
        source.assume(f'the stamps of {listing} are in {told}, as their size says')
    try:
        stamps = [in_nanoseconds(time, told) for time in times]
    except ValueError as error:
        raise SourceError(f'{listing}: {error}, expected seconds') from None
    return sorted(zip(stamps, files))
