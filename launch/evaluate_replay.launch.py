# SPDX-License-Identifier: Apache-2.0
"""Replay a bag to the relocalizer, then evaluate its answers.

ros2 launch dsac_ros evaluate_replay.launch.py bag:=drive.mcap map:=/path/to/the.map \
    image:=/camera/image_raw camera_info:=/camera/camera_info

The node sees the drive as a robot would, with dropped images where it is too slow; `dsac evaluate`
on the same bag is its offline twin. The bag's TF passes tf_filter, which leaves out map -> odom.
"""

from __future__ import annotations

import os

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription
from launch.action import Action
from launch.actions import (
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_context import LaunchContext
from launch_ros.actions import Node

from dsac_ros.errors import DsacError
from dsac_ros.map_file import read_header
from dsac_ros.nodes.launch_actions import (
    PACKAGE,
    TF_REMAPPINGS,
    declare,
    executable,
    given_parameters,
    our_node,
    share,
    value_of,
    when_active,
)
from dsac_ros.nodes.launch_arguments import (
    LAUNCH_ARGUMENTS,
    RELOCALIZER,
    RELOCALIZER_CAMERA,
    REPLAY,
)
from dsac_ros.nodes.resource_path import resource_path

TF_TOPICS = {'/tf': '/tf_bag', '/tf_static': '/tf_static_bag'}
#: The answer to the last image may still be on its way [s].
LAST_ANSWER_S = 3.0
REQUIRED = ('bag', 'map', 'image')
SHARED = ('map', 'image_transport', 'base_frame', 'map_frame', 'odom_frame', 'tf_mode', 'device')


def replay(context: LaunchContext) -> list[Action]:
    """Filter, recorder and relocalizer; then the player, then the evaluation, then the end."""
    for name in REQUIRED:
        if not value_of(context, name):
            raise RuntimeError(f'{name} is empty, expected {name}:=... on the command line')
    if not (value_of(context, 'camera_info') or value_of(context, 'camera_info_url')):
        raise RuntimeError(
            'camera_info is empty, expected camera_info:=TOPIC on the command line, or '
            'camera_info_url:=FILE where the bag has none'
        )
    try:
        read_header(value_of(context, 'map'))
        player_process = player(context)
    except (DsacError, OSError) as error:
        raise RuntimeError(str(error)) from None
    output = value_of(context, 'output')
    os.makedirs(output, exist_ok=True)
    relocalizer = our_node(
        context,
        RELOCALIZER,
        value_of(context, 'params_file') or share('config', RELOCALIZER.config),
        {
            **REPLAY,
            **{name: value_of(context, name) for name in SHARED},
            **given_parameters(context, RELOCALIZER, RELOCALIZER_CAMERA),
        },
    )
    evaluation = evaluation_process(context, output)
    return [
        *helpers(context, output),
        RegisterEventHandler(
            OnProcessExit(
                target_action=player_process,
                on_exit=[TimerAction(period=LAST_ANSWER_S, actions=[evaluation])],
            )
        ),
        *(
            RegisterEventHandler(OnProcessExit(target_action=process, on_exit=end))
            for process in (relocalizer, evaluation)
        ),
        relocalizer,
        *when_active(RELOCALIZER, [player_process]),
    ]


def end(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """End all others, once."""
    return [] if context.is_shutdown else [EmitEvent(event=Shutdown())]


def helpers(context: LaunchContext, output: str) -> list[Node]:
    """The filter of the bag's TF, and the recorder of the answers."""
    frames = {name: value_of(context, name) for name in ('map_odom', 'map_frame', 'odom_frame')}
    return [
        Node(
            package=PACKAGE,
            executable=name,
            name=f'dsac_{name}',
            output='screen',
            parameters=[{'use_sim_time': True, **parameters}],
            remappings=TF_REMAPPINGS,
        )
        for name, parameters in (
            ('tf_filter', frames),
            ('output_recorder', {'output': os.path.join(output, 'outputs.jsonl')}),
        )
    ]


def player(context: LaunchContext) -> ExecuteProcess:
    """`ros2 bag play`, or `dsac play` where that is absent or wanted."""
    bag, rate, choice = (value_of(context, name) for name in ('bag', 'rate', 'player'))
    if choice not in ('auto', 'rosbag2', 'dsac'):
        raise RuntimeError(f'player is {choice!r}, expected auto, rosbag2 or dsac')
    remappings = [f'{topic}:={name}' for topic, name in TF_TOPICS.items()]
    if choice == 'rosbag2' or (choice == 'auto' and has_rosbag2()):
        words = ['ros2', 'bag', 'play', bag, '--rate', rate, '--clock', '100', '--delay', '2']
        return ExecuteProcess(cmd=[*words, '--remap', *remappings], output='screen')
    from pathlib import Path

    from dsac_ros.sources.bag_file import BagFile

    recorded = BagFile(Path(bag)).topics
    words = [
        executable('dsac'),
        *('play', bag, '--rate', rate, '--clock', '100', '--delay', '2', '--progress', 'off'),
    ]
    for remapping, topic in zip(remappings, TF_TOPICS):
        if topic in recorded:
            words += ['--remap', remapping]
    return ExecuteProcess(cmd=words, output='screen')


def has_rosbag2() -> bool:
    """Return whether `ros2 bag play` is installed."""
    try:
        return bool(get_package_prefix('ros2bag') and get_package_prefix('rosbag2_transport'))
    except PackageNotFoundError:
        return False


def evaluation_process(context: LaunchContext, output: str) -> ExecuteProcess:
    """`dsac evaluate` of what the recorder wrote."""
    poses, url = value_of(context, 'poses'), value_of(context, 'camera_info_url')
    intrinsics = str(resource_path(url, 'camera_info_url')) if url else ''
    return ExecuteProcess(
        cmd=[
            executable('dsac'),
            'evaluate',
            value_of(context, 'map'),
            value_of(context, 'bag'),
            *('--outputs', os.path.join(output, 'outputs.jsonl')),
            *('--json', os.path.join(output, 'live.json')),
            *('--image', value_of(context, 'image')),
            *('--camera-info', intrinsics or value_of(context, 'camera_info')),
            *('--device', value_of(context, 'device'), '--progress', 'off'),
            *(['--poses', poses] if poses else []),
        ],
        output='screen',
    )


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *declare(LAUNCH_ARGUMENTS['evaluate_replay.launch.py']),
            SetLaunchConfiguration('namespace', ''),
            SetLaunchConfiguration('use_sim_time', 'true'),
            OpaqueFunction(function=replay),
        ]
    )
