# SPDX-License-Identifier: Apache-2.0
"""A bag with a localizer in it, replayed as evaluate_replay.launch.py does, and evaluated."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from robot import BASE_FROM_CAMERA, yaml

from dsac_ros.cli.main import main
from dsac_ros.nodes.launch_arguments import REPLAY
from dsac_ros.sources.bag_writer import BagWriter

STEP_NS, START_NS = 200_000_000, 1_700_000_000 * 10**9
LEAD_NS = 500_000_000  # TF before the first image and after the last
MAP_FROM_ODOM = np.array([[0, -1, 0, 2.0], [1, 0, 0, -3.0], [0, 0, 1, 0], [0, 0, 0, 1]])
TOPICS = {'image': '/camera/image_raw', 'camera_info': '/camera/camera_info'}


def run(name, *arguments):
    words = [sys.executable, '-m', 'dsac_ros.cli.main', 'run', name, '--ros-args']
    return words + [word for argument in arguments for word in argument]


def record(path, queries):
    """A drive whose poses are those of a localizer: map -> odom -> base_link -> camera."""
    with BagWriter(path) as bag:
        bag.transform('base_link', 'camera_optical', START_NS, BASE_FROM_CAMERA, static=True)
        for index, posed in enumerate(queries):
            stamp = START_NS + LEAD_NS + index * STEP_NS
            map_from_base = posed.world_from_camera @ np.linalg.inv(BASE_FROM_CAMERA)
            for shift in (-STEP_NS // 2, 0, STEP_NS // 2):
                bag.transform('map', 'odom', stamp + shift, MAP_FROM_ODOM)
                bag.transform(
                    'odom',
                    'base_link',
                    stamp + shift,
                    np.linalg.inv(MAP_FROM_ODOM) @ map_from_base,
                )
            bag.camera_info(TOPICS['camera_info'], 'camera_optical', stamp, posed.frame.camera)
            bag.image(TOPICS['image'], 'camera_optical', stamp, posed.frame.image)
    return path


@pytest.mark.slow
def test_live_figures_equal_the_offline_ones(tiny_map, tmp_path, run_process, capsys):
    bag, outputs = record(tmp_path / 'drive.mcap', tiny_map.queries), tmp_path / 'a' / 'out.jsonl'
    run_process(run('tf_filter', ('-p', 'use_sim_time:=true')))
    run_process(run('output_recorder', ('-p', f'output:={outputs}')))
    parameters = {'map': str(tiny_map.map), 'use_sim_time': True, 'tf_mode': 'none', **REPLAY}
    relocalizer = run_process(
        run(
            'relocalizer',
            *(('-p', f'{name}:={yaml(value)}') for name, value in parameters.items()),
            *(('-r', f'{name}:={topic}') for name, topic in TOPICS.items()),
        )
    )
    waiting = run_process(run('wait_for_active', ('-p', 'node:=dsac_relocalizer')))
    assert waiting.wait(120.0) == 0, waiting.output + relocalizer.output
    player = run_process(
        [sys.executable, '-m', 'dsac_ros.cli.main', 'play', str(bag), '--clock', '--rate', '0.25']
        + ['--progress', 'off', '--delay', '2']
        + [word for name in ('/tf', '/tf_static') for word in ('--remap', f'{name}:={name}_bag')]
        + [word for topic in (*TOPICS.values(), '/tf') for word in ('--wait-for', topic)]
    )
    assert player.wait(120.0) == 0, player.output
    relocalizer.stop()
    words = ['evaluate', str(tiny_map.map), str(bag), '--device', 'cpu', '--progress', 'off']
    reports = {}
    for name, more in (('live', ['--outputs', str(outputs)]), ('offline', [])):
        assert main([*words, *more, '--json', str(tmp_path / f'{name}.json')]) == 0
        reports[name] = json.loads((tmp_path / f'{name}.json').read_text())
        capsys.readouterr()
    live, offline = reports['live'], reports['offline']
    assert live['frames'] == len(tiny_map.queries) and live['accepted'] > 0
    for name in ('frames', 'accepted', 'recall', 'false_accepts', 'coverage'):
        assert live[name] == offline[name], (name, relocalizer.output)
    for name in ('median_translation_accepted_m', 'median_rotation_accepted_deg'):
        assert live[name] == pytest.approx(offline[name], rel=1e-3)


def test_a_recording_that_is_none_is_one_line(tmp_path, capsys):
    from dsac_ros.errors import SourceError
    from dsac_ros.evaluation.node_outputs import read_events

    path = tmp_path / 'out.jsonl'
    good = json.dumps({'event': 'ready', 'stamp_ns': 5}) + '\n'
    path.write_text(good + good[:20])  # ended while it wrote
    assert read_events(path) == [{'event': 'ready', 'stamp_ns': 5}]
    for text in ('nonsense\n', '[1]\n', '{"event": "status"}\n', '7\n'):
        path.write_text(good + text)
        with pytest.raises(SourceError, match=r'line 2 is .* expected an output of a node'):
            read_events(path)


def test_a_recorder_that_cannot_write_is_one_line(run_process, tmp_path):
    (tmp_path / 'file').write_text('')
    process = run_process(run('output_recorder', ('-p', f'output:={tmp_path}/file/out.jsonl')))
    assert process.wait(60.0) == 1
    assert 'out.jsonl cannot be written: ' in process.output
    assert 'Traceback' not in process.output
