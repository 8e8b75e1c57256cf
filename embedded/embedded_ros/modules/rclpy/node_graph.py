# SPDX-License-Identifier: Apache-2.0
"""Queries of a node about the graph."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from embedded_ros.dds.names import (
    dds_reply,
    dds_request,
    dds_topic,
    ros_service,
    ros_service_type,
    ros_topic,
    ros_type,
)
from embedded_ros.dds.service_peers import user_data_of
from rclpy.dds_qos import ros_qos
from rclpy.topic_endpoint_info import TopicEndpointInfo, TopicEndpointTypeEnum

NamesAndTypes = list[tuple[str, list[str]]]
POLL_S = 0.05


class NodeGraph:
    """Graph queries of `Node`."""

    def get_node_names_and_namespaces(self) -> list[tuple[str, str]]:
        """Return all nodes, as (name, namespace)."""
        return [(node.name, node.namespace) for node in self.context.graph.nodes()]

    def get_node_names(self) -> list[str]:
        """Return the names of all nodes."""
        return [name for name, _ in self.get_node_names_and_namespaces()]

    def get_fully_qualified_node_names(self) -> list[str]:
        """Return all nodes, as /ns/name."""
        return [
            f'{namespace.rstrip("/")}/{name}'
            for name, namespace in self.get_node_names_and_namespaces()
        ]

    def wait_for_node(self, fully_qualified_node_name: str, timeout: float) -> bool:
        """Wait until a node is there."""
        end = time.monotonic() + timeout
        while fully_qualified_node_name not in self.get_fully_qualified_node_names():
            if time.monotonic() >= end:
                return False
            time.sleep(POLL_S)
        return True

    def get_topic_names_and_types(self, no_demangle: bool = False) -> NamesAndTypes:
        """Return all topics with their types."""
        if no_demangle:
            return _collected(self._all_endpoints(), lambda name: name, lambda name: name)
        return _collected(self._all_endpoints(), ros_topic, ros_type)

    def get_service_names_and_types(self) -> NamesAndTypes:
        """Return all services with their types."""
        return _collected(self._all_endpoints(), ros_service, ros_service_type)

    def get_publisher_names_and_types_by_node(
        self, node_name: str, node_namespace: str, no_demangle: bool = False
    ) -> NamesAndTypes:
        """Return the topics that a node publishes."""
        return _collected(
            self._owned(self.context.graph.writers, node_name, node_namespace), ros_topic, ros_type
        )

    def get_subscriber_names_and_types_by_node(
        self, node_name: str, node_namespace: str, no_demangle: bool = False
    ) -> NamesAndTypes:
        """Return the topics that a node subscribes to."""
        return _collected(
            self._owned(self.context.graph.readers, node_name, node_namespace), ros_topic, ros_type
        )

    def get_service_names_and_types_by_node(
        self, node_name: str, node_namespace: str
    ) -> NamesAndTypes:
        """Return the services that a node serves: it reads their requests."""
        endpoints = self._owned(self.context.graph.readers, node_name, node_namespace)
        return _collected(
            [e for e in endpoints if e.topic_name.endswith('Request')],
            ros_service,
            ros_service_type,
        )

    def get_client_names_and_types_by_node(
        self, node_name: str, node_namespace: str
    ) -> NamesAndTypes:
        """Return the services that a node calls: it reads their replies."""
        endpoints = self._owned(self.context.graph.readers, node_name, node_namespace)
        return _collected(
            [e for e in endpoints if e.topic_name.endswith('Reply')], ros_service, ros_service_type
        )

    def count_publishers(self, topic_name: str) -> int:
        """Count the publishers of a topic."""
        return len(self._on_topic(self.context.graph.writers, topic_name))

    def count_subscribers(self, topic_name: str) -> int:
        """Count the subscriptions of a topic."""
        return len(self._on_topic(self.context.graph.readers, topic_name))

    def count_services(self, service_name: str) -> int:
        """Count the servers of a service."""
        name = dds_request(self.resolve_service_name(service_name))
        return len(self.context.graph.readers(lambda e: e.topic_name == name))

    def count_clients(self, service_name: str) -> int:
        """Count the clients of a service."""
        name = dds_reply(self.resolve_service_name(service_name))
        return len(self.context.graph.readers(lambda e: e.topic_name == name))

    def get_publishers_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[TopicEndpointInfo]:
        """Describe the publishers of a topic, with their QoS."""
        return [
            self._info(e, TopicEndpointTypeEnum.PUBLISHER)
            for e in self._on_topic(self.context.graph.writers, topic_name)
        ]

    def get_subscriptions_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[TopicEndpointInfo]:
        """Describe the subscriptions of a topic, with their QoS."""
        return [
            self._info(e, TopicEndpointTypeEnum.SUBSCRIPTION)
            for e in self._on_topic(self.context.graph.readers, topic_name)
        ]

    def _all_endpoints(self) -> list[Any]:
        return self.context.graph.writers() + self.context.graph.readers()

    def _on_topic(self, endpoints: Callable[..., list[Any]], topic_name: str) -> list[Any]:
        name = dds_topic(self.resolve_topic_name(topic_name))
        return endpoints(lambda e: e.topic_name == name)

    def _owned(self, endpoints: Callable[..., list[Any]], name: str, namespace: str) -> list[Any]:
        graph = self.context.graph
        return [
            e
            for e in endpoints()
            if (owner := graph.owner(e)).name == name and owner.namespace == namespace
        ]

    def _info(self, endpoint: Any, kind: TopicEndpointTypeEnum) -> TopicEndpointInfo:
        owner = self.context.graph.owner(endpoint)
        return TopicEndpointInfo(
            owner.name,
            owner.namespace,
            ros_type(endpoint.type_name),
            user_data_of(endpoint.qos).get('typehash', ''),
            kind,
            list(endpoint.key.bytes),
            ros_qos(endpoint.qos),
        )


def _collected(
    endpoints: list[Any], to_name: Callable[[str], str | None], to_type: Callable[[str], str]
) -> NamesAndTypes:
    types: dict[str, set[str]] = {}
    for endpoint in endpoints:
        name = to_name(endpoint.topic_name)
        if name is not None:
            types.setdefault(name, set()).add(to_type(endpoint.type_name))
    return sorted((name, sorted(kinds)) for name, kinds in types.items())
