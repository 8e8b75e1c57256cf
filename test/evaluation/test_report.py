# SPDX-License-Identifier: Apache-2.0
"""evaluation/report.py and plots/: a page that stands alone, with every picture on it."""

from __future__ import annotations

import base64
import csv
import io
import json
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib import rcParams
from PIL import Image
from scipy.spatial.transform import Rotation

from dsac_ros.errors import MapError
from dsac_ros.evaluation.plots.drive import draw_trajectory
from dsac_ros.evaluation.plots.map import draw_map
from dsac_ros.evaluation.plots.style import png
from dsac_ros.evaluation.plots.trust import six_dof_share
from dsac_ros.evaluation.report import write_report
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


def test_the_page_stands_alone(run, tmp_path):
    references, found, frames = run
    localizer = FakeLocalizer()
    report = evaluate(found, references, 3_000_000, 'cpu')
    path = write_report(
        tmp_path / 'new' / 'folder',
        localizer,
        iter(frames),
        found,
        references,
        report,
        about={'command': 'dsac <evaluate>'},
    )
    page = Page()
    page.feed(path.read_text())
    assert page.open == []
    assert len(page.sources) == 7
    assert all(source.startswith('data:image/png;base64,') for source in page.sources)
    for source in page.sources:
        picture = Image.open(io.BytesIO(base64.b64decode(source.partition(',')[2])))
        assert min(picture.size) > 200
    text = ' '.join(page.text)
    assert 'dsac <evaluate>' in text
    assert 'not accepted: <few> inliers' in text
    assert localizer.seen[0] == f'frame-{WORST:03d}' or localizer.seen[1] == f'frame-{WORST:03d}'
    assert json.loads((path.parent / 'summary.json').read_text())['frames'] == FRAMES
    rows = list(csv.DictReader((path.parent / 'errors.csv').open()))
    assert len(rows) == FRAMES
    assert rows[WORST]['result'] == 'LOW_INLIERS'


def test_nothing_localized_still_gives_a_page(run, tmp_path):
    references, _, frames = run
    lost = [Localization(Result.LOW_INLIERS, 'no pose', row) for row in range(FRAMES)]
    path = write_report(
        tmp_path, FakeLocalizer(), iter(frames), lost, references, evaluate(lost, references)
    )
    assert 'no estimate' in path.read_text()


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
