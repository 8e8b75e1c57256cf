# SPDX-License-Identifier: Apache-2.0
"""evaluation/report.py and plots/: a page that stands alone, with every picture on it."""

from __future__ import annotations

import base64
import csv
import errno
import io
import json
import os
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib import rcParams
from PIL import Image
from scipy.spatial.transform import Rotation

from dsac_ros.errors import MapError
from dsac_ros.evaluation.analysis import Analysis, KidnapOptions
from dsac_ros.evaluation.plots.drive import draw_trajectory
from dsac_ros.evaluation.plots.map import draw_map
from dsac_ros.evaluation.plots.style import png
from dsac_ros.evaluation.plots.trust import six_dof_share
from dsac_ros.evaluation.report import write_report
from dsac_ros.evaluation.runs import Run
from dsac_ros.metrics import SIGMA_RADII, evaluate
from dsac_ros.types import Camera, Frame, Localization, PosedFrame, Result, SceneCoordinates

FRAMES, WORST = 24, 7


class FakeLocalizer:
    """Sees the same scene coordinates in every image; remembers what it was shown."""

    def __init__(self):
        self.map = SimpleNamespace(header={'short_side': 64})
        self.seen = []

    def localize(self, frame):
        self.seen.append(frame.name)
        return Localization(Result.ACCEPTED)

    def scene_coordinates(self, frame):
        rows, columns = np.mgrid[:8, :10]
        pixels = np.stack([columns.ravel() * 8 + 3.5, rows.ravel() * 8 + 3.5], axis=1)
        points = torch.tensor(np.c_[pixels / 10, pixels[:, :1]])[None]
        scene = SceneCoordinates(
            points,
            torch.tensor(pixels)[None],
            torch.ones(1, 80),
            torch.ones(1, 80, dtype=torch.bool),
            torch.eye(3)[None],
            (8, 10),
        )
        inliers = torch.arange(80)[None] % 3 > 0
        return scene, SimpleNamespace(inliers=inliers)


@pytest.fixture(scope='module')
def run():
    """A drive in a circle: references, localizations, frames; frame WORST is far off."""
    rng = np.random.default_rng(0)
    camera = Camera((80, 64), np.array([[70.0, 0, 39.5], [0, 70, 31.5], [0, 0, 1]]))
    image = rng.integers(0, 255, (64, 80), dtype=np.uint8)
    references, found, frames = [], [], []
    for row in range(FRAMES):
        turn = Rotation.from_euler('z', row / FRAMES * 2 * np.pi)
        pose = np.eye(4)
        pose[:3, :3] = turn.as_matrix() @ np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
        pose[:3, 3] = turn.apply([2.0, 0, 1.2])
        estimate = pose.copy()
        estimate[:3, 3] += rng.normal(size=3) * (0.01 if row != WORST else 0.8)
        references.append(pose)
        found.append(
            Localization(
                Result.ACCEPTED if row != WORST else Result.LOW_INLIERS,
                '<few> inliers',
                row * 100_000_000,
                f'frame-{row:03d}',
                estimate,
                np.eye(6) * 1e-4,
                confidence=0.9,
                timings_ms={'network': 60.0 + row, 'ransac': 20.0},
            )
        )
        frames.append(PosedFrame(Frame(image, camera, found[-1].stamp_ns, found[-1].name), pose))
    return references, found, frames


