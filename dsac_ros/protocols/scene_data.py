# SPDX-License-Identifier: Apache-2.0
"""The scenes of a protocol that a folder holds, and what is missing of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsac_ros.errors import DsacError, SourceError
from dsac_ros.protocols.protocol import PARTS, POSE_LISTS, SFM, TEST, TRAIN, Protocol
from dsac_ros.sources.cambridge import open_cambridge
from dsac_ros.sources.folder import open_folder
from dsac_ros.sources.frame_files import FileSource
from dsac_ros.sources.indoor6 import open_indoor6
from dsac_ros.sources.pose_list import with_pose_list
from dsac_ros.sources.seven_scenes import open_seven_scenes
from dsac_ros.sources.twelve_scenes import open_twelve_scenes

LISTS = ('visloc_pseudo_gt_limitations', 'pgt', '.')
SEVEN_SPLITS = {TRAIN: 'TrainSplit.txt', TEST: 'TestSplit.txt'}
Opener = Callable[[Path, str], FileSource]
#: What both parts of a scene need, and what each part needs.
NEEDED = {
    '7scenes': ((), {part: (name,) for part, name in SEVEN_SPLITS.items()}),
    '12scenes': (('info.txt', 'split.txt', 'data'), {}),
    'cambridge': (('reconstruction.nvm',), {part: (f'dataset_{part}.txt',) for part in PARTS}),
    'wayspots': ((), {part: (f'{part}/rgb',) for part in PARTS}),
    'indoor6': (('train_test_val.pkl', 'images'), {}),
}


@dataclass(frozen=True)
class SceneData:
    """A scene: its two sources, and one line for each thing that is missing.

    train and test are None where the scene cannot be read at all.
    """

    name: str
    train: FileSource | None
    test: FileSource | None
    problems: tuple[str, ...] = ()

    @property
    def readable(self) -> bool:
        """Return True if the scene can be mapped and evaluated, complete or not."""
        return self.train is not None and self.test is not None


OPENERS: dict[str, Opener] = {
    '7scenes': lambda scene, part: open_seven_scenes(scene / SEVEN_SPLITS[part]),
    '12scenes': lambda scene, part: open_twelve_scenes(scene, part=part),
    'cambridge': lambda scene, part: open_cambridge(scene / f'dataset_{part}.txt'),
    'wayspots': lambda scene, part: open_folder(scene / part, depth=False),
    'indoor6': lambda scene, part: open_indoor6(scene, part=part),
}


def read_scenes(
    protocol: Protocol,
    folder: Path,
    ground_truth: str = '',
    pose_lists: Path | None = None,
    names: Sequence[str] = (),
) -> list[SceneData]:
    """Return every scene of a protocol, those that the folder does not hold with their problem.

    Args:
        protocol: to read.
        folder: the user's copy of the data.
        ground_truth: one of the protocol's; '' where it has one alone.
        pose_lists: folder of the SfM ground truth; None looks for it in `folder`.
        names: of the scenes; all by default.

    Raises:
        SourceError: the folder holds no scene, or the SfM ground truth is not found.
    """
    unknown = [name for name in names if name not in protocol.scenes]
    if unknown:
        raise SourceError(
            f'{protocol.title} has no scene {unknown[0]!r}, expected some of '
            f'{", ".join(protocol.scenes)}'
        )
    if not folder.is_dir():
        raise SourceError(f'{folder} is no folder, {where_from(protocol)}')
    found = {name: find_scene(folder, name) for name in protocol.scenes}
    if not any(found.values()):
        raise SourceError(
            f'{folder} holds no scene of {protocol.title}, such as '
            f'{folder / protocol.scenes[0].replace("_", os.sep, 1)}: {where_from(protocol)}'
        )
    lists = find_pose_lists(protocol, folder, pose_lists) if ground_truth == SFM else None
    return [
        _read_scene(protocol, name, found[name], folder, ground_truth, lists)
        for name in names or protocol.scenes
    ]


def where_from(protocol: Protocol) -> str:
    """Say from where a user fetches the data, and how it must lie."""
    return (
        f'expected a folder for each scene with {protocol.layout}; fetch and unpack it from '
        f'{protocol.origin} (mind its licence)'
    )


def find_scene(folder: Path, name: str) -> Path | None:
    """Return the folder of a scene: NAME, PREFIX_NAME such as wayspots_bears, or apt1/kitchen."""
    places = [folder / name, folder.joinpath(*name.split('_', 1))]
    places += sorted(folder.glob(f'*_{name}'))
    return next((place for place in places if place.is_dir()), None)


def find_pose_lists(protocol: Protocol, folder: Path, named: Path | None) -> Path:
    """Return the folder of the SfM ground truth of a protocol.

    Raises:
        SourceError: it is not there.
    """
    bases = [named] if named else [folder / name for name in LISTS]
    places = [base / inner / protocol.name for base in bases for inner in ('pgt/sfm', 'sfm', '.')]
    for place in places:
        if any(place.glob('*_test.txt')):
            return place
    raise SourceError(
        f'no SfM ground truth of {protocol.title} in {" or ".join(map(str, bases))}, expected '
        f'pgt/sfm/{protocol.name}/{protocol.scenes[0]}_test.txt: fetch {POSE_LISTS} and name its '
        'folder with --pose-lists'
    )


def _read_scene(
    protocol: Protocol,
    name: str,
    scene: Path | None,
    folder: Path,
    ground_truth: str,
    lists: Path | None,
) -> SceneData:
    if scene is None:
        return SceneData(name, None, None, (f'{name}: no such folder in {folder}',))
    sources: dict[str, FileSource] = {}
    problems = []
    for part in PARTS:
        lacking = lacking_files(protocol, scene, part)
        if lacking:
            problems.append(f'{name} {part}: {lacking}')
            continue
        try:
            source = OPENERS[protocol.name](scene, part)
            if lists is not None:
                with_pose_list(source, lists / f'{name}_{part}.txt')
        except DsacError as error:
            problems.append(f'{name} {part}: {error}')
            continue
        expected = protocol.expected(ground_truth, name, part)
        problems += [f'{name} {part}: {line}' for line in _missing(source, expected)]
        if any(one.world_from_camera is not None for one in source.files):
            sources[part] = source
    return SceneData(name, sources.get(TRAIN), sources.get(TEST), tuple(problems))


def lacking_files(protocol: Protocol, scene: Path, part: str) -> str:
    """Say which of the files that a part needs are not there; '' where all are."""
    both, own = NEEDED[protocol.name]
    lacking = [one for one in (*both, *own.get(part, ())) if not (scene / one).exists()]
    if not lacking:
        return ''
    prepared = (scene / part / 'rgb').is_dir()
    return f'{scene} has no {", ".join(lacking)}, expected {protocol.layout}' + (
        ' as published, not as DSAC* and ACE prepare it' if prepared else ''
    )


def _missing(source: FileSource, expected: int | None) -> list[str]:
    """Return one line for each thing that is missing of a part."""
    posed = [one for one in source.files if one.world_from_camera is not None]
    lines = []
    if expected is not None and len(posed) != expected:
        lines.append(f'{len(posed)} frames with poses, expected {expected} as published')
    if not posed:
        lines.append('no frame has a pose')
    lost = [one for one in posed if not os.path.isfile(one.image)]
    if lost:
        lines.append(f'{len(lost)} of {len(posed)} images are missing, such as {lost[0].image}')
    return lines
