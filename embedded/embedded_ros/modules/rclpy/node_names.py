# SPDX-License-Identifier: Apache-2.0
"""Names of a node and of its topics, after the remappings of the command line."""

from __future__ import annotations

from typing import Any

from rclpy.arguments import Arguments
from rclpy.names import (
    absolute_namespace,
    expand,
    full_node_name,
    remap,
    validate_namespace,
    validate_node_name,
)
from rclpy.parameter import Parameter


class NodeNames:
    """Names of `Node`."""

    def __init__(
        self,
        name: str,
        namespace: str | None,
        cli_args: list[str] | None,
        global_arguments: Arguments | None,
    ) -> None:
        """Name the node.

        Args:
            name: as the program has it; the command line may change it.
            namespace: likewise.
            cli_args: arguments for this node only, without --ros-args.
            global_arguments: those of the process; None ignores them.
        """
        own = Arguments(['--ros-args', *(cli_args or [])])
        self._arguments = [own, *([global_arguments] if global_arguments else [])]
        validate_node_name(name)
        full_namespace = absolute_namespace(namespace)
        for arguments in reversed(self._arguments):
            name, full_namespace = arguments.remapped_node(name, full_namespace)
        full_namespace = absolute_namespace(full_namespace)
        validate_node_name(name)
        validate_namespace(full_namespace)
        self._name, self._namespace = name, full_namespace
        self._remaps = [rule for arguments in self._arguments for rule in arguments.remaps]

    def _overrides(self, own: list[Parameter] | None) -> dict[str, Parameter]:
        values: dict[str, Any] = {}
        for arguments in reversed(self._arguments):
            values.update(arguments.parameter_overrides(self.get_fully_qualified_name()))
        overrides = {name: Parameter(name, value=value) for name, value in values.items()}
        return overrides | {parameter.name: parameter for parameter in own or []}

    def get_name(self) -> str:
        """Return the name."""
        return self._name

    def get_namespace(self) -> str:
        """Return the namespace, '/' or '/a/b'."""
        return self._namespace

    def get_fully_qualified_name(self) -> str:
        """Return /namespace/name."""
        return full_node_name(self._name, self._namespace)

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """Return the full name of a topic after remapping."""
        full = expand(topic, self._name, self._namespace)
        return full if only_expand else remap(full, self._remaps, self._name, self._namespace)

    def resolve_service_name(self, service: str, *, only_expand: bool = False) -> str:
        """Return the full name of a service after remapping."""
        full = expand(service, self._name, self._namespace, is_service=True)
        return (
            full
            if only_expand
            else remap(full, self._remaps, self._name, self._namespace, is_service=True)
        )
