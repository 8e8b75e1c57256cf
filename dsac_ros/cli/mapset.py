# SPDX-License-Identifier: Apache-2.0
"""`dsac mapset`: the maps of a building in one file, added, replaced and removed singly."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.output import add_json_option, check_file, size, write_results
from dsac_ros.errors import MapError

if TYPE_CHECKING:
    from dsac_ros.map_set.file import MapSet

HELP = 'list, add, remove, update, join or split the maps of a building'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    for name, text in (
        ('list', 'list the maps of a set'),
        ('add', 'add maps to a set; a file that does not exist is made'),
        ('remove', 'remove maps from a set; their files stay'),
        ('update', 'read maps again whose files were replaced'),
        ('join', 'add the maps of other sets'),
        ('split', 'move maps to a set of their own'),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument('set', metavar='SET', type=Path, help='a map set')
        add_json_option(action)
        if name == 'add':
            action.add_argument('maps', metavar='MAP', type=Path, nargs='+', help='maps to add')
            action.add_argument(
                '--frame',
                metavar='NAME',
                default='',
                help='coordinate frame of their poses, such as that of a floor (default: as each '
                'map says)',
            )
            action.add_argument(
                '--id',
                metavar='ID',
                default='',
                help='name of a single map in the set (default: its file name up to a dot)',
            )
            action.add_argument(
                '--replace', action='store_true', help='replace maps that have the same id'
            )
        elif name == 'join':
            action.add_argument('others', metavar='OTHER', type=Path, nargs='+', help='map sets')
        elif name in ('remove', 'update', 'split'):
            count = '*' if name == 'update' else '+'
            text = 'maps of the set' + (' (default: all)' if name == 'update' else '')
            action.add_argument('ids', metavar='ID', nargs=count, help=text)
        if name == 'split':
            action.add_argument(
                '-o', '--output', metavar='NEW', type=Path, required=True, help='the new set'
            )


def run(args: argparse.Namespace) -> int:
    """Change the set as the action says, and list it."""
    from dsac_ros.map_set.file import read_map_set, write_map_set

    check_file(args.json)
    changed: list[str] | None = None
    if args.action == 'list':
        maps, _ = read_map_set(args.set)
    else:
        check_file(args.set, getattr(args, 'output', None))
        maps, changed = edited(args)
        write_map_set(args.set, maps)
    results = {'set': str(args.set), **maps.header()}
    if changed is not None and args.action == 'update':
        results['changed'] = changed
    write_results(results, describe(maps, args.set, changed), args.json)
    return 0


def edited(args: argparse.Namespace) -> tuple[MapSet, list[str]]:
    """The set after the action, and the ids of the maps that it is about."""
    from dsac_ros.map_set import edit
    from dsac_ros.map_set.file import read_map_set, write_map_set

    path = args.set
    if args.action == 'add':
        if args.id and len(args.maps) > 1:
            raise MapError(f'--id names one map, found {len(args.maps)}; add them one by one')
        before = edit.open_or_new(path, args.maps[0])
        maps = edit.added(
            before, path, args.maps, frame=args.frame, replaced=args.replace, map_id=args.id
        )
        return maps, [args.id or edit.default_id(one) for one in args.maps]
    maps, _ = read_map_set(path)
    if args.action == 'update':
        return edit.updated(maps, path, args.ids)
    if args.action == 'join':
        for other in args.others:
            maps = edit.joined(maps, path, other)
        return maps, []
    if args.action == 'split':
        rest, new = edit.split(maps, path, args.output, args.ids)
        write_map_set(args.output, new)  # first: no map is ever in neither of the two
        return rest, list(args.ids)
    return edit.removed(maps, args.ids), list(args.ids)


def describe(maps: MapSet, path: Path, changed: list[str] | None = None) -> list[str]:
    """The maps of a set for people."""
    from dsac_ros.map_set.file import map_path

    width = max([2, *(len(entry.id) for entry in maps.entries)])
    lines = [f'{"id":{width}}  {"frame":10} {"size":>8}  {"frames":>6}  camera moved in   file']
    for entry in maps.entries:
        missing = '' if map_path(path, entry).is_file() else '  (missing)'
        lines.append(
            f'{entry.id:{width}}  {entry.frame:10} {size(entry.map_bytes):>8}  '
            f'{entry.frames:6}  {extent(entry.bounds):16}  {entry.file}{missing}'
        )
    total = sum(entry.map_bytes for entry in maps.entries)
    lines.append(f'{len(maps.entries)} maps, {size(total)}, frames {", ".join(maps.frames)}')
    if changed is not None:
        lines.append(f'changed: {", ".join(changed) or "nothing"}')
    return lines


def extent(bounds: Any) -> str:
    """The size of the box about the cameras for people."""
    if not bounds:
        return '-'
    return (
        ' x '.join(f'{high - low:.3g}' for low, high in zip(bounds['min'], bounds['max'])) + ' m'
    )
