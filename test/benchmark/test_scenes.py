# SPDX-License-Identifier: Apache-2.0
"""benchmark/scenes.py: scenes on disk and their hard splits."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.benchmark.scenes import (
    SPLITS,
    Scene,
    evenly,
    find_scenes,
    held_out_stretches,
    read_scene,
)
from dsac_ros.errors import MappingError, SourceError
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.types import Camera, Frame

SIZE_WH = (32, 24)
CAMERA = Camera(SIZE_WH, np.array([[30.0, 0, 15.5], [0, 30.0, 11.5], [0, 0, 1]]))
DEPTH_M = 2.5


def write_frames(path, count, depth=DEPTH_M, gray=lambda index: 10 + index):
    """Frames that are told apart by their gray level, each a step to the right of the last."""
    with FolderWriter(path) as folder:
        for index in range(count):
            place = np.eye(4)
            place[0, 3] = 0.1 * index
            image = np.full(SIZE_WH[::-1], gray(index), np.uint8)
            measured = None if depth is None else np.full(image.shape, depth, np.float32)
            folder.write(Frame(image, CAMERA, depth=measured), place)
    return path


def grays(frames):
    return [int(posed.frame.image[0, 0]) - 10 for posed in frames]


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes') / 'room'
    return Scene(
        'room',
        write_frames(folder / 'train', 61),
        write_frames(folder / 'test', 5, depth=None, gray=lambda index: 110 + index),
    )


def test_scenes_are_found_under_both_names(tmp_path):
    for name in ('b/train', 'b/test', 'a/mapping', 'a/queries', 'c/train', 'notes'):
        (tmp_path / name).mkdir(parents=True)
    found = find_scenes(tmp_path)
    assert [scene.name for scene in found] == ['a', 'b', 'c']
    assert found[0].queries == tmp_path / 'a' / 'queries' and found[2].queries is None
    assert [scene.name for scene in find_scenes(tmp_path, ['c', 'a'])] == ['c', 'a']
    assert [scene.name for scene in find_scenes(tmp_path / 'b')] == ['b']


@pytest.mark.parametrize(
    'folder, names, message',
    [
        ('nowhere', (), 'is no folder'),
        ('.', (), r'holds no scene, expected folders with train/'),
        ('..', ('garage',), "holds no scene 'garage', expected one of room"),
    ],
)
def test_scenes_that_are_not_there(tmp_path, folder, names, message):
    (tmp_path / 'room' / 'train').mkdir(parents=True)
    with pytest.raises(SourceError, match=message):
        find_scenes(
            tmp_path / 'room' / 'train' / '..' / 'train' / folder if not names else tmp_path, names
        )


def test_every_split_of_a_scene_with_queries(scene):
    found = read_scene(scene, SPLITS)
    assert found.depth == pytest.approx(DEPTH_M)
    full, stretches, thinned, zoomed = found.splits
    assert [split.name for split in found.splits] == ['full', 'stretches', 'thinned', 'zoom x2']
    assert grays(full.mapping) == list(range(61)) and grays(full.queries) == list(range(100, 105))
    assert grays(thinned.mapping) == [0, 20, 40, 60] and thinned.queries == full.queries
    assert (zoomed.map_name, zoomed.mapping) == (full.map_name, full.mapping)
    assert next(iter(zoomed.queries)).frame.camera.matrix[0, 0] == 60.0
    held_out = grays(stretches.queries)
    assert sorted(held_out + grays(stretches.mapping)) == list(range(61))
    assert all(posed.frame.depth is None for posed in full.mapping)


def test_stretches_stand_in_for_missing_queries(scene):
    alone = read_scene(Scene('room', scene.mapping, None), SPLITS)
    assert [split.name for split in alone.splits] == ['stretches', 'thinned', 'zoom x2']
    stretches, thinned, _ = alone.splits
    assert thinned.queries == stretches.queries
    assert grays(thinned.mapping) == grays(stretches.mapping)[::20]


def test_what_the_sources_left_out_is_told(tmp_path):
    mapping = write_frames(tmp_path / 'train', 6)
    queries = write_frames(tmp_path / 'test', 4)
    (queries / 'poses' / 'frame-000002.txt').unlink()
    found = read_scene(Scene('room', mapping, queries), ['full'])
    assert grays(found.splits[0].queries) == [0, 1, 3]
    assert found.notes == ('left out: 1 frames with no pose file',)


def test_few_queries_are_spread_over_the_split(scene):
    (split,) = read_scene(scene, ['full'], max_queries=3).splits
    assert grays(split.queries) == [100, 102, 104]
    assert evenly(range(4), 9) == (0, 1, 2, 3)


@pytest.mark.parametrize('count, lengths', [(360, [24] * 3), (61, [4] * 3), (20, [4]), (5, [1])])
def test_stretches_are_whole_and_apart(count, lengths):
    rows = np.array(held_out_stretches(count))
    found = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    assert [len(stretch) for stretch in found] == lengths
    assert rows[0] > 0 and rows[-1] < count - 1


def test_too_few_frames_to_hold_any_out():
    with pytest.raises(SourceError, match=r'4 mapping frames are too few .* at least 5'):
        held_out_stretches(4)


def test_a_drive_in_one_place_has_no_depth(tmp_path):
    with FolderWriter(tmp_path / 'train') as folder:
        for _ in range(6):
            folder.write(Frame(np.zeros((24, 32), np.uint8), CAMERA), np.eye(4))
    with pytest.raises(MappingError, match='same camera position'):
        read_scene(Scene('still', tmp_path / 'train', None))
