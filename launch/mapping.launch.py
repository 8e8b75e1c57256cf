# SPDX-License-Identifier: Apache-2.0
"""Start the mapper.

ros2 launch dsac_ros mapping.launch.py dataset:=/path/to/a/folder
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
    'dataset': (str, 'folder of the recorded keyframes'),
    'map': (str, 'map file that ~/save learns'),
    'record_on_start': (bool, 'record as soon as the node is active'),
    'train_on_stop': (bool, '~/stop also does what ~/save does'),
    'train_minutes': (float, 'time of the training [min]'),
    'pose_source': (str, 'tf, pose, pose_with_covariance or odometry'),
    'image_transport': (str, 'raw or compressed'),
    'use_depth': (bool, 'store depth/image beside each keyframe'),
    'pose_frame': (str, 'frame whose pose the topic `pose` gives'),
    'map_frame': (str, 'frame in which poses are given'),
    'autostart': (bool, 'configure and activate without a lifecycle manager'),
}


def mapper(context: LaunchContext) -> list[Node]:
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
            executable='mapper_node',
            name='dsac_mapper',
            namespace=LaunchConfiguration('namespace'),
            output='screen',
            parameters=[
                LaunchConfiguration('params_file'),
                {'use_sim_time': use_sim_time, **given},
            ],
            arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
            remappings=[
                ('/tf', 'tf'),
                ('/tf_static', 'tf_static'),
                ('image', LaunchConfiguration('image')),
                ('camera_info', LaunchConfiguration('camera_info')),
                ('depth/image', LaunchConfiguration('depth')),
                ('pose', LaunchConfiguration('pose')),
            ],
        )
    ]


def spelling(context: LaunchContext, declared: Sequence[str]) -> list[LogInfo]:
    """A warning for every argument that looks misspelled."""
    return [LogInfo(msg=f'warning: {line}') for line in misspelled(context.argv, declared)]


def generate_launch_description() -> LaunchDescription:
    share = get_package_share_directory('dsac_ros')
    config = os.path.join(share, 'config', 'mapper.yaml')
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
        DeclareLaunchArgument('depth', default_value='depth/image', description='depth topic'),
        DeclareLaunchArgument('pose', default_value='pose', description='pose topic'),
        DeclareLaunchArgument('log_level', default_value='info', description='debug to fatal'),
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
            OpaqueFunction(function=mapper),
        ]
    )
