# SPDX-License-Identifier: Apache-2.0
"""cli/demo*.py: processes that always end, and the node's answers from the graph to the report."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

import numpy as np
import pytest
import yaml

from dsac_ros.cli import demo, demo_graph, demo_report
from dsac_ros.cli.demo_graph import Graph, NodeFailedError
from dsac_ros.nodes.parameters import specs_of
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.sources.bag_writer import BagWriter
from dsac_ros.sources.rendered_recording import TRUTH_TOPIC

PYTHON = (sys.executable, '-c')


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_no_process_is_left_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt), Graph(tmp_path) as graph:
        graph.start('idle', *PYTHON, 'import time; time.sleep(100)')
        graph.start(
            'stubborn',
            *PYTHON,
            'import signal, time; print(1, flush=True); '
            'signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3)',
        )
        pids = [process.pid for process in graph._processes.values()]
        assert all(map(is_alive, pids))
        raise KeyboardInterrupt
    assert not any(map(is_alive, pids))


def test_a_process_that_fails_says_why(tmp_path):
    expected = r'relocalizer ended with code 3: no such map .*relocalizer\.log'
    with pytest.raises(NodeFailedError, match=expected), Graph(tmp_path) as graph:
        graph.start(
            'relocalizer',
            *PYTHON,
            'import sys; print("no such map", file=sys.stderr); sys.exit(3)',
        )
        graph.wait_until(lambda: False, 20.0, 'the start')


def test_waiting_ends(tmp_path):
    expected = 'the start did not happen within 0 s'
    with pytest.raises(NodeFailedError, match=expected), Graph(tmp_path) as graph:
        graph.wait_until(lambda: False, 0.1, 'the start')


def test_answers_end_after_the_player_and_silence(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_graph, 'QUIET_SECONDS', 0.5)
    say = "import json; print(json.dumps({'event': 'status'}), flush=True); "
    with Graph(tmp_path) as graph:
        graph.start('listener', *PYTHON, say + say + 'import time; time.sleep(60)', listen=True)
        graph.start('player', *PYTHON, 'pass')
        assert len(list(graph.answers('player', 5))) == 2


def test_the_parameters_are_ones_that_the_node_has(tmp_path):
    text = demo.node_parameters(tmp_path / 'room.map')
    values = yaml.safe_load(text)['/**']['ros__parameters']
    assert set(values) <= {spec.name for spec in specs_of(RelocalizerParameters)} | {
        'use_sim_time'
    }
    assert values['map'] == str(tmp_path / 'room.map')


@pytest.mark.slow
def test_answers_come_from_a_node_of_its_own(tiny_map, tmp_path, domain_id, monkeypatch):
    monkeypatch.setattr(
        demo_graph, 'private_graph', lambda: {**os.environ, 'PYTHONUNBUFFERED': '1'}
    )
    (tmp_path / 'room.map').write_bytes(tiny_map.map.read_bytes())
    bag = tmp_path / 'held_out.mcap'
    base_from_camera = np.eye(4)
    base_from_camera[2, 3] = 1.0
    with BagWriter(bag) as writer:
        first = tiny_map.queries[0].frame.stamp_ns
        writer.transform('base_link', 'camera', first, base_from_camera, static=True)
        for posed in tiny_map.queries:
            frame = posed.frame
            writer.image('/camera/image_raw', 'camera', frame.stamp_ns, frame.image)
            writer.camera_info('/camera/camera_info', 'camera', frame.stamp_ns, frame.camera)
            writer.odometry(TRUTH_TOPIC, 'map', 'camera', frame.stamp_ns, posed.world_from_camera)
    count = len(tiny_map.queries)
    events = demo.play(tmp_path, bag, count)
    report = demo_report.write_demo_report(
        Namespace(seed=3, picture=tmp_path / 'demo.png'), tmp_path, bag, events
    )
    values = report.as_dict()
    assert values['frames'] == count
    assert values['results'].get('ACCEPTED', 0) >= 0.75 * count, values['results']
    assert values['median_translation_m'] < 0.12
    assert values['poses_in_tf'] == values['accepted']
    assert values['pose_tf_difference'] < 1e-9
    assert (tmp_path / 'report.html').exists()
    assert (tmp_path / 'demo.png').read_bytes().startswith(b'\x89PNG')
