# SPDX-License-Identifier: Apache-2.0
"""`--ros-args`: remappings, parameters, parameter files, log levels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from embedded_ros.errors import RCLError

ROS_ARGS = '--ros-args'
# Flags of rcl without a counterpart here; they change nothing that a node can see.
IGNORED_FLAGS = (
    '--enable-rosout-logs',
    '--disable-rosout-logs',
    '--enable-stdout-logs',
    '--disable-stdout-logs',
    '--enable-external-lib-logs',
    '--disable-external-lib-logs',
)
IGNORED_OPTIONS = ('--log-config-file', '--log-file-name', '--enclave', '-e')


class _Loader(yaml.SafeLoader):
    """YAML as ROS reads it: 1e3 is a number (YAML 1.1 wants 1.0e+3)."""


_Loader.add_implicit_resolver(
    'tag:yaml.org,2002:float',
    re.compile(r'[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$'),
    list('-+.0123456789'),
)


@dataclass(frozen=True)
class Remap:
    """One rule `[node:]from:=to`; without a node it holds for all nodes."""

    node: str
    source: str
    target: str


@dataclass(frozen=True)
class ParameterRule:
    """A parameter for the nodes whose full name matches the pattern."""

    pattern: str
    name: str
    value: Any

    def matches(self, full_name: str) -> bool:
        """Return True if it is for the node `/ns/name`; `*` is one name, `**` any number."""
        pattern = '/' + self.pattern.strip('/')
        regex = re.escape(pattern).replace(r'/\*\*', '(/.+)?').replace(r'\*', '[^/]+')
        return re.fullmatch(regex, full_name) is not None


@dataclass
class Arguments:
    """The ROS part of a command line."""

    arguments: list[str]
    remaps: list[Remap] = field(default_factory=list)
    parameters: list[ParameterRule] = field(default_factory=list)
    log_levels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        words = iter(_ros_words(self.arguments))
        for word in words:
            if word in IGNORED_FLAGS:
                continue
            value = next(words, None)
            if value is None:
                raise RCLError(f"Couldn't parse trailing {word} flag: it needs a value")
            self._parse(word, value)

    def _parse(self, flag: str, value: str) -> None:
        if flag in ('-r', '--remap'):
            self.remaps.append(_remap(value))
        elif flag in ('-p', '--param'):
            self.parameters.append(_parameter(value))
        elif flag == '--params-file':
            self.parameters.extend(read_parameter_file(value))
        elif flag == '--log-level':
            logger, _, level = value.rpartition(':=')
            self.log_levels[logger] = level
        elif flag not in IGNORED_OPTIONS:
            raise RCLError(f'Failed to parse global arguments: unknown ROS argument {flag!r}')

    def remapped_node(self, name: str, namespace: str) -> tuple[str, str]:
        """Return name and namespace of a node after `__node:=` and `__ns:=`."""
        original = name
        for rule in reversed(self.remaps):
            if rule.node in ('', original):
                if rule.source in ('__node', '__name'):
                    name = rule.target
                elif rule.source == '__ns':
                    namespace = rule.target
        return name, namespace

    def parameter_overrides(self, full_name: str) -> dict[str, Any]:
        """Parameter values for a node; a later rule wins."""
        return {rule.name: rule.value for rule in self.parameters if rule.matches(full_name)}


def _ros_words(arguments: list[str]) -> list[str]:
    words, inside = [], False
    for argument in arguments:
        if argument == ROS_ARGS:
            inside = True
        elif inside and argument == '--':
            inside = False
        elif inside:
            words.append(argument)
    return words


def _remap(text: str) -> Remap:
    source, separator, target = text.partition(':=')
    if not separator or not source or not target:
        raise RCLError(f"Couldn't parse remap rule: '-r {text}', expected from:=to")
    node = ''
    match = re.match(r'([A-Za-z_]\w*):(.+)', source)
    if match:
        node, source = match.groups()
    return Remap(node, source, target)


def _parameter(text: str) -> ParameterRule:
    name, separator, value = text.partition(':=')
    if not separator or not name:
        raise RCLError(
            f"Couldn't parse parameter override rule: '-p {text}', expected name:=value"
        )
    node, _, name = name.rpartition(':')
    return ParameterRule(node or '/**', name, _value(yaml.load(value, _Loader), name))


def read_parameter_file(path: str) -> list[ParameterRule]:
    """Return the rules of a parameter file: node names, `ros__parameters:`, values."""
    try:
        content = yaml.load(Path(path).read_text(), _Loader)
    except (OSError, yaml.YAMLError) as error:
        raise RCLError(f'Failed to parse parameter file {path}: {error}') from None
    if not isinstance(content, dict):
        raise RCLError(f'Failed to parse parameter file {path}: no node names in it')
    return _rules(content, '')


def _rules(content: dict[str, Any], node: str) -> list[ParameterRule]:
    rules = []
    for key, value in content.items():
        if not isinstance(value, dict):
            raise RCLError(
                f'Failed to parse parameters: {node}/{key} has a value outside of ros__parameters'
            )
        if key == 'ros__parameters':
            rules += [
                ParameterRule(node, name, _value(leaf, name)) for name, leaf in _leaves(value, '')
            ]
        else:
            rules += _rules(value, f'{node}/{key}'.replace('//', '/'))
    return rules


def _leaves(tree: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    leaves = []
    for key, value in tree.items():
        name = f'{prefix}{key}'
        leaves += _leaves(value, name + '.') if isinstance(value, dict) else [(name, value)]
    return leaves


def _value(value: Any, name: str) -> Any:
    """Return a YAML value as a parameter value; sequences have elements of one type."""
    if value == []:
        return None  # rcl does not know of what it is empty: the parameter is not set
    if isinstance(value, list):
        if len({type(v) for v in value}) > 1:
            raise RCLError(f'Failed to parse parameters: {name} is a sequence of mixed types')
    elif value is None or not isinstance(value, (bool, int, float, str)):
        raise RCLError(f'Failed to parse parameters: {name} has no value that ROS knows')
    return value
