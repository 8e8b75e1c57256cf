# SPDX-License-Identifier: Apache-2.0
"""Start the relocalizer.

ros2 launch dsac_ros relocalizer.launch.py map:=/path/to/the.map
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dsac_ros.nodes.launch_arguments import misspelled

# Arguments that are parameters: given, they stand above the parameter file. name -> (type, what)
PARAMETERS = {
    'map': (str, 'map file that `dsac map` wrote'),
    'device': (str, 'where the network runs: auto, cpu, cuda'),
    'image_transport': (str, 'raw or compressed'),
    'max_rate': (float, 'most images processed per second; 0: as many as possible'),
    'base_frame': (str, 'frame of the robot'),
    'odom_frame': (str, 'frame of the odometry'),
    'map_frame': (str, 'frame in which poses are given'),
    'tf_mode': (str, 'auto, map_odom, map_base or none'),
    'autostart': (bool, 'configure and activate without a lifecycle manager'),
}


def relocalizer(context: LaunchContext) -> list[Node]:
    """The node, with the arguments that were given."""
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, (kind, _) in PARAMETERS.items()
        if context.perform_substitution(LaunchConfiguration(name))
    }
    use_sim_time = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    return [
        Node(
            package='dsac_ros',
            executable='relocalizer_node',
            name='dsac_relocalizer',
            namespace=LaunchConfiguration('namespace'),
            output='screen',
            parameters=[
                LaunchConfiguration('params_file'),
                {'use_sim_time': use_sim_time, **given},
            ],
            arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
            respawn=context.perform_substitution(LaunchConfiguration('use_respawn')).lower()
            == 'true',
            respawn_delay=2.0,
            # threads that wait for work must not burn the cores that the robot needs
            additional_env={'OMP_WAIT_POLICY': os.environ.get('OMP_WAIT_POLICY', 'PASSIVE')},
            remappings=[
                ('/tf', 'tf'),
                ('/tf_static', 'tf_static'),
                ('image', LaunchConfiguration('image')),
                ('camera_info', LaunchConfiguration('camera_info')),
            ],
        )
    ]


def spelling(context: LaunchContext, declared: Sequence[str]) -> list[LogInfo]:
    """A warning for every argument that looks misspelled."""
    return [LogInfo(msg=f'warning: {line}') for line in misspelled(context.argv, declared)]


def generate_launch_description() -> LaunchDescription:
    share = get_package_share_directory('dsac_ros')
    config = os.path.join(share, 'config', 'relocalizer.yaml')
    arguments = [
        DeclareLaunchArgument('namespace', default_value='', description='of all topics'),
        DeclareLaunchArgument(
            'use_sim_time', default_value='false', description='take the time from /clock'
        ),
        DeclareLaunchArgument(
            'params_file', default_value=config, description='YAML file of parameters'
        ),
        DeclareLaunchArgument('image', default_value='image', description='image topic'),
        DeclareLaunchArgument(
            'camera_info', default_value='camera_info', description='camera_info topic'
        ),
        DeclareLaunchArgument('log_level', default_value='info', description='debug to fatal'),
        DeclareLaunchArgument(
            'use_respawn', default_value='false', description='start the node again when it ends'
        ),
        *(
            DeclareLaunchArgument(
                name, default_value='', description=f'{what}; empty: as in params_file'
            )
            for name, (_, what) in PARAMETERS.items()
        ),
    ]
    names = [argument.name for argument in arguments]
    return LaunchDescription(
        [
            *arguments,
            OpaqueFunction(function=spelling, kwargs={'declared': names}),
            OpaqueFunction(function=relocalizer),
        ]
    )
