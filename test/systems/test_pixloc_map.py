# SPDX-License-Identifier: Apache-2.0
"""The recipe pixloc on a flat, textured wall: maps, queries, guesses and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dsac_ros.cli.main import main
from dsac_ros.config import AcceptConfig, MappingConfig, RansacConfig
from dsac_ros.errors import MapError
from dsac_ros.map_container import read_container, write_container
from dsac_ros.metrics import twist_error
from dsac_ros.systems.learning import learn
from dsac_ros.systems.loading import load_localizer
from dsac_ros.systems.pixloc.config import PixLocConfig
from dsac_ros.systems.pixloc.refined import Refined
from dsac_ros.systems.recipes import NoSettings
from dsac_ros.types import Result


@pytest.fixture(scope='module')
def wall_map(wall_frames, tmp_path_factory):
    """The wall's map, calibrated on a block of its frames."""
    path = tmp_path_factory.mktemp('pixloc') / 'wall.dsac'
    config = MappingConfig(recipe='pixloc', held_out=0.3, reference_images_mb=3.0)
    learn(wall_frames, config, PixLocConfig(), device='cpu', output=path)
    return path


@pytest.fixture(scope='module')
def wall_localizer(wall_map):
    return load_localizer(wall_map, 'cpu')


def off(pose, truth):
    error = twist_error(pose, truth)
    return np.linalg.norm(error[:3]), np.degrees(np.linalg.norm(error[3:]))


def moved(pose, metres, degrees):
    start = pose.copy()
    angle = np.radians(degrees)
    turn = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    start[:3, :3] = start[:3, :3] @ np.array(turn)
    start[:3, 3] += metres
    return start


def test_queries_are_found_from_retrieval(wall_localizer, wall_queries):
    errors = [
        off(wall_localizer.localize(one.frame).world_from_camera, one.world_from_camera)
        for one in wall_queries
    ]
    metres, degrees = np.array(errors).T
    assert np.median(metres) < 0.01 and np.median(degrees) < 0.2


def test_accepted_poses_are_right(wall_localizer, wall_queries):
    found = [wall_localizer.localize(one.frame) for one in wall_queries]
    accepted = [
        off(one.world_from_camera, query.world_from_camera)[0]
        for one, query in zip(found, wall_queries)
        if one.accepted
    ]
    assert len(accepted) >= 3 and max(accepted) < 0.05
    header = wall_localizer.map.header
    assert header['system'] == 'pixloc' and header['acceptance']['held_out'] > 0


@pytest.mark.parametrize(('metres', 'degrees'), [(0.03, 2.0), (0.1, 5.0)])
def test_a_guess_is_refined(wall_localizer, wall_queries, metres, degrees):
    """The basin of convergence: starts a few cells of the coarsest features off."""
    refining = wall_localizer.starting_from_guesses()
    found = [
        off(
            refining.localize(
                one.frame, moved(one.world_from_camera, metres, degrees)
            ).world_from_camera,
            one.world_from_camera,
        )[0]
        for one in wall_queries
    ]
    assert np.median(found) < 0.01


def test_no_guess_is_a_reason_not_a_pose(wall_localizer, wall_queries):
    found = wall_localizer.starting_from_guesses().localize(wall_queries[0].frame)
    assert found.world_from_camera is None and found.result == Result.OUT_OF_MAP
    assert 'no pose to start from' in found.reason


def test_a_guess_that_sees_nothing_is_refused(wall_localizer, wall_queries):
    away = moved(wall_queries[0].world_from_camera, 0.0, 180.0)
    found = wall_localizer.starting_from_guesses().localize(wall_queries[0].frame, away)
    assert found.world_from_camera is None and 'enough points' in found.reason


def test_an_image_without_contrast_is_refused(wall_localizer, wall_queries):
    blank = replace(wall_queries[0].frame, image=np.full((240, 320), 80, np.uint8))
    assert wall_localizer.localize(blank).result == Result.BAD_IMAGE


