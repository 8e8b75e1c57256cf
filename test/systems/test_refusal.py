# SPDX-License-Identifier: Apache-2.0
"""A map that cannot answer refuses everything, and says so when it is learned."""

from __future__ import annotations

import pytest

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.cli.main import main
from dsac_ros.map_container import read_header
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.systems.evidence import EvidenceModel
from dsac_ros.systems.loading import load_localizer
from dsac_ros.systems.refusal import refusal
from dsac_ros.types import Result

HELD_OUT = {'frames': 28}
NEVER = AcceptanceModel(accepts_alone=False, checked=28, right_alone=0).as_dict()
SELDOM = AcceptanceModel(accepts_alone=False, checked=28, right_alone=2).as_dict()
NO_EVIDENCE = EvidenceModel(held_out=28, right=0).as_dict()


@pytest.mark.parametrize(
    ('header', 'words'),
    [
        ({'network': 'x', 'held_out': HELD_OUT, 'acceptance': NEVER}, 'none of the 28 held-out'),
        ({'network': 'x', 'held_out': None, 'acceptance': NEVER}, 'none of the 28 mapping'),
        ({'network': 'x', 'held_out': HELD_OUT, 'acceptance': SELDOM}, '2 of 28 held-out'),
        ({'system': 'retrieval', 'acceptance': NO_EVIDENCE}, '0 of 28 held-out frames'),
        ({'head': {}, 'held_out': HELD_OUT, 'acceptance': NEVER}, ''),
        ({'network': 'x', 'held_out': HELD_OUT, 'acceptance': AcceptanceModel().as_dict()}, ''),
        ({'network': 'x', 'held_out': None}, ''),
    ],
)
def test_headers_tell_why_nothing_is_accepted(header, words):
    told = refusal(header)
    assert (words in told and 'it accepts nothing' in told) if words else not told


@pytest.mark.parametrize('held_out', ['0.3', '0'])
def test_a_map_after_five_steps_accepts_nothing(
    wall_frames, wall_queries, tmp_path, capsys, held_out
):
    """With held-out frames or without: it is right about nothing, not even about what it saw."""
    source, path = tmp_path / 'frames', tmp_path / 'wall.map'
    with FolderWriter(source) as folder:
        for posed in wall_frames:
            folder.write(posed.frame, posed.world_from_camera)
    words = ['map', str(source), '-o', str(path), '--recipe', 'dsacstar_tiny', '--device', 'cpu']
    settings = [f'--set={one}' for one in ('steps=5', 'short_side=64', f'held_out={held_out}')]
    assert main([*words, *settings, '--progress', 'off']) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    kind, count = ('held-out', 12) if held_out == '0.3' else ('mapping', 20)
    assert line.startswith(
        f'of no use: none of the {count} {kind} frames that were asked was right'
    )
    header = read_header(path)
    assert refusal(header) in line
    localizer = load_localizer(path, 'cpu')
    for posed in wall_queries:
        found = localizer.localize(posed.frame)
        assert found.result is Result.LOW_INLIERS and found.reason
