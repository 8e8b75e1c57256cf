# SPDX-License-Identifier: Apache-2.0
"""protocols/scene_data.py: the readers of public data, and what they say is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from published_layouts import CAMERA, WRITERS, rendered_frames

from dsac_ros.errors import ConfigError, SourceError
from dsac_ros.protocols.protocol import PROTOCOLS, find_protocol
from dsac_ros.protocols.scene_data import read_scenes

GROUND_TRUTHS = [
    ('7scenes', 'slam'),
    ('7scenes', 'sfm'),
    ('12scenes', 'slam'),
    ('12scenes', 'sfm'),
    ('cambridge', ''),
    ('wayspots', ''),
    ('indoor6', ''),
]


def without_counts(name):
    """A protocol whose scenes may be of any size."""
    return replace(PROTOCOLS[name], counts={})


def written(name, folder):
    writer, scene = WRITERS[name]
    return writer(folder, *rendered_frames()), scene


@pytest.mark.parametrize('name, ground_truth', GROUND_TRUTHS)
def test_poses_and_cameras_are_those_that_were_written(tmp_path, name, ground_truth):
    folder, scene = written(name, tmp_path)
    found = {one.name: one for one in read_scenes(without_counts(name), folder, ground_truth)}
    assert tuple(found) == PROTOCOLS[name].scenes
    data = found[scene]
    assert data.problems == () and data.readable
    for source, expected in zip((data.train, data.test), rendered_frames()):
        frames = list(source.posed_frames())
        assert len(frames) == len(expected)
        for one, other in zip(frames, expected):
            np.testing.assert_allclose(one.world_from_camera, other.world_from_camera, atol=1e-7)
            np.testing.assert_allclose(one.frame.camera.matrix, CAMERA.matrix, atol=1e-6)
            assert one.frame.image.shape == other.frame.image.shape
            assert one.frame.camera.model == 'pinhole'


@pytest.mark.parametrize('name', PROTOCOLS)
def test_other_scenes_are_told_to_be_missing(tmp_path, name):
    folder, scene = written(name, tmp_path)
    others = [one for one in read_scenes(without_counts(name), folder) if one.name != scene]
    assert all(not one.readable and 'no such folder in' in one.problems[0] for one in others)


@pytest.mark.parametrize('name', PROTOCOLS)
def test_an_empty_folder_says_where_data_is_from(tmp_path, name):
    with pytest.raises(
        SourceError, match=r'holds no scene of .*fetch and unpack it from https://'
    ):
        read_scenes(PROTOCOLS[name], tmp_path)
    with pytest.raises(SourceError, match=r'is no folder, .*licence'):
        read_scenes(PROTOCOLS[name], tmp_path / 'nowhere')


def test_a_part_of_the_frames_is_noticed(tmp_path):
    folder, _ = written('7scenes', tmp_path)
    (found,) = read_scenes(PROTOCOLS['7scenes'], folder, 'slam', names=('chess',))
    assert found.readable and found.problems == (
        'chess train: 24 frames with poses, expected 4000 as published',
        'chess test: 6 frames with poses, expected 2000 as published',
    )


def test_missing_images_and_splits_are_noticed(tmp_path):
    folder, _ = written('cambridge', tmp_path)
    (folder / 'ShopFacade/seq1/frame00000.png').unlink()
    (folder / 'ShopFacade/dataset_test.txt').unlink()
    (found,) = read_scenes(PROTOCOLS['cambridge'], folder, names=('ShopFacade',))
    assert not found.readable
    assert '1 of 24 images are missing, such as' in found.problems[0]
    assert found.problems[1].endswith(
        'ShopFacade has no dataset_test.txt, expected dataset_train.txt, dataset_test.txt, '
        'reconstruction.nvm and the folders seq1/ ...'
    )


def test_frames_without_ground_truth_do_not_count(tmp_path):
    folder, _ = written('12scenes', tmp_path)
    pose = folder / 'apt1/kitchen/data/frame-000002.pose.txt'
    pose.write_text('-1.#INF ' * 16)
    (found,) = read_scenes(without_counts('12scenes'), folder, 'slam', names=('apt1_kitchen',))
    assert len(list(found.test.posed_frames())) == 5 and found.problems == ()


def test_sfm_needs_its_pose_lists(tmp_path):
    folder, _ = written('7scenes', tmp_path)
    lists = folder / 'visloc_pseudo_gt_limitations'
    lists.rename(tmp_path / 'elsewhere')
    with pytest.raises(SourceError, match=r'no SfM ground truth of 7-Scenes .*--pose-lists'):
        read_scenes(PROTOCOLS['7scenes'], folder, 'sfm')
    found = read_scenes(without_counts('7scenes'), folder, 'sfm', tmp_path / 'elsewhere')
    assert found[0].problems == ()


def test_unknown_names_are_refused(tmp_path):
    folder, _ = written('indoor6', tmp_path)
    with pytest.raises(SourceError, match="no scene 'scene2', expected some of scene1"):
        read_scenes(PROTOCOLS['indoor6'], folder, names=('scene2',))
    with pytest.raises(ConfigError, match="did you mean '7scenes'"):
        find_protocol('7-scenes')


def test_data_prepared_for_others_is_not_taken(tmp_path):
    """Its poses may be of either ground truth."""
    WRITERS['wayspots'][0](tmp_path, *rendered_frames(), 'chess')
    (tmp_path / 'wayspots_chess').rename(tmp_path / '7scenes_chess')
    (found,) = read_scenes(PROTOCOLS['7scenes'], tmp_path, 'slam', names=('chess',))
    assert len(found.problems) == 2 and not found.readable
    assert 'has no TrainSplit.txt' in found.problems[0]
    assert found.problems[0].endswith('as published, not as DSAC* and ACE prepare it')
