# SPDX-License-Identifier: Apache-2.0
"""Names of nodes, topics and services: valid or not, expanded, remapped."""

from __future__ import annotations

import re

from rclpy.arguments import Remap
from rclpy.exceptions import (
    InvalidNamespaceException,
    InvalidNodeNameException,
    InvalidServiceNameException,
    InvalidTopicNameException,
)

TOKEN = r'[A-Za-z_][A-Za-z0-9_]*'


def validate_node_name(name: str) -> bool:
    """Return True or raise InvalidNodeNameException."""
    if not re.fullmatch(TOKEN, name):
        raise InvalidNodeNameException(
            'node name',
            name,
            'must be letters, digits and underscores, and must not be empty '
            'nor start with a digit',
            0,
        )
    return True


def validate_namespace(namespace: str) -> bool:
    """Return True or raise InvalidNamespaceException."""
    if not re.fullmatch(rf'/|(/{TOKEN})+', namespace):
        raise InvalidNamespaceException(
            'namespace', namespace, 'must be absolute and made of names between single slashes', 0
        )
    return True


def absolute_namespace(namespace: str | None) -> str:
    """Read '' and relative namespaces as rcl does."""
    namespace = namespace or '/'
    return namespace if namespace.startswith('/') else '/' + namespace


def full_node_name(name: str, namespace: str) -> str:
    """Return /ns/name."""
    return f'{namespace.rstrip("/")}/{name}'


def expand(name: str, node: str, namespace: str, *, is_service: bool = False) -> str:
    """Return the full name of `name` (relative, absolute or private) in a node."""
    result = (
        name.replace('{node}', node).replace('{ns}', namespace).replace('{namespace}', namespace)
    )
    if result == '~' or result.startswith('~/'):
        result = full_node_name(node, namespace) + result[1:]
    elif not result.startswith('/'):
        result = f'{namespace.rstrip("/")}/{result}'
    if not re.fullmatch(rf'(/{TOKEN})+', result):
        kind = InvalidServiceNameException if is_service else InvalidTopicNameException
        raise kind(
            'service name' if is_service else 'topic name',
            name,
            'must be names of letters, digits and underscores between single slashes',
            0,
        )
    return result


def remap(
    full_name: str, rules: list[Remap], node: str, namespace: str, *, is_service: bool = False
) -> str:
    """Apply the first rule that matches a full name."""
    foreign = 'rostopic://' if is_service else 'rosservice://'
    own = 'rosservice://' if is_service else 'rostopic://'
    for rule in rules:
        if (
            rule.source.startswith('__')
            or rule.source.startswith(foreign)
            or (rule.node and rule.node != node)
        ):
            continue
        source = expand(rule.source.removeprefix(own), node, namespace, is_service=is_service)
        if source == full_name:
            return expand(rule.target, node, namespace, is_service=is_service)
    return full_name
