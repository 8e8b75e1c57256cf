# SPDX-License-Identifier: Apache-2.0
"""cli/map.py: what is refused before any work is done."""

from __future__ import annotations

import numpy as np
import pytest
from drives import drive, views_of

from dsac_ros.cli.main import main
from dsac_ros.cli.map_summary import end_to_end_line
from dsac_ros.config import MappingConfig
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.types import Camera, Frame


@pytest.mark.parametrize(
    'words', [['--set', 'selection=softam'], ['--recipe', 'ace', '--set', 'entropy_bits=2']]
)
def test_unused_end_to_end_settings_are_refused(words, tmp_path, capsys):
    """Settings of end-to-end training are refused where no option asks for it."""
    assert main(['map', str(tmp_path), '-o', str(tmp_path / 'a.map'), *words]) == 1
    assert 'end-to-end training; add --finetune' in capsys.readouterr().err


@pytest.mark.parametrize(
    'words',
    [
        ['--finetune', '--set', 'selection=softam'],
        ['--recipe', 'dsacstar', '--set', 'selection=softam'],
        ['--set', 'inlier_px=8', '--finetune'],
    ],
)
def test_where_it_was_asked_for_the_source_is_read(words, tmp_path, capsys):
    assert main(['map', str(tmp_path), '-o', str(tmp_path / 'a.map'), *words]) == 1
    told = capsys.readouterr().err
    assert str(tmp_path) in told and 'add --finetune' not in told


@pytest.mark.parametrize(
    ('words', 'told'),
    [
        (['--finetune'], '--finetune is for the recipe ace'),
        (['--set', 'finetune_encoder=true'], 'finetune_encoder is for the recipe ace'),
        (['--set', 'score=uncertainty'], 'score=uncertainty needs a network that predicts it'),
    ],
)
def test_what_a_whole_network_does_not_know_is_refused(words, told, tmp_path, capsys):
    assert (
        main(
            [
                'map',
                str(tmp_path),
                '-o',
                str(tmp_path / 'a.map'),
                '--recipe',
                'dsacstar_tiny',
                *words,
            ]
        )
        == 1
    )
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ('told', 'line'),
    [
        (
            {'before': 2.0, 'after': 1.0},
            'end to end: 2 before, 1 after (cm and deg in a room, on held-out frames)',
        ),
        (
            {'before': 2.0, 'after': 2.0},
            'end to end: 2 before, 2 after (cm and deg in a room, on '
            'held-out frames); not significantly better, so nothing is '
            'changed',
        ),
        (
            {'reason': 'too few held-out frames'},
            'end to end: not trained, too few held-out frames',
        ),
        ({'not_validated': 'few'}, 'end to end: trained, not validated (few)'),
    ],
)
def test_what_end_to_end_training_gave_is_told(told, line):
    assert end_to_end_line(told) == line


def test_settings_of_a_file_are_refused_as_well(tmp_path, capsys):
    (tmp_path / 'a.yaml').write_text('entropy_bits: 2\n')
    words = ['map', str(tmp_path), '-o', str(tmp_path / 'a.map'), '--config']
    assert main([*words, str(tmp_path / 'a.yaml')]) == 1
    assert 'entropy_bits is a setting of end-to-end training' in capsys.readouterr().err


def test_resume_without_a_checkpoint_is_refused_early(tmp_path, capsys):
    """The refusal comes before the frames are read."""
    assert main(['map', str(tmp_path / 'nothing'), '-o', str(tmp_path / 'a.map'), '--resume']) == 1
    told = capsys.readouterr().err
    assert f'there is no checkpoint {tmp_path / "a.map.checkpoint"} to resume from' in told


@pytest.fixture
def learning(monkeypatch, tmp_path):
    """`dsac map` on a source of no frames; returns the settings of each training, which `ends`."""
    seen = []

    def learn(frames, config, *args, **more):
        seen.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr('dsac_ros.systems.learning.learn', learn)
    (tmp_path / 'a.png').write_bytes(b'')

    def run(*words):
        return main(
            [
                'map',
                str(tmp_path / 'a.png'),
                '--focal',
                '100',
                '-o',
                str(tmp_path / 'a.map'),
                *words,
            ]
        )

    run.seen = seen
    return run


def test_resume_is_promised_only_with_a_checkpoint(learning, tmp_path, capsys):
    assert learning() == 130
    assert 'the training had not begun' in capsys.readouterr().err
    (tmp_path / 'a.map.checkpoint').write_bytes(b'')
    assert learning() == 130
    assert 'the same command with --resume goes on from here' in capsys.readouterr().err


def test_experts_and_minutes_are_options(learning):
    assert learning('--experts', '12', '--minutes', '3') == 130
    assert learning() == 130
    (named, default) = learning.seen
    assert (named.experts, named.minutes) == (12, 3.0)
    assert default == MappingConfig()


def test_the_help_tells_the_defaults(capsys):
    with pytest.raises(SystemExit):
        main(['map', '--help'])
    told = ' '.join(capsys.readouterr().out.split())
    assert f'come on top (default: {MappingConfig.minutes:g})' in told


def test_poses_that_do_not_fit_stop_before_training(tmp_path, capsys):
    """World-to-camera poses of ten frames: one line with the option, and no map."""
    with FolderWriter(tmp_path / 'a') as folder:
        for view in views_of(drive(10)):
            camera = Camera((320, 240), view.matrix)
            folder.write(
                Frame(view.image, camera, view.stamp_ns), np.linalg.inv(view.scene_from_camera)
            )
    words = ['map', str(tmp_path / 'a'), '-o', str(tmp_path / 'a.map'), '--progress', 'off']
    assert main(words) == 1
    told = capsys.readouterr().err
    assert told.startswith('dsac: error: poses and images do not fit: ') and told.count('\n') == 1
    assert 'use --pose-direction camera-from-world, or --trust-poses' in told
    assert not (tmp_path / 'a.map').exists()
    assert 'on top of' not in told
    assert main([*words, '--pose-axes', 'opengl']) == 1
    assert 'on top of the pose options given: leave them out' in capsys.readouterr().err
