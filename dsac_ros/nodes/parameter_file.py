# SPDX-License-Identifier: Apache-2.0
"""The files in config/ as text: every parameter of a table with its default, commented."""
from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from dsac_ros.nodes.parameters import Spec

WIDTH = 92
HEADINGS = {'map': 'The map', 'compute': 'Computing', 'input': 'Images', 'frames': 'Frames',
            'tf': 'TF', 'accept': 'When a pose is trusted',
            'covariance': 'Covariance of ~/pose_with_covariance', 'misc': 'Other',
            'dataset': 'The recording', 'training': 'The training',
            'poses': 'Where poses come from', 'keyframes': 'What is kept'}


def parameter_file(node_name: str, specs: Iterable[Spec]) -> str:
    """The YAML of a node's parameters."""
    lines = ['# SPDX-License-Identifier: Apache-2.0',
             f'# The parameters of {node_name} with their defaults: copy what you change.',
             '# `ros2 param describe` says the same of a running node.',
             '/**:', '  ros__parameters:']
    group = ''
    for spec in specs:
        if spec.group != group:
            group = spec.group
            lines += ['', f'    # --- {HEADINGS[group]} ---']
        comment = f'{spec.text}; {limits(spec)}.'
        lines += ['', *(f'    # {line}' for line in textwrap.wrap(comment, WIDTH)),
                  f'    {spec.name}: {plain_yaml(spec.default)}']
    return '\n'.join(lines) + '\n'


def limits(spec: Spec) -> str:
    """What the value may be and when it may change."""
    said = []
    if spec.low is not None and spec.high is not None:
        said.append(f'{spec.low:g} to {spec.high:g}')
    elif spec.low is not None:
        said.append(f'at least {spec.low:g}')
    elif spec.high is not None:
        said.append(f'at most {spec.high:g}')
    if not all(choice in spec.description for choice in spec.choices):
        said.append('one of ' + ', '.join(spec.choices))
    said.append('fixed at start' if spec.read_only else 'may change at run time')
    return '; '.join(said)


def plain_yaml(value: Any) -> str:
    """A value as YAML that keeps its type: ROS tells 5 from 5.0, YAML 1.1 takes no for false."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if value.replace('_', '').isalpha() and value not in (
            'yes', 'no', 'on', 'off', 'true', 'false', 'none', 'null') else f"'{value}'"
    if isinstance(value, list):
        return '[' + ', '.join(repr(float(entry)) for entry in value) + ']'
    return repr(value)