def test_loading_changes_nothing(wall_map, wall_localizer, wall_queries):
    again = load_localizer(wall_map, 'cpu')
    again.warm_up()
    poses = [
        one.localize(wall_queries[1].frame).world_from_camera for one in (again, wall_localizer)
    ]
    np.testing.assert_allclose(*poses, atol=1e-6)
    assert again.map.id == wall_localizer.map.id


def test_another_systems_poses_are_refined(wall_map, wall_frames, wall_queries, tmp_path):
    path = tmp_path / 'retrieval.dsac'
    config = MappingConfig(recipe='retrieval', held_out=0.3)
    learn(wall_frames, config, NoSettings(), device='cpu', output=path)
    first = load_localizer(path, 'cpu')
    refined = Refined(first, load_localizer(wall_map, 'cpu'))
    refined = refined.with_settings(RansacConfig(), AcceptConfig())
    before, after = (
        np.median(
            [
                off(system.localize(one.frame).world_from_camera, one.world_from_camera)[0]
                for one in wall_queries
            ]
        )
        for system in (first, refined)
    )
    assert after < 0.01 < before
    with pytest.raises(MapError, match='expected one of pixloc'):
        Refined(refined.second, first)


def test_a_map_of_other_features_is_refused(wall_map, tmp_path):
    header, tensors = read_container(wall_map)
    other = tmp_path / 'other.dsac'
    write_container(other, {**header, 'encoder_id': '0123456789abcdef'}, tensors)
    with pytest.raises(MapError, match='learned with the features 0123456789abcdef'):
        load_localizer(other, 'cpu')


def test_a_damaged_map_is_refused(wall_map, tmp_path):
    header, tensors = read_container(wall_map)
    broken = tmp_path / 'broken.dsac'
    del tensors['reference_images.depth']
    write_container(broken, header, tensors)
    with pytest.raises(MapError, match='is damaged'):
        load_localizer(broken, 'cpu')


def test_templates_and_features_start_alike(
    wall_localizer, wall_queries, wall_frames, monkeypatch
):
    """Both refine the same starts on the same reference images; other maps have no features."""
    from dsac_ros.benchmark import alignment_comparison as comparison

    monkeypatch.setattr(comparison, 'STARTS', {'near': (0.01, 1.0)})
    kept = ('intact', 'other viewpoint')
    conditions = {name: comparison.CONDITIONS[name] for name in kept}
    monkeypatch.setattr(comparison, 'CONDITIONS', conditions)
    rows = list(comparison.compare_alignments(wall_localizer, wall_queries[1:4]))
    assert [(row.condition, row.method) for row in rows] == [
        (condition, method) for condition in kept for method in ('templates', 'features')
    ]
    assert [row.as_dict()['0.02m_2deg'] for row in rows[:2]] == [1.0, 1.0]
    start = comparison.displaced(np.eye(4), 0.3, 5.0, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(off(start, np.eye(4)), (0.3, 5.0))
    assert len(comparison.sparse(wall_localizer).references) < len(wall_localizer.references)


def test_network_is_pretrained_by_the_command(tmp_path, capsys):
    """Interrupted and resumed; the weights load as the shipped ones do."""
    import cv2
    from safetensors.torch import load_file
    from walls import texture

    from dsac_ros.systems.pixloc.network import Expansion

    cv2.imwrite(str(tmp_path / 'photograph.png'), texture(0))
    words = ['pretrain', '--objective', 'pixloc', '-o', str(tmp_path / 'w.safetensors')]
    words += ['--photographs', str(tmp_path / 'photograph.png'), '--rooms', '0', '--steps', '2']
    words += ['--device', 'cpu', '--progress', 'off']
    assert main([*words, '--stop-at', '1']) == 0
    assert (tmp_path / 'w.safetensors.checkpoint').exists()
    assert main(words) == 0
    assert not (tmp_path / 'w.safetensors.checkpoint').exists()
    Expansion().load_state_dict(load_file(tmp_path / 'w.safetensors'))
    assert 'wrote' in capsys.readouterr().out
