# SPDX-License-Identifier: Apache-2.0
"""Start the relocalizer.

ros2 launch dsac_ros relocalizer.launch.py map:=/path/to/the.map
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration

from dsac_ros.nodes.launch_actions import declare, node_with_manager, share
from dsac_ros.nodes.launch_arguments import LAUNCH_ARGUMENTS, RELOCALIZER


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'params_file',
                default_value=share('config', RELOCALIZER.config),
                description='YAML file of parameters',
            ),
            *declare(LAUNCH_ARGUMENTS['relocalizer.launch.py']),
            OpaqueFunction(function=node_with_manager, args=[RELOCALIZER]),
            ExecuteProcess(
                cmd=['rviz2', '-d', share('config', 'dsac.rviz')],
                condition=IfCondition(LaunchConfiguration('rviz')),
            ),
        ]
    )
