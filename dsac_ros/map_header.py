# SPDX-License-Identifier: Apache-2.0
"""Validation of a map's header: it comes from a file, which anything may have written.

Whoever reads a header after this needs no check of its own: required fields are there, and fields
that are there have the type that `docs/map_format.md` states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dsac_ros.errors import MapError

#: Largest values that a map of this format can have; a network of more would not fit into memory.
MAX_COUNT, MAX_SIDE, MAX_CHANNELS, MAX_BLOCKS = 2**32 - 1, 1 << 14, 1 << 13, 64


class Field(NamedTuple):
    """Description of a value, and the test that it has to pass."""

    expected: str
    is_valid: Callable[[Any], bool]


def _number(value: Any, low: float = -math.inf) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) < 1e300
        and value >= low
    )


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(map(_number, value))


def _text(value: Any) -> bool:
    return isinstance(value, str) and '\0' not in value


def _whole_between(low: int, high: int) -> Field:
    return Field(f'a whole number from {low} to {high}', lambda value: _whole(value, low, high))


TEXT = Field('a text', _text)
NUMBER = Field('a finite number', _number)
POINT = Field('three finite numbers', lambda value: _numbers(value, 3))
POSITIVE = Field('a positive number', lambda value: _number(value) and value > 0)
COUNT = _whole_between(0, MAX_COUNT)
OBJECT = Field('an object', lambda value: isinstance(value, dict))

REQUIRED = {
    'id': TEXT,
    'origin': POINT,
    'scale': POSITIVE,
    'short_side': _whole_between(8, MAX_SIDE),
}
#: Of a map of scene coordinates, which names no other system.
SCENE_COORDINATES = {'encoder_id': TEXT, 'network_focal_px': POSITIVE}
HEAD = {
    'width': _whole_between(8, MAX_CHANNELS),
    'blocks': _whole_between(0, MAX_BLOCKS),
    'experts': _whole_between(1, MAX_CHANNELS),
}
#: null stands for a value that is not known.
OPTIONAL = {
    'name': TEXT,
    'map_frame': TEXT,
    'created': TEXT,
    'recipe': TEXT,
    'frames': COUNT,
    'bounds': OBJECT,
    'image_size_wh': Field(
        'two whole numbers',
        lambda value: (
            isinstance(value, list)
            and len(value) == 2
            and all(_whole(side, 0, MAX_COUNT) for side in value)
        ),
    ),
    'focal_px': NUMBER,
    'focal_range_px': Field('two finite numbers', lambda value: _numbers(value, 2)),
    'held_out': OBJECT,
    'acceptance': OBJECT,
    'pose_agreement': OBJECT,
    'training': OBJECT,
    'provenance': OBJECT,
    'twin_views': Field(
        'a list of whole numbers',
        lambda value: isinstance(value, list) and all(_whole(one, 0, MAX_COUNT) for one in value),
    ),
    'keyframes': Field(
        'rows of nine numbers',
        lambda value: isinstance(value, list) and all(_numbers(row, 9) for row in value),
    ),
}
BOUNDS = {'min': POINT, 'max': POINT}


def check_header(path: Path, header: Mapping[str, Any]) -> None:
    """Check every field that this version reads, but for `format_version`.

    Raises:
        MapError: a field is missing, unknown to this version where that matters, or no such value.
    """
    _require(path, header, REQUIRED)
    if 'system' in header:
        _require(path, header, {'system': TEXT, 'settings': OBJECT})
    else:
        _require(path, header, SCENE_COORDINATES)
        _check_network(path, header)
    _check_optional(path, header, OPTIONAL)
    _check_optional(path, header.get('bounds') or {}, BOUNDS, 'bounds.')
    for name, value in (header.get('acceptance') or {}).items():
        if not _number(value) and not isinstance(value, bool):
            raise _invalid(path, f'acceptance.{name}', value, NUMBER)


def _check_network(path: Path, header: Mapping[str, Any]) -> None:
    if header.get('network') is None:
        _require(path, header, {'head': OBJECT, 'descriptor': _whole_between(1, MAX_CHANNELS)})
        head = header['head']
        _require(path, head, HEAD, 'head.')
        if unknown := sorted(set(head) - set(HEAD)):
            raise MapError(
                f'{path} has a head with the field {unknown[0]!r}, which this version does not '
                'know; update dsac_ros'
            )
    elif not _text(header['network']):
        raise _invalid(path, 'network', header['network'], TEXT)


def _require(
    path: Path, values: Mapping[str, Any], known: Mapping[str, Field], prefix: str = ''
) -> None:
    for name, field in known.items():
        if name not in values:
            raise MapError(
                f'{path} has no field {prefix}{name} in its header, expected {field.expected}; '
                'copy or learn the map again'
            )
        if not field.is_valid(values[name]):
            raise _invalid(path, prefix + name, values[name], field)


def _check_optional(
    path: Path, values: Mapping[str, Any], known: Mapping[str, Field], prefix: str = ''
) -> None:
    for name, field in known.items():
        value = values.get(name)
        if value is not None and not field.is_valid(value):
            raise _invalid(path, prefix + name, value, field)


def _invalid(path: Path, name: str, value: Any, field: Field) -> MapError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f'{shown[:57]}...'
    return MapError(
        f'{path} has {name} {shown} in its header, expected {field.expected}; '
        'copy or learn the map again'
    )
