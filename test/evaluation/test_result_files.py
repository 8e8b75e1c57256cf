# SPDX-License-Identifier: Apache-2.0
"""evaluation/result_files.py: what other programs read, evo among them."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_ros.evaluation.result_files import (
    evo_result,
    image_names,
    server_line,
    write_errors,
    write_trajectories,
)
from dsac_ros.metrics import evaluate
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.trajectory_files import read_tum
from dsac_ros.types import Localization, Result

START_NS = 1_700_000_000 * 10**9
needs_evo = pytest.mark.skipif(
    importlib.util.find_spec('evo') is None, reason='evo is not installed (Python 3.11 and later)'
)


@pytest.fixture
def drive():
    """Twelve frames on a circle, out of order; one refused, one without an estimate."""
    rng = np.random.default_rng(0)
    references, found = [], []
    for index in rng.permutation(12):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_rotvec([0.3, 0.5 * index, 0.1]).as_matrix()
        pose[:3, 3] = np.sin(index), np.cos(index), 0.1 * index
        estimate = pose.copy()
        estimate[:3, 3] += rng.normal(size=3) * 0.02
        result = Result.LOW_INLIERS if index == 4 else Result.ACCEPTED
        lost = index == 8
        references.append(pose)
        found.append(
            Localization(
                Result.BAD_IMAGE if lost else result,
                'dark, and blurred' if lost else '',
                START_NS + int(index) * 100_000_000,
                f'{index:03d}',
                None if lost else estimate,
            )
        )
    return found, references, evaluate(found, references)


@pytest.fixture
def folder(drive, tmp_path):
    write_trajectories(tmp_path, *drive, {'003': 'cam/003.jpg'})
    return tmp_path


def evo(name, *words, **more):
    """Run a command of evo, which keeps its settings in the home folder."""
    script = (
        'from importlib.metadata import entry_points\n'
        f"(command,) = entry_points(group='console_scripts', name='evo_{name}')\n"
        'command.load()()'
    )
    return subprocess.run(
        [sys.executable, '-c', script, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        **more,
    )


def test_trajectories_are_in_the_order_of_time(drive, folder):
    reference, estimated = (
        read_tum(folder / f'{name}.tum') for name in ('reference', 'estimated')
    )
    assert (np.diff(reference.stamps_ns) == 100_000_000).all() and len(reference.stamps_ns) == 12
    assert len(estimated.stamps_ns) == 10
    assert START_NS + 4 * 100_000_000 not in estimated.stamps_ns


def test_a_line_for_servers_is_camera_from_world():
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler('z', 90, degrees=True).as_matrix()
    pose[:3, 3] = 1, 2, 3
    name, *numbers = server_line('query/1.jpg', pose).split()
    qw, qx, qy, qz, *translation = map(float, numbers)
    rotation = Rotation.from_quat([qx, qy, qz, qw]).as_matrix()
    assert name == 'query/1.jpg'
    np.testing.assert_allclose(rotation @ [1, 2, 3] + translation, 0, atol=1e-8)
    np.testing.assert_allclose(rotation, pose[:3, :3].T, atol=1e-8)


def test_servers_get_accepted_poses_by_image_name(folder):
    names = [line.split()[0] for line in (folder / 'poses.txt').read_text().splitlines()]
    assert len(names) == 10
    assert 'cam/003.jpg' in names and '001' in names and '004' not in names


def test_names_of_images_have_their_endings():
    files = [
        FrameFiles(name, Path(image), 0, lambda size: None)
        for name, image in (('0001', 'rgb/0001.png'), ('a/b.jpg', 'images/a/b.jpg'))
    ]
    names = image_names(FileSource(Path('x'), 'frames', files))
    assert names == {'0001': '0001.png', 'a/b.jpg': 'a/b.jpg'}


def test_errors_of_every_frame_are_a_table(drive, tmp_path):
    found, _, report = drive
    write_errors(tmp_path / 'errors.csv', found, report, np.arange(12.0))
    rows = list(csv.DictReader((tmp_path / 'errors.csv').open(newline='')))
    lost = next(row for row in rows if row['name'] == '008')
    assert len(rows) == 12 and rows[3]['mapping_distance_m'] == '3.000000'
    assert lost['reason'] == 'dark, and blurred'
    assert float(lost['translation_m']) == np.inf and np.isnan(float(lost['pose_nees']))


def test_the_result_for_evo_is_the_same_at_any_time():
    stamps, errors = np.array([10.0, 11.5]), np.array([0.3, 0.4])
    data = evo_result(stamps, errors)
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert {one.date_time[0] for one in archive.infolist()} == {1980}
    stats = json.loads(archive.read('stats.json'))
    assert stats['rmse'] == pytest.approx(np.sqrt(0.125)) and stats['mean'] == pytest.approx(0.35)
    assert data == evo_result(stamps, errors)


def test_nothing_accepted_leaves_no_old_result(drive, folder):
    found, references, _ = drive
    lost = [Localization(Result.ERROR, stamp_ns=one.stamp_ns) for one in found]
    assert (folder / 'evo_ape.zip').exists()
    write_trajectories(folder, lost, references, evaluate(lost, references))
    assert not (folder / 'evo_ape.zip').exists()
    assert (folder / 'poses.txt').read_text() == ''


@needs_evo
def test_evo_ape_tells_our_errors(drive, folder, monkeypatch):
    monkeypatch.setenv('HOME', str(folder))
    _, _, report = drive
    done = evo('ape', 'tum', folder / 'reference.tum', folder / 'estimated.tum')
    assert done.returncode == 0, done.stderr + done.stdout
    told = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    errors = report.translation_m[report.accepted]
    assert float(told['mean']) == pytest.approx(errors.mean(), abs=1e-6)
    assert float(told['max']) == pytest.approx(errors.max(), abs=1e-6)
    rotation = evo(
        'ape', 'tum', folder / 'reference.tum', folder / 'estimated.tum', '-r', 'angle_deg'
    )
    assert 'max' in rotation.stdout, rotation.stderr


@needs_evo
def test_evo_res_reads_our_result(drive, folder, monkeypatch):
    monkeypatch.setenv('HOME', str(folder))
    _, _, report = drive
    done = evo('res', folder / 'evo_ape.zip', '--save_table', folder / 'table.csv')
    assert done.returncode == 0, done.stderr + done.stdout
    row = next(csv.DictReader((folder / 'table.csv').open()))
    errors = report.translation_m[report.accepted]
    assert float(row['median']) == pytest.approx(np.median(errors), abs=1e-6)
