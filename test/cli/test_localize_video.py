# SPDX-License-Identifier: Apache-2.0
"""`dsac localize MAP VIDEO`: the frames of a video are queries like any others."""

from __future__ import annotations

import json

import av
import pytest
from published_layouts import FOCAL, SIZE_WH, WRITERS, rendered_frames

from dsac_ros.cli import main

RATE = 10


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A map of a rendered room, too small to accept a pose, and a video of the same room."""
    path = tmp_path_factory.mktemp('place')
    train, test = rendered_frames()
    WRITERS['wayspots'][0](path, train, test)
    source = str(path / 'wayspots_bears/train')
    words = ['map', source, '-o', str(path / 'a.dsac'), '--recipe', 'retrieval']
    assert main.main([*words, '--progress', 'off']) == 0
    with av.open(str(path / 'a.mp4'), 'w') as video:
        stream = video.add_stream('mpeg4', rate=RATE)
        stream.width, stream.height = SIZE_WH
        stream.pix_fmt, stream.bit_rate = 'yuv420p', 4_000_000
        for posed in test:
            frame = av.VideoFrame.from_ndarray(posed.frame.image, format='rgb24')
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    return path


def localize(place, *words):
    given = ['localize', str(place / 'a.dsac'), *map(str, words), '--progress', 'off']
    return main.main(given)


@pytest.mark.slow
def test_every_frame_of_a_video_gets_an_answer(place, capsys):
    assert localize(place, place / 'a.mp4', '--focal', FOCAL, '--json', place / 'a.json') == 0
    found = json.loads((place / 'a.json').read_text())
    assert found['frames'] == len(rendered_frames()[1]) == len(found['poses'])
    stamps = [one['stamp_ns'] for one in found['poses']]
    assert stamps == [index * 10**9 // RATE for index in range(len(stamps))]
    assert all(one['accepted'] or one['reason'] for one in found['poses'])
    assert len(capsys.readouterr().out.splitlines()) == len(stamps) + 1


@pytest.mark.slow
def test_no_lens_or_a_broken_video_is_one_line(place, capsys):
    capsys.readouterr()
    assert localize(place, place / 'a.mp4') == 1
    assert '--focal' in capsys.readouterr().err
    (place / 'broken.mp4').write_bytes((place / 'a.mp4').read_bytes()[:200])
    assert localize(place, place / 'broken.mp4', '--focal', FOCAL) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if 'error' in line]
    assert len(errors) == 1 and 'broken.mp4' in errors[0]
