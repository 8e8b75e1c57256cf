# SPDX-License-Identifier: Apache-2.0
"""When a training is resumed, when it begins anew, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from robot import texture

from dsac_ros.errors import MappingError
from dsac_ros.nodes import map_training
from dsac_ros.nodes.map_training import MapTraining, checkpoint_path, record_path
from dsac_ros.nodes.training import TrainingState
from dsac_ros.sources.image_files import write_image


class Process:
    """Stands for `dsac map`: it runs until the test says how it ends."""

    process_id = 0

    def __init__(self, dataset, output, *options):
        self.output, self.options = output, options
        self.state = TrainingState(running=True, stage='training', progress=0.4)
        checkpoint_path(output).write_bytes(b'state')

    def interrupt(self):
        self.end(130)

    def end(self, code, reason=''):
        if code == 0:
            checkpoint_path(self.output).unlink()
        self.state = TrainingState(False, code, 'training', 0.4, reason=reason)


class Mapper:
    """A mapper with a dataset of two images, as often begun as wanted."""

    def __init__(self, folder):
        self.dataset, self.output = folder / 'drive', folder / 'drive.map'
        (self.dataset / 'rgb').mkdir(parents=True)
        self.add_image('a')
        self.add_image('b')
        self.restart()

    def restart(self):
        self.training = MapTraining()

    def add_image(self, name):
        write_image(self.dataset / 'rgb' / f'{name}.png', texture(0))

    def save(self, *options):
        """Call ~/save and return True if it resumes."""
        answer = self.training.start(self.dataset, self.output, options)
        self.process = self.training._training
        resumes = '--resume' in self.process.options
        assert answer.startswith('resuming to learn' if resumes else 'learning')
        return resumes


@pytest.fixture
def mapper(tmp_path, monkeypatch):
    monkeypatch.setattr(map_training, 'Training', Process)
    return Mapper(tmp_path)


def test_an_interrupted_training_is_resumed(mapper):
    assert not mapper.save('--minutes', '3')
    mapper.training.interrupt()
    assert 'interrupted at 40% of training: ~/save resumes it' in mapper.training.state.reason
    assert mapper.training.settle() is None
    assert mapper.save('--minutes', '5')


def test_a_killed_mapper_is_resumed(mapper):
    mapper.save()
    mapper.restart()
    assert mapper.save()


@pytest.mark.parametrize('change', ['images', 'options', 'no record', 'no checkpoint'])
def test_another_training_begins_anew(mapper, change):
    mapper.save()
    mapper.restart()
    if change == 'images':
        mapper.add_image('c')
    elif change == 'no record':
        record_path(mapper.output).unlink()
    elif change == 'no checkpoint':
        checkpoint_path(mapper.output).unlink()
    assert not mapper.save(*(['--refine-poses'] if change == 'options' else []))


def test_a_resumed_training_that_fails_is_not_again(mapper):
    mapper.save()
    mapper.restart()
    assert mapper.save()
    mapper.process.end(1, 'drive.map.checkpoint is of other frames or settings')
    assert mapper.training.settle() is None
    assert not mapper.save()


def test_a_map_that_is_learned_is_told_once(mapper):
    mapper.save()
    assert mapper.training.settle() is None
    mapper.process.end(0)
    assert mapper.training.settle() == mapper.output
    assert mapper.training.settle() is None
    assert not record_path(mapper.output).exists()


def test_one_training_at_a_time(mapper):
    mapper.save()
    with pytest.raises(MappingError, match='is being learned'):
        mapper.save()


def test_a_process_that_still_learns_is_waited_for(mapper):
    mapper.save()
    mapper.restart()
    code = 'import time; time.sleep(60)'
    with subprocess.Popen([sys.executable, '-c', code, str(mapper.output)]) as process:
        record = json.loads(record_path(mapper.output).read_text())
        record_path(mapper.output).write_text(json.dumps({**record, 'process': process.pid}))
        try:
            with pytest.raises(MappingError, match='is still learning'):
                mapper.save()
        finally:
            process.kill()
    assert mapper.save()


@pytest.mark.parametrize('text', ['', '{', '[]', '{"process": "x"}', '{"process": -5}'])
def test_a_broken_record_is_none(mapper, text):
    mapper.save()
    mapper.restart()
    record_path(mapper.output).write_text(text)
    assert not mapper.save()


def test_this_process_is_no_training(tmp_path):
    assert not map_training.is_learning(os.getpid(), tmp_path)
