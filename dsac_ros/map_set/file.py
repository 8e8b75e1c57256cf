# SPDX-License-Identifier: Apache-2.0
"""Map set file: the maps of a building, and the codes that tell them apart.

It is a map container whose header names the system `map_set` and lists the maps by id, path, frame
and bounds, and the maps that look alike; its tensors are the codes of their reference images and
the signatures of their points. The maps stay files of their own, each loadable alone; their paths
are relative to the folder of the set.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.errors import MapError, did_you_mean
from dsac_ros.map_container import DAMAGE, damaged, read_container, write_container
from dsac_ros.map_header import BOUNDS, COUNT, OBJECT, POSITIVE, TEXT, Field
from dsac_ros.map_set.feature_index import Signatures
from dsac_ros.map_set.look_alike import LOOK_ALIKE, LookAlike

SYSTEM = 'map_set'
_CODES, _DIGEST = 'place_codes', 'maps_sha256'
_WORDS, _BITS = 'point_words', 'point_bits'
_SETTINGS: dict[str, Field] = {'encoder_id': TEXT, 'focal_px': POSITIVE, 'vocabulary_id': TEXT}
_ENTRY: dict[str, Field] = {
    'id': TEXT,
    'file': TEXT,
    'map_id': TEXT,
    'frame': TEXT,
    'depth': POSITIVE,
    'frames': COUNT,
    'map_bytes': COUNT,
    'bounds': OBJECT,
    'codes': COUNT,
    'points': COUNT,
}


@dataclass(frozen=True)
class MapEntry:
    """One map of a set.

    Attributes:
        id: name of the map in the set.
        file: its path, relative to the folder of the set, with forward slashes.
        map_id: hash of the map's content; a file with another one was replaced meanwhile.
        frame: coordinate frame of its poses; maps of one floor share it.
        depth: median depth of its scene [m].
        frames: number of mapping frames.
        map_bytes: size of the file.
        bounds: `min` and `max` (3,) of the camera positions [m], {} if not known.
        codes: place codes (R, C) int8 of its reference images.
        points: signatures of its points.
    """

    id: str
    file: str
    map_id: str
    frame: str
    depth: float
    frames: int = 0
    map_bytes: int = 0
    bounds: Mapping[str, list[float]] = field(default_factory=dict)
    codes: np.ndarray = field(default_factory=lambda: np.zeros((0, 1), np.int8), compare=False)
    points: Signatures = field(default_factory=Signatures.none, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the values of the header: codes and points by their number."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**values, 'codes': len(self.codes), 'points': len(self.points)}


@dataclass(frozen=True)
class MapSet:
    """The maps of a building.

    Attributes:
        name: of the set.
        encoder_id, vocabulary_id: of the place codes and signatures.
        focal_px, short_side: the images that the place codes are made of have this focal length,
            and a short side of at most this [px].
        entries: the maps, in the order in which they were added.
        look_alikes: pairs of maps of which one verifies images of the other.
    """

    name: str
    encoder_id: str
    vocabulary_id: str
    focal_px: float
    short_side: int
    entries: tuple[MapEntry, ...] = ()
    look_alikes: tuple[LookAlike, ...] = ()

    @property
    def frames(self) -> tuple[str, ...]:
        """The coordinate frames of the maps, each once."""
        return tuple(dict.fromkeys(entry.frame for entry in self.entries))

    def find(self, map_id: str) -> MapEntry:
        """Return the entry of this id; raise MapError where there is none."""
        for entry in self.entries:
            if entry.id == map_id:
                return entry
        known = [entry.id for entry in self.entries]
        hint = did_you_mean(map_id, known) if known else 'it is empty'
        raise MapError(f'the map set {self.name} has no map {map_id!r}: {hint}')

    def header(self) -> dict[str, Any]:
        """Return the header of the file, but for what the container adds."""
        bounds = [entry.bounds for entry in self.entries if entry.bounds]
        shared = len(self.frames) == 1 and bool(bounds)
        return {
            'system': SYSTEM,
            'name': self.name,
            'map_frame': ', '.join(self.frames),
            'frames': sum(entry.frames for entry in self.entries),
            'origin': [0.0, 0.0, 0.0],
            'scale': float(np.median([entry.depth for entry in self.entries] or [1.0])),
            'short_side': self.short_side,
            'bounds': {
                'min': np.min([one['min'] for one in bounds], 0).tolist(),
                'max': np.max([one['max'] for one in bounds], 0).tolist(),
            }
            if shared
            else None,
            'settings': {
                'encoder_id': self.encoder_id,
                'focal_px': self.focal_px,
                'vocabulary_id': self.vocabulary_id,
            },
            'maps': [entry.as_dict() for entry in self.entries],
            'look_alikes': [one.as_dict() for one in self.look_alikes],
        }


def is_map_set(header: Mapping[str, Any]) -> bool:
    """Return True if the header of a map is that of a map set."""
    return header.get('system') == SYSTEM


def read_map_set(path: Path) -> tuple[MapSet, dict[str, Any]]:
    """Read a map set and the header of its file.

    Raises:
        MapError: the file is missing, damaged, no map set, or of a newer format.
    """
    path = Path(path)
    header, tensors = read_container(path)
    if not is_map_set(header):
        raise MapError(f'{path} is a single map, expected a map set; `dsac mapset add SET {path}`')
    check_set_header(path, header)
    try:
        codes = _parts(tensors[_CODES].numpy(), header, 'codes')
        words = _parts(tensors[_WORDS].numpy(), header, 'points')
        bits = _parts(tensors[_BITS].numpy().view('<u8').ravel(), header, 'points')
    except DAMAGE as error:
        raise damaged(path, error) from error
    names = {one.name for one in fields(MapEntry)} - {'codes', 'points'}
    entries = tuple(
        MapEntry(
            **{name: value for name, value in entry.items() if name in names},
            codes=own,
            points=Signatures(*points),
        )
        for entry, own, *points in zip(header['maps'], codes, words, bits)
    )
    settings = header['settings']
    maps = MapSet(
        header['name'],
        settings['encoder_id'],
        settings['vocabulary_id'],
        float(settings['focal_px']),
        int(header['short_side']),
        entries,
        tuple(LookAlike.of_dict(one) for one in header['look_alikes']),
    )
    return maps, header


def _parts(rows: np.ndarray, header: Mapping[str, Any], name: str) -> list[np.ndarray]:
    """Split the rows of all maps into those of each map."""
    counts = [entry[name] for entry in header['maps']]
    if sum(counts) != len(rows):
        raise ValueError(f'{rows.shape} {name} of {sum(counts)}')
    return np.split(rows, np.cumsum(counts)[:-1]) if counts else []


def check_set_header(path: Path, header: Mapping[str, Any]) -> None:
    """Raise MapError for fields of a map set that are missing or no such values."""
    _check(path, header, {'name': TEXT})
    if 'vocabulary_id' not in header['settings']:
        raise MapError(
            f'{path} was made by an older version, whose codes of places are others; make it anew '
            'with `dsac mapset add`'
        )
    _check(path, header['settings'], _SETTINGS, 'settings.')
    entries = header.get('maps')
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise MapError(f'{path} has no list of maps in its header; copy it again')
    for entry in entries:
        _check(path, entry, _ENTRY, f'maps.{entry.get("id", "?")}.')
        if entry['bounds']:
            _check(path, entry['bounds'], BOUNDS, f'maps.{entry["id"]}.bounds.')
    ids = [entry['id'] for entry in entries]
    check_ids(path, ids)
    pairs = header.get('look_alikes')
    if not isinstance(pairs, list) or not all(isinstance(one, dict) for one in pairs):
        raise MapError(f'{path} has no list of look-alikes in its header; copy it again')
    for pair in pairs:
        _check(path, pair, LOOK_ALIKE, 'look_alikes.')
        if not {pair['first'], pair['second']} <= set(ids):
            raise MapError(f'{path} lists a look-alike of a map that it has not; copy it again')


def write_map_set(path: Path, maps: MapSet) -> dict[str, Any]:
    """Write a map set atomically, and return the header of the file."""
    import torch

    header = maps.header()
    none = Signatures.none()
    codes = [entry.codes for entry in maps.entries] or [np.zeros((0, 1), np.int8)]
    bits = np.concatenate([none.bits, *(entry.points.bits for entry in maps.entries)])
    words = np.concatenate([none.words, *(entry.points.words for entry in maps.entries)])
    digest = hashlib.sha256(json.dumps(header['maps']).encode()).digest()
    tensors = {
        _CODES: torch.from_numpy(np.concatenate(codes)),
        _WORDS: torch.from_numpy(words),
        _BITS: torch.from_numpy(bits.view(np.uint8).reshape(-1, 8)),
        # the id of the file depends on its tensors, and so on the maps
        _DIGEST: torch.tensor(list(digest), dtype=torch.uint8),
    }
    return write_container(Path(path), header, tensors)


def map_path(path: Path, entry: MapEntry) -> Path:
    """Return where the map of an entry lies, given the path of the set."""
    return Path(path).parent / entry.file


def relative_path(path: Path, map_file: Path) -> str:
    """Return the path of a map relative to the folder of the set `path`."""
    return Path(os.path.relpath(Path(map_file).resolve(), Path(path).resolve().parent)).as_posix()


def check_ids(path: Path, ids: Iterable[str]) -> None:
    """Raise MapError where two maps have one id, or one has none."""
    seen: set[str] = set()
    for one in ids:
        if not one or one in seen:
            what = f'two maps {one!r}' if one else 'a map without an id'
            raise MapError(f'{path} has {what}, expected an id of its own for each map')
        seen.add(one)


def _check(
    path: Path, values: Mapping[str, Any], expected: Mapping[str, Field], prefix: str = ''
) -> None:
    for name, one in expected.items():
        if name not in values or not one.is_valid(values[name]):
            shown = repr(values[name])[:60] if name in values else 'nothing'
            raise MapError(
                f'{path} has {shown} as {prefix}{name} in its header, expected {one.expected}; '
                'copy the map set again'
            )
