# SPDX-License-Identifier: Apache-2.0
"""cli/pretrain.py: a run ends with an encoder and nothing that the next one could mistake."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file

from dsac_ros.cli.main import main


@pytest.fixture
def pretrain(tmp_path):
    """`dsac pretrain` of two steps on two photographs; returns its exit code."""
    folder = tmp_path / 'photographs'
    folder.mkdir()
    for seed in range(2):
        coarse = np.random.default_rng(seed).integers(0, 255, (24, 32), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{seed}.png'), cv2.resize(coarse, (480, 360)))

    def run(*words):
        return main(
            [
                'pretrain',
                '-o',
                str(tmp_path / 'e.safetensors'),
                '--photographs',
                str(folder),
                '--rooms',
                '0',
                '--steps',
                '2',
                '--objective',
                'contrastive',
                '--device',
                'cpu',
                '--progress',
                'off',
                *words,
            ]
        )

    return run


def test_a_complete_run_leaves_no_checkpoint(pretrain, tmp_path):
    """A run with another seed starts anew instead of resuming the complete one."""
    weights = []
    for seed in ('0', '1'):
        assert pretrain('--seed', seed) == 0
        assert sorted(p.name for p in tmp_path.iterdir()) == ['e.safetensors', 'photographs']
        weights.append(load_file(tmp_path / 'e.safetensors')['project.weight'])
    assert not np.array_equal(*weights)


def test_an_early_stop_resumes_with_the_same_command(pretrain, tmp_path, capsys):
    """Another seed is another command, and refused."""
    assert pretrain('--stop-at', '1') == 0
    assert (tmp_path / 'e.safetensors.checkpoint').exists()
    assert pretrain('--seed', '1') == 1
    assert 'is of another training (seed is 0, expected 1)' in capsys.readouterr().err
    assert not (tmp_path / 'e.safetensors').exists()
    assert pretrain() == 0
    assert (tmp_path / 'e.safetensors').exists()


def test_broken_photographs_are_skipped_and_counted(pretrain, tmp_path, capsys):
    (tmp_path / 'photographs' / 'broken.jpg').write_bytes(b'no image')
    assert pretrain() == 0
    assert '1 of 3 photographs are left out' in capsys.readouterr().err


def test_only_broken_photographs_are_an_error(pretrain, tmp_path, capsys):
    for path in (tmp_path / 'photographs').iterdir():
        path.write_bytes(b'no image')
    assert pretrain() == 1
    assert 'none of the 2 photographs can be decoded' in capsys.readouterr().err


@pytest.mark.parametrize('words', [('--steps', '0'), ('--stop-at', '0')])
def test_no_steps_at_all_are_wrong_usage(pretrain, words):
    with pytest.raises(SystemExit) as caught:
        pretrain(*words)
    assert caught.value.code == 2


def test_a_negative_number_of_rooms_is_refused(pretrain, capsys):
    assert pretrain('--rooms', '-1') == 1
    assert '--rooms is -1' in capsys.readouterr().err
