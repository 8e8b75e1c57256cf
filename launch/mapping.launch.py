# SPDX-License-Identifier: Apache-2.0
"""Start the mapper.

ros2 launch dsac_ros mapping.launch.py dataset:=/path/to/a/folder
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from dsac_ros.nodes.launch_actions import declare, node_with_manager, share
from dsac_ros.nodes.launch_arguments import LAUNCH_ARGUMENTS, MAPPER


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'params_file',
                default_value=share('config', MAPPER.config),
                description='YAML file of parameters',
            ),
            *declare(LAUNCH_ARGUMENTS['mapping.launch.py']),
            OpaqueFunction(function=node_with_manager, args=[MAPPER]),
        ]
    )