class Page(HTMLParser):
    """Collects what a page refers to and says."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ('meta', 'img'):
            self.open.append(tag)
        self.sources += [value for name, value in attrs if name in ('src', 'href')]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def analysed(found, references, **more):
    """The analysis of answers, with mapping frames where the first ones of the drive are."""
    report = evaluate(found, references, 3_000_000, 'cpu', {'machine': {'cpu': 'this one'}})
    return Analysis.of(found, references, report, np.array(references[:5]), **more)


def test_the_page_stands_alone(run, tmp_path):
    references, found, frames = run
    localizer = FakeLocalizer()
    path = write_report(
        tmp_path / 'new' / 'folder',
        localizer,
        iter(frames),
        analysed(found, references, kidnap=KidnapOptions(20)),
        about={'command': 'dsac <evaluate>'},
    )
    page, times = Page(), Page()
    page.feed(path.read_text())
    times.feed((path.parent / 'times.html').read_text())
    assert page.open == times.open == []
    pictures = [one for one in page.sources if one != 'times.html']
    # two by place, three of the drive, three of trust, a typical frame and the worst ones
    assert len(pictures) == 8 + 1 + 5 == len(page.sources) - 1
    for source in [*pictures, times.sources[0]]:
        head, _, data = source.partition(',')
        assert head == 'data:image/png;base64'
        assert min(Image.open(io.BytesIO(base64.b64decode(data))).size) > 200
    text = ' '.join(page.text)
    assert 'refused, LOW_INLIERS: <few> inliers' in text
    assert 'dsac <evaluate>' in ' '.join(times.text) and 'this one' not in text
    assert f'frame-{WORST:03d}' in localizer.seen and len(localizer.seen) == 6
    summary = json.loads((path.parent / 'summary.json').read_text())
    assert summary['frames'] == FRAMES and summary['worst'][0]['name'] == f'frame-{WORST:03d}'
    assert 'latency_ms' not in summary
    times = json.loads((path.parent / 'times.json').read_text())
    assert times['latency_ms']['network']['p50'] == 60.0 + (FRAMES - 1) / 2
    rows = list(csv.DictReader((path.parent / 'errors.csv').open()))
    assert len(rows) == FRAMES
    assert rows[WORST]['result'] == 'LOW_INLIERS'
    assert '| frames | 24 |' in (path.parent / 'report.md').read_text()


def test_other_times_change_only_files_of_times(run, tmp_path):
    references, found, frames = run
    for folder, factor in (('a', 1), ('b', 2)):
        other = [
            replace(one, timings_ms={name: factor * time for name, time in one.timings_ms.items()})
            for one in found
        ]
        write_report(
            tmp_path / folder,
            FakeLocalizer(),
            iter(frames),
            analysed(other, references, kidnap=KidnapOptions(20, 7)),
            about={'command': folder},
        )
    a, b = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in 'ab'
    )
    assert (
        set(a)
        == set(b)
        == {
            'errors.csv',
            'estimated.tum',
            'evo_ape.zip',
            'places.png',
            'poses.txt',
            'reference.tum',
            'report.html',
            'report.md',
            'summary.json',
            'times.html',
            'times.json',
        }
    )
    assert {name for name in a if a[name] != b[name]} == {'times.html', 'times.json'}


def test_several_runs_stand_side_by_side(run, tmp_path):
    references, found, frames = run
    first, _ = (
        write_report(tmp_path / folder, FakeLocalizer(), iter(frames), analysed(found, references))
        for folder in 'ab'
    )
    earlier = Run.read('earlier', first.parent)
    rest = (one[1:] for one in (earlier.translation_m, earlier.rotation_deg, earlier.accepted))
    less = Run('of few frames', earlier.values, earlier.names[1:], *rest)
    path = write_report(
        tmp_path / 'c', FakeLocalizer(), iter(frames), analysed(found, references), [earlier, less]
    )
    text = path.read_text()
    assert 'Side by side' in text and '<th class=number>earlier</th>' in text
    assert 'so not comparable: of few frames.' in text
    rows = json.loads((path.parent / 'summary.json').read_text())['side_by_side']
    assert [row['name'] for row in rows] == ['this run', 'earlier', 'of few frames']
    assert [row['same_frames'] for row in rows] == [True, True, False]


def test_nothing_localized_still_gives_a_page(run, tmp_path):
    references, _, frames = run
    lost = [Localization(Result.LOW_INLIERS, 'no pose', row) for row in range(FRAMES)]
    path = write_report(
        tmp_path,
        FakeLocalizer(),
        iter(frames),
        analysed(lost, references, kidnap=KidnapOptions(3)),
    )
    text = path.read_text()
    assert 'no estimate' in text and 'never' in text
    assert not (tmp_path / 'evo_ape.zip').exists()


def test_drawing_leaves_matplotlib_settings_unchanged(run):
    references, found, _ = run
    before = dict(rcParams)
    png(
        draw_trajectory(
            np.array(references),
            [one.world_from_camera for one in found],
            evaluate(found, references),
        )
    )
    assert dict(rcParams) == before


def test_a_map_is_drawn_from_its_header():
    header = {
        'name': 'hall',
        'frames': 9,
        'keyframes': [[x, 0.0, 1.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0] for x in range(5)],
    }
    assert png(draw_map(header)).startswith(b'\x89PNG')
    with pytest.raises(MapError, match=r"'hall' has no keyframe poses"):
        draw_map({'name': 'hall', 'frames': 9})


def test_share_inside_a_sigma_radius():
    np.testing.assert_allclose(
        six_dof_share(np.array(list(SIGMA_RADII.values()))), [0.6827, 0.9545, 0.9973], atol=1e-4
    )


@pytest.mark.parametrize('written', [0, 3, 6])
def test_a_full_disk_leaves_no_half_of_a_report(run, tmp_path, monkeypatch, written):
    """Every file is the old one or the new one when the disk is full after so many."""
    references, found, frames = run
    write = partial(write_report, localizer=FakeLocalizer(), frames=frames)
    write(tmp_path / 'new', analysis=analysed(found, references))
    whole = {path.name: path.read_bytes() for path in (tmp_path / 'new').iterdir()}
    (tmp_path / 'old').mkdir()
    for name in whole:
        (tmp_path / 'old' / name).write_text('old')
    sync, calls = os.fsync, iter(range(100))

    def full(file):
        if next(calls) == written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        write(tmp_path / 'old', analysis=analysed(found, references))
    there = {path.name: path.read_bytes() for path in (tmp_path / 'old').iterdir()}
    assert there.keys() == whole.keys()
    assert sum(there[name] == whole[name] for name in whole) == written
    assert sum(there[name] == b'old' for name in whole) == len(whole) - written
