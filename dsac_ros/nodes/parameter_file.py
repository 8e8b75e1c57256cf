# SPDX-License-Identifier: Apache-2.0
"""Commented YAML files in config/ from a node's parameters."""

from __future__ import annotations

import textwrap

from dsac_ros.nodes.parameters import NodeParameters, ParameterValue, Spec, specs_of

WIDTH = 92
HEADINGS = {
    'map': 'Map',
    'compute': 'Computation',
    'input': 'Images',
    'frames': 'Frames',
    'tf': 'TF',
    'own mode': 'Correction of odometry, where this node publishes map -> odom',
    'accept': 'Acceptance of poses',
    'covariance': 'Covariance of ~/pose_with_covariance',
    'recovery': 'Recovery: when the localizer of the robot is wrong or silent',
    'misc': 'Other',
    'dataset': 'Recording',
    'training': 'Training',
    'poses': 'Poses',
    'keyframes': 'Keyframe selection',
}


def parameter_file(node_name: str, table: type[NodeParameters]) -> str:
    """Return the YAML text of a node's parameters."""
    lines = [
        '# SPDX-License-Identifier: Apache-2.0',
        f'# The parameters of {node_name} with their defaults: copy what you change.',
        '# `ros2 param describe` says the same of a running node.',
        '/**:',
        '  ros__parameters:',
    ]
    group = ''
    for spec in specs_of(table):
        if spec.group != group:
            group = spec.group
            lines += ['', f'    # --- {HEADINGS[group]} ---']
        comment = f'{spec.text}; {limits(spec)}.'
        lines += [
            '',
            *(f'    # {line}' for line in textwrap.wrap(comment, WIDTH)),
            f'    {spec.name}: {yaml_literal(spec.default)}',
        ]
    return '\n'.join(lines) + '\n'


def limits(spec: Spec) -> str:
    """Return the range of valid values and whether they may change at run time."""
    parts = []
    if spec.low is not None and spec.high is not None:
        parts.append(f'{spec.low:g} to {spec.high:g}')
    elif spec.low is not None:
        parts.append(f'at least {spec.low:g}')
    elif spec.high is not None:
        parts.append(f'at most {spec.high:g}')
    if not all(choice in spec.description for choice in spec.choices):
        parts.append('one of ' + ', '.join(spec.choices))
    parts.append('fixed at start' if spec.read_only else 'may change at run time')
    return '; '.join(parts)


def yaml_literal(value: ParameterValue) -> str:
    """Return a value as YAML that keeps its type: ROS distinguishes 5 from 5.0."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return (
            value
            if value.replace('_', '').isalpha()
            and value not in ('yes', 'no', 'on', 'off', 'true', 'false', 'none', 'null')
            else f"'{value}'"
        )
    if isinstance(value, list):
        return '[' + ', '.join(yaml_literal(entry) for entry in value) + ']'
    return repr(value)
