# SPDX-License-Identifier: Apache-2.0
"""Launch actions for our nodes, shared by the files in launch/."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from dsac_ros.nodes.launch_arguments import MANAGED, Argument, NodeLaunch, misspelled

PACKAGE = 'dsac_ros'
TF_REMAPPINGS = [('/tf', 'tf'), ('/tf_static', 'tf_static')]
#: Loading a map and its first image take longer than a lifecycle manager waits by default [s].
SERVICE_TIMEOUT_S = 60.0


def share(*names: str) -> str:
    """Return the path of an installed file."""
    return os.path.join(get_package_share_directory(PACKAGE), *names)


def executable(name: str) -> str:
    """Return the path of an executable of this package."""
    return os.path.join(get_package_prefix(PACKAGE), 'lib', PACKAGE, name)


def declare(arguments: Sequence[Argument]) -> list[Action]:
    """Declare arguments, and warn of those on the command line that look misspelled."""
    return [
        *(
            DeclareLaunchArgument(one.name, default_value=one.default, description=one.description)
            for one in arguments
        ),
        OpaqueFunction(
            function=_spelling, kwargs={'declared': [argument.name for argument in arguments]}
        ),
    ]


def _spelling(context: LaunchContext, declared: Sequence[str]) -> list[LogInfo]:
    return [LogInfo(msg=f'warning: {line}') for line in misspelled(context.argv, declared)]


def value_of(context: LaunchContext, name: str) -> str:
    """Return the value of an argument; '' if it is empty."""
    return context.perform_substitution(LaunchConfiguration(name))


def is_true(context: LaunchContext, name: str) -> bool:
    """Return whether an argument is true, in any spelling that nav2 uses."""
    return value_of(context, name).lower() in ('true', '1')


def given_parameters(
    context: LaunchContext, node: NodeLaunch, names: Iterable[str] = ()
) -> dict[str, ParameterValue]:
    """Return the parameters that were given as arguments; they stand above the file.

    All that are arguments of the node's own launch file, or those with the given names.
    """
    return {
        name: ParameterValue(LaunchConfiguration(name), value_type=node.kind(name))
        for name in (names or node.parameters)
        if value_of(context, name)
    }


def our_node(
    context: LaunchContext,
    node: NodeLaunch,
    params_file: str,
    parameters: Mapping[str, Any],
    remappings: Iterable[tuple[str, Any]] = (),
) -> LifecycleNode:
    """Return the action that starts one of our lifecycle nodes.

    Args:
        context: has the arguments namespace, use_sim_time, log_level and, optionally, use_respawn.
        node: which one.
        params_file: YAML file of parameters.
        parameters: what stands above the file.
        remappings: beside those of the topics and of TF.
    """
    configurations = context.launch_configurations
    return LifecycleNode(
        package=PACKAGE,
        executable=node.executable,
        name=node.name,
        namespace=LaunchConfiguration('namespace'),
        output='screen',
        parameters=[
            params_file,
            {
                'use_sim_time': ParameterValue(
                    LaunchConfiguration('use_sim_time'), value_type=bool
                ),
                **parameters,
            },
        ],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
        respawn='use_respawn' in configurations and is_true(context, 'use_respawn'),
        respawn_delay=2.0,
        # threads that wait for work must not burn the cores that the robot needs
        additional_env={'OMP_WAIT_POLICY': os.environ.get('OMP_WAIT_POLICY', 'PASSIVE')},
        remappings=[
            *TF_REMAPPINGS,
            *(
                (topic, LaunchConfiguration(name))
                for topic, name in node.topics.items()
                if configurations.get(name)
            ),
            *remappings,
        ],
    )


def node_with_manager(context: LaunchContext, node: NodeLaunch) -> list[Action]:
    """Return one of our nodes by the arguments of its launch file, with a manager if asked for."""
    managed = is_true(context, 'lifecycle_manager')
    given = given_parameters(context, node)
    parameters = {**MANAGED, **given} if managed else given
    actions = [our_node(context, node, value_of(context, 'params_file'), parameters)]
    return [*actions, manager_of(node)] if managed else actions


def manager_of(node: NodeLaunch) -> Node:
    """Return a lifecycle manager that starts a node and watches it by its bond."""
    return Node(
        package='nav2_lifecycle_manager',
        executable='lifecycle_manager',
        name=f'lifecycle_manager_{node.name.removeprefix("dsac_")}',
        namespace=LaunchConfiguration('namespace'),
        output='screen',
        parameters=[
            {
                'use_sim_time': ParameterValue(
                    LaunchConfiguration('use_sim_time'), value_type=bool
                ),
                'autostart': True,
                'node_names': [node.name],
                'bond_timeout': ParameterValue(
                    LaunchConfiguration('bond_timeout'), value_type=float
                ),
                'attempt_respawn_reconnection': True,
                'service_timeout': SERVICE_TIMEOUT_S,
            }
        ],
    )


def when_active(node: NodeLaunch, actions: Sequence[Action]) -> list[Action]:
    """Return actions that start others once one of our nodes is active."""
    wait = Node(
        package=PACKAGE,
        executable='wait_for_active',
        name='dsac_wait_for_active',
        namespace=LaunchConfiguration('namespace'),
        output='screen',
        parameters=[{'node': node.name}],
    )

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        return list(actions) if event.returncode == 0 else []

    return [RegisterEventHandler(OnProcessExit(target_action=wait, on_exit=on_exit)), wait]
