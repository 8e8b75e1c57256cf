# SPDX-License-Identifier: Apache-2.0
"""Text and YAML files as people and other systems write them: any line ends, with a BOM or not."""
from __future__ import annotations

import codecs
from pathlib import Path

import yaml

from dsac_ros.errors import SourceError

COMMENTS = ('#', '%', '//')
QUOTED = 60  # characters of a line that a message quotes
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a BOM as Windows' shell writes it."""
    try:
        data = path.read_bytes()
        return data.decode('utf-16' if data.startswith(UTF16) else 'utf-8-sig')
    except (OSError, ValueError) as error:
        raise SourceError(f'{path} cannot be read as text: {error}') from None


def read_yaml(path: Path) -> object:
    """The value of a YAML file."""
    try:
        return yaml.safe_load(read_text(path))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise SourceError(f'{path} is not YAML: {" ".join(str(error).split())}') from None


def is_comment(line: str) -> bool:
    """Return True for a line that is commented out."""
    return line.lstrip().startswith(COMMENTS)


def quoted(line: str) -> str:
    """The beginning of a line, for a message."""
    line = ' '.join(line.split())
    return repr(line if len(line) <= QUOTED else f'{line[:QUOTED]}...')
