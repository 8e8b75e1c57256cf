# SPDX-License-Identifier: Apache-2.0
"""Editing of map sets: add, remove, update, join and split, without learning anything again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dsac_ros.alignment import point_map, reference_image
from dsac_ros.alignment.reference_image import ReferenceImage
from dsac_ros.errors import MapError
from dsac_ros.geometry.resample import network_resamplers
from dsac_ros.map_container import read_container, read_header
from dsac_ros.map_set.file import (
    MapEntry,
    MapSet,
    check_ids,
    is_map_set,
    map_path,
    read_map_set,
    relative_path,
)
from dsac_ros.map_set.gating import Describer
from dsac_ros.map_set.resemblance import signatures_of, with_look_alikes
from dsac_ros.map_set.vocabulary import load_vocabularies
from dsac_ros.network.encoder import load_encoder


def open_or_new(path: Path, map_file: Path) -> MapSet:
    """Read a map set; make an empty one for maps like `map_file` where there is none."""
    return read_map_set(path)[0] if path.exists() else new_set(path, map_file)


def new_set(path: Path, map_file: Path) -> MapSet:
    """Return an empty set for maps whose images are like those of `map_file`."""
    header = read_header(map_file)
    short_side = int(header['short_side'])
    focal_px = float(header.get('network_focal_px') or header.get('focal_px') or short_side)
    return MapSet(path.stem, load_encoder()[1], load_vocabularies().id, focal_px, short_side)


def added(
    maps: MapSet,
    path: Path,
    files: Sequence[Path],
    *,
    frame: str = '',
    replaced: bool = False,
    map_id: str = '',
) -> MapSet:
    """Add maps to a set.

    Args:
        maps: the set.
        path: of its file, to whose folder the paths of the maps are relative.
        files: the maps.
        frame: coordinate frame of their poses; '': as each map says.
        replaced: a map of the same id is replaced.
        map_id: of a single map in the set; '': the name of its file without the suffix.

    Raises:
        MapError: an id is taken, or a file is no map with reference images.
    """
    new = [make_entry(maps, path, one, map_id, frame) for one in files]
    check_ids(path, [entry.id for entry in new])
    taken = {entry.id for entry in maps.entries}
    for entry in new:
        if entry.id in taken and not replaced:
            raise MapError(
                f'{path} has a map {entry.id!r} already; give --replace to replace it, or --id '
                'to name the new one'
            )
    by_id = {entry.id: entry for entry in (*maps.entries, *new)}
    whole = replace(maps, entries=tuple(by_id.values()))
    return with_look_alikes(whole, path, [entry.id for entry in new])


def make_entry(
    maps: MapSet, path: Path, map_file: Path, map_id: str = '', frame: str = ''
) -> MapEntry:
    """Make the entry of a map: what its header says, and its codes."""
    header, tensors = read_container(map_file)
    if is_map_set(header):
        raise MapError(
            f'{map_file} is a map set, expected a map; `dsac mapset join {path} {map_file}` adds '
            'its maps'
        )
    return MapEntry(
        map_id or default_id(map_file),
        relative_path(path, map_file),
        header['id'],
        frame or header.get('map_frame') or 'map',
        float(header['scale']),
        int(header.get('frames') or 0),
        map_file.stat().st_size,
        header.get('bounds') or {},
        codes_of(reference_image.from_tensors(tensors), maps, map_file),
        signatures_of(point_map.from_tensors(tensors)),
    )


def default_id(map_file: Path) -> str:
    """Return the id of a map in a set where none is given: its file name up to a dot."""
    return map_file.name.split('.')[0]


def codes_of(references: Sequence[ReferenceImage], maps: MapSet, map_file: Path) -> np.ndarray:
    """Return the place codes (R, C) int8 of a map's reference images at the set's focal."""
    if not references:
        raise MapError(
            f'{map_file} has no reference images, by which a set tells its maps apart; learn it '
            'with reference_images_mb above 0'
        )
    encoder, _ = load_encoder()
    resamplers = network_resamplers(maps.focal_px, maps.short_side)
    return Describer(encoder, resamplers, torch.device('cpu')).of_references(references)


def removed(maps: MapSet, ids: Iterable[str]) -> MapSet:
    """Remove maps from a set; their files stay. Raises MapError for an id that it has not."""
    gone = {maps.find(one).id for one in ids}
    return replace(
        maps,
        entries=tuple(one for one in maps.entries if one.id not in gone),
        look_alikes=tuple(one for one in maps.look_alikes if not {one.first, one.second} & gone),
    )


def updated(maps: MapSet, path: Path, ids: Iterable[str] = ()) -> tuple[MapSet, list[str]]:
    """Read maps again whose files were replaced; all, or the named ones.

    Returns:
        The set, and the ids of the maps that have changed.
    """
    named = [maps.find(one).id for one in ids] or [one.id for one in maps.entries]
    entries, changed = [], []
    for entry in maps.entries:
        if entry.id in named:
            file = map_path(path, entry)
            new = make_entry(maps, path, file, entry.id, entry.frame)
            if new != entry:
                changed.append(entry.id)
                entry = new
        entries.append(entry)
    return with_look_alikes(replace(maps, entries=tuple(entries)), path, changed), changed


def joined(maps: MapSet, path: Path, other_path: Path) -> MapSet:
    """Add the maps of another set.

    Raises MapError where both have a map of one id.
    """
    other, _ = read_map_set(other_path)
    moved = [
        make_entry(maps, path, map_path(other_path, entry), entry.id, entry.frame)
        for entry in other.entries
    ]
    entries = (*maps.entries, *moved)
    check_ids(path, [entry.id for entry in entries])
    pairs = (*maps.look_alikes, *other.look_alikes)
    whole = replace(maps, entries=entries, look_alikes=pairs)
    return with_look_alikes(whole, path, [entry.id for entry in moved])


def split(maps: MapSet, path: Path, new_path: Path, ids: Iterable[str]) -> tuple[MapSet, MapSet]:
    """Move maps to a set of their own; return what stays and the new one. The files stay."""
    moved = [maps.find(one) for one in ids]
    rest = removed(maps, [one.id for one in moved])
    entries = tuple(
        replace(one, file=relative_path(new_path, map_path(path, one))) for one in moved
    )
    gone = {one.id for one in moved}
    pairs = tuple(one for one in maps.look_alikes if {one.first, one.second} <= gone)
    new = replace(maps, name=new_path.stem, entries=entries, look_alikes=pairs)
    return rest, new
