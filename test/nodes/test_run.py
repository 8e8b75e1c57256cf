# SPDX-License-Identifier: Apache-2.0
import sys

import pytest


def dsac(*words):
    return [sys.executable, '-m', 'dsac_ros.cli.main', 'run', *words]


@pytest.mark.parametrize(
    ('words', 'environment', 'reason'),
    [
        (
            ['relocalizer', '--params-file', '/nowhere.yaml'],
            {},
            '/nowhere.yaml: no such parameter',
        ),
        (['mapper', '--ros-args', '-r', 'image'], {}, "'-r image'"),
        (['mapper'], {'ROS_DOMAIN_ID': 'x'}, 'ROS_DOMAIN_ID'),
    ],
)
def test_a_wrong_command_line_gets_one_error_line(run_process, words, environment, reason):
    process = run_process(dsac(*words), **environment)
    assert process.wait(60.0) == 1
    (line,) = [line for line in process.lines if line.startswith('dsac: error: ')]
    assert reason in line
    assert 'Traceback' not in process.output


@pytest.mark.embedded
@pytest.mark.parametrize('words', [['run', 'relocalizer'], ['play', 'bag']])
def test_missing_rclpy_says_in_a_line_what_to_install(run_process, words):
    script = (
        'import sys; sys.modules["embedded_ros"] = None\n'
        f'from dsac_ros.cli.main import main; sys.exit(main({words!r}))'
    )
    process = run_process([sys.executable, '-c', script])
    assert process.wait(60.0) == 1
    (line,) = process.lines
    assert line.startswith('dsac: error: no rclpy here: source ROS 2, or install')
