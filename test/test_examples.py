# SPDX-License-Identifier: Apache-2.0
"""examples/: each script runs as its docstring says, on small data."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dsac_ros.benchmark.synthetic_correspondences import synthetic_correspondences
from dsac_ros.map_container import read_header
from dsac_ros.sources.folder import FolderWriter

EXAMPLES = Path(__file__).resolve().parents[1] / 'examples'
SCRIPTS = sorted(EXAMPLES.glob('*.py'))


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a script with arguments and return what it prints."""

    def run_script(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name='__main__')
        return capsys.readouterr().out

    return run_script


def test_every_example_is_tested():
    text = Path(__file__).read_text()
    assert len(SCRIPTS) == 5
    assert [path.name for path in SCRIPTS if f"'{path.name}'" not in text] == []


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda path: path.stem)
def test_examples_are_short_and_say_how_to_run(path):
    text = path.read_text()
    assert text.startswith('# SPDX-License-Identifier: Apache-2.0\n')
    assert len(text.splitlines()) <= 100
    assert re.search(
        rf'^    python3? examples/{path.name}', ast.get_docstring(ast.parse(text)), re.M
    )


@pytest.mark.slow
def test_localize_photo(run, tiny_map, tmp_path):
    query = tiny_map.queries[1]
    photo = tmp_path / 'photo.png'
    cv2.imwrite(str(photo), cv2.cvtColor(query.frame.image, cv2.COLOR_RGB2BGR))
    shown = run(
        'localize_photo.py', tiny_map.map, photo, '--focal', query.frame.camera.matrix[0, 0]
    )
    pose = np.array(re.findall(r'-?\d+\.\d*', shown.split('standard')[0]), float).reshape(4, 4)
    assert np.linalg.norm(pose[:3, 3] - query.world_from_camera[:3, 3]) < 0.2
    assert 'standard deviation of x, y, z [m]:' in shown


@pytest.mark.slow
def test_a_photo_of_nothing_gets_a_reason(run, tiny_map, tmp_path):
    photo = tmp_path / 'black.png'
    cv2.imwrite(str(photo), np.zeros((240, 320, 3), np.uint8))
    assert run('localize_photo.py', tiny_map.map, photo, '--focal', 300).startswith('not accepted')


@pytest.mark.slow
def test_map_folder(run, tiny_map, tmp_path):
    with FolderWriter(tmp_path / 'room') as folder:
        for posed in tiny_map.mapping[:16]:
            folder.write(posed.frame, posed.world_from_camera)
    shown = run('map_folder.py', tmp_path / 'room', '-o', tmp_path / 'room.map', '--minutes', 0.02)
    assert read_header(tmp_path / 'room.map')['frames'] == 16
    assert 'MB, 16 frames' in shown


def test_dsac_loss(run):
    losses = [float(value) for value in re.findall(r'deg\) (\S+)', run('dsac_loss.py'))]
    assert len(losses) == 4
    assert losses[-1] < 0.6 * losses[0]


def test_batch_ransac(run, tmp_path):
    scenes, poses = zip(
        *(
            synthetic_correspondences(seed, inliers=share, noise=0.002)
            for seed, share in enumerate((0.3, 0.5, 0.5))
        )
    )
    points = np.concatenate([scene.points_world for scene in scenes])
    points[2] = np.nan
    np.savez(
        tmp_path / 'correspondences.npz',
        matrix=scenes[0].matrices[0],
        points_world=points,
        pixels=np.concatenate([scene.pixels for scene in scenes]),
    )
    *found, none = run('batch_ransac.py', tmp_path / 'correspondences.npz').splitlines()
    assert none == 'image 2: no pose'
    for line, pose, share in zip(found, poses[:2], (0.3, 0.5), strict=True):
        x, y, z, *_ = map(float, re.findall(r'-?\d+\.\d*', line))
        assert np.allclose((x, y, z), pose[:3, 3], atol=0.01)
        assert float(re.search(r'(\d+)% inliers', line)[1]) == pytest.approx(100 * share, abs=3)


def test_pose_subscriber(make_node, spin_until):
    from geometry_msgs.msg import PoseWithCovarianceStamped

    from dsac_ros.msg import RelocalizationStatus

    example = runpy.run_path(str(EXAMPLES / 'pose_subscriber.py'))
    node = make_node('ignored', lambda name, **options: example['PoseSubscriber'](**options))
    robot = make_node('robot')
    poses, statuses = (
        robot.create_publisher(kind, f'/dsac_relocalizer/{topic}', 10)
        for kind, topic in (
            (PoseWithCovarianceStamped, 'pose_with_covariance'),
            (RelocalizationStatus, 'status'),
        )
    )
    logged = []
    node.get_logger = lambda: SimpleNamespace(info=logged.append, warning=logged.append)
    assert spin_until(lambda: poses.get_subscription_count() and statuses.get_subscription_count())
    pose = PoseWithCovarianceStamped()
    pose.header.frame_id = 'map'
    pose.pose.pose.position.x = 1.25
    pose.pose.covariance[0] = 0.01
    poses.publish(pose)
    statuses.publish(RelocalizationStatus(result=RelocalizationStatus.LOW_INLIERS, reason='dark'))
    assert spin_until(lambda: len(logged) == 2)
    assert sorted(logged) == [
        'not localized: dark',
        'x 1.25 y 0.00 z 0.00 m in map, sigma of x 0.10 m',
    ]
