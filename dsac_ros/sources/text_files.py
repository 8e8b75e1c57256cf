# SPDX-License-Identifier: Apache-2.0
"""Text and YAML files as people and other systems write them: any line ends, with a BOM or not."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import yaml

from dsac_ros.compute.files import read_whole
from dsac_ros.compute.text import quoted as quoted  # for readers
from dsac_ros.errors import SourceError

COMMENTS = ('#', '%', '//')
MAX_VALUES = 100_000  # of a YAML file, aliases expanded
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a BOM as Windows' shell writes it."""
    try:
        data = read_whole(path)
        return data.decode('utf-16' if data.startswith(UTF16) else 'utf-8-sig')
    except (OSError, ValueError) as error:
        raise SourceError(f'{path} cannot be read as text: {error}') from None


def read_yaml(path: Path) -> object:
    """The value of a YAML file."""
    try:
        value = yaml.safe_load(read_text(path))
        check_aliases(value)
        return value
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise SourceError(f'{path} is not YAML: {" ".join(str(error).split())}') from None


def read_json(path: Path) -> object:
    """The value of a JSON file."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise SourceError(f'{path} is not JSON: {" ".join(str(error).split())}') from None


def check_aliases(value: object) -> None:
    """Raise ValueError where the aliases of a YAML value make a small file large or endless."""
    if _expanded(value, {}) > MAX_VALUES:
        raise ValueError(f'its aliases make more than {MAX_VALUES} values')


def _expanded(value: object, known: dict[int, int]) -> int:
    """The number of values in a value, those of an alias counted each time."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        known[id(value)] = MAX_VALUES + 1  # what a value that holds itself comes to
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_expanded(part, known) for part in parts)
    return known[id(value)]


def is_comment(line: str) -> bool:
    """Return True for a line that is commented out."""
    return line.lstrip().startswith(COMMENTS)
