# SPDX-License-Identifier: Apache-2.0
"""Start nav2 with a camera that finds the robot again after a kidnap.

ros2 launch dsac_ros nav2_recovery.launch.py map:=/path/to/nav2_map.yaml \
    visual_map:=/path/to/the.map image:=/camera/image_raw camera_info:=/camera/camera_info

AMCL (or SLAM) goes on to hold map -> odom; the relocalizer only seeds it on `initialpose`. nav2
starts once the relocalizer is active: its behaviour tree needs the relocalizer's service and
action when it is loaded.
"""

from __future__ import annotations

import os

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription
from launch.action import Action
from launch.actions import IncludeLaunchDescription, LogInfo, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from dsac_ros.nodes.launch_actions import (
    declare,
    given_parameters,
    manager_of,
    our_node,
    share,
    value_of,
    when_active,
)
from dsac_ros.nodes.launch_arguments import (
    LAUNCH_ARGUMENTS,
    MANAGED,
    NAV2,
    RELOCALIZER,
    RELOCALIZER_CAMERA,
    SEED_MODE,
)

TREE_PARAMETER = 'default_nav_to_pose_bt_xml'


def relocalizer_and_nav2(context: LaunchContext) -> list[Action]:
    """The relocalizer with its lifecycle manager, and nav2 once it is active."""
    try:
        bringup = get_package_share_directory('nav2_bringup')
    except PackageNotFoundError:
        raise RuntimeError(
            'nav2_bringup is not installed, expected nav2: sudo apt install '
            f'ros-{os.environ.get("ROS_DISTRO", "$ROS_DISTRO")}-nav2-bringup'
        ) from None
    if not value_of(context, 'visual_map'):
        raise RuntimeError(
            'visual_map is empty, expected a map file that `dsac map` wrote: '
            'visual_map:=/path/to/the.map'
        )
    relocalizer = our_node(
        context,
        RELOCALIZER,
        value_of(context, 'relocalizer_params_file') or share('config', RELOCALIZER.config),
        {
            'map': value_of(context, 'visual_map'),
            **{
                name: value_of(context, name)
                for name in ('image_transport', 'base_frame', 'device')
            },
            **given_parameters(context, RELOCALIZER, RELOCALIZER_CAMERA),
            **SEED_MODE,
            **MANAGED,
        },
        [('initialpose', LaunchConfiguration('initialpose'))],
    )
    return [
        relocalizer,
        manager_of(RELOCALIZER),
        LogInfo(msg='nav2 starts when dsac_relocalizer is active'),
        *when_active(RELOCALIZER, [nav2(context, bringup)]),
    ]


def nav2(context: LaunchContext, bringup: str) -> IncludeLaunchDescription:
    """nav2_bringup with our behaviour tree in its parameters."""
    from nav2_common.launch import RewrittenYaml

    tree = value_of(context, 'behavior_tree') or share(
        'config', 'navigate_w_visual_relocalization.xml'
    )
    parameters = RewrittenYaml(
        source_file=value_of(context, 'params_file')
        or os.path.join(bringup, 'params', 'nav2_params.yaml'),
        # The long name adds the parameter where the file leaves it to its default.
        param_rewrites={
            TREE_PARAMETER: tree,
            f'bt_navigator.ros__parameters.{TREE_PARAMETER}': tree,
        },
        convert_types=True,
    )
    names = [argument.name for argument in NAV2 if argument.name != 'params_file']
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(bringup, 'launch', 'bringup_launch.py')),
        launch_arguments=[
            *((name, value_of(context, name)) for name in names),
            ('params_file', parameters),
            # Humble takes the namespace only where this is set.
            ('use_namespace', str(bool(value_of(context, 'namespace')))),
        ],
    )


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *declare(LAUNCH_ARGUMENTS['nav2_recovery.launch.py']),
            OpaqueFunction(function=relocalizer_and_nav2),
        ]
    )
