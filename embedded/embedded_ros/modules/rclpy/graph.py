# SPDX-License-Identifier: Apache-2.0
"""The ROS graph: we say which node owns what, and read what the others say.

Every ROS participant publishes on the latched topic `ros_discovery_info` a list of its nodes
with the GUIDs of their readers and writers. Which endpoints exist at all, with type and QoS,
DDS discovery knows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from cyclonedds.builtin import (
    BuiltinDataReader,
    BuiltinTopicDcpsPublication,
    BuiltinTopicDcpsSubscription,
)
from cyclonedds.core import InstanceState

from embedded_ros.dds.cdr_type import topic_type
from embedded_ros.dds.participant import Participant
from embedded_ros.typestore import decode, encode, store, type_hash
from rclpy.dds_qos import dds_qos
from rclpy.qos import DurabilityPolicy, QoSProfile

TOPIC = 'ros_discovery_info'
INFO = 'rmw_dds_common/msg/ParticipantEntitiesInfo'
NODE = 'rmw_dds_common/msg/NodeEntitiesInfo'
GID = 'rmw_dds_common/msg/Gid'


@dataclass(frozen=True)
class NodeName:
    """A node of the graph."""

    name: str
    namespace: str


class Graph:
    """Announces our nodes and knows the others'."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self._nodes: list[Any] = []
        self._others: dict[bytes, Any] = {}
        self._owners: dict[bytes, dict[bytes, NodeName]] = {}
        self._discovered: dict[Any, tuple[BuiltinDataReader, dict[bytes, Any]]] = {}
        self._lock = threading.Lock()
        self._data_type = topic_type(INFO)
        user_data = f'typehash={type_hash(INFO)};'
        latched = DurabilityPolicy.TRANSIENT_LOCAL
        self._writer = participant.create_writer(
            TOPIC, self._data_type, dds_qos(QoSProfile(depth=1, durability=latched), user_data)
        )
        participant.create_reader(
            TOPIC,
            self._data_type,
            dds_qos(QoSProfile(depth=1000, durability=latched), user_data),
            self._on_info,
        )

    def add_node(self, node: Any) -> None:
        """Show one of our nodes."""
        self._nodes.append(node)
        self.update()

    def remove_node(self, node: Any) -> None:
        """Show it no more."""
        if node in self._nodes:
            self._nodes.remove(node)
        self.update()

    def update(self) -> None:
        """Say anew what our nodes own; many calls in a row make one announcement."""
        self._participant.call_soon(self._announce)

    def _announce(self) -> None:
        types = store().types
        nodes = [
            types[NODE](
                node_namespace=node.get_namespace(),
                node_name=node.get_name(),
                reader_gid_seq=self._gids(r for e in node.endpoints() for r in e.readers()),
                writer_gid_seq=self._gids(w for e in node.endpoints() for w in e.writers()),
            )
            for node in list(self._nodes)
        ]
        (gid,) = self._gids([self._participant.entity])
        info = types[INFO](gid=gid, node_entities_info_seq=nodes)
        self._writer.write(self._data_type(encode(info, INFO)))

    def _gids(self, entities: Iterable[Any]) -> list[Any]:
        guids = (self._participant.guid(entity) for entity in entities)
        return [store().types[GID](data=np.frombuffer(g, dtype=np.uint8)) for g in guids if g]

    def _on_info(self, sample: Any) -> None:
        info = decode(sample.cdr, INFO)
        gid = bytes(info.gid.data)
        self._others[gid] = info
        self._owners[gid] = {
            bytes(g.data): NodeName(node.node_name, node.node_namespace)
            for node in info.node_entities_info_seq
            for g in (*node.reader_gid_seq, *node.writer_gid_seq)
        }

    def nodes(self) -> list[NodeName]:
        """Return all nodes: ours and those of every living participant."""
        own = self._participant.guid(self._participant.entity)
        names = [NodeName(n.get_name(), n.get_namespace()) for n in self._nodes]
        alive = self._living_participants()
        for gid, info in list(self._others.items()):
            if gid != own and gid in alive:
                names += [
                    NodeName(n.node_name, n.node_namespace) for n in info.node_entities_info_seq
                ]
        return names

    def owner(self, endpoint: Any) -> NodeName:
        """Return the node that owns a discovered endpoint."""
        guid = endpoint.key.bytes
        for node in self._nodes:
            for entity in node.endpoints():
                if guid in map(self._participant.guid, entity.readers() + entity.writers()):
                    return NodeName(node.get_name(), node.get_namespace())
        for owners in list(self._owners.values()):
            if guid in owners:
                return owners[guid]
        return NodeName('_NODE_NAME_UNKNOWN_', '_NODE_NAMESPACE_UNKNOWN_')

    def writers(self, wanted: Callable[[Any], bool] = lambda _: True) -> list[Any]:
        """Discovered writers, ours included."""
        return [e for e in self._endpoints(BuiltinTopicDcpsPublication) if wanted(e)]

    def readers(self, wanted: Callable[[Any], bool] = lambda _: True) -> list[Any]:
        """Discovered readers, ours included."""
        return [e for e in self._endpoints(BuiltinTopicDcpsSubscription) if wanted(e)]

    def _living_participants(self) -> set[bytes]:
        return {e.participant_key.bytes for e in self.writers(lambda e: e.topic_name == TOPIC)}

    def _endpoints(self, topic: Any) -> list[Any]:
        with self._lock:
            # Asked seldom, so made when first needed; discovery's own data is there at once.
            if topic not in self._discovered:
                self._participant.check_open()
                reader = BuiltinDataReader(self._participant.entity, topic)
                self._discovered[topic] = reader, {}
            reader, known = self._discovered[topic]
            # An endpoint takes long to convert: only what has changed since is read.
            for endpoint in self._participant.take_all(reader):
                info = endpoint.sample_info
                if info.valid_data and info.instance_state == InstanceState.Alive:
                    known[endpoint.key.bytes] = endpoint
                else:
                    known.pop(endpoint.key.bytes, None)
            return list(known.values())
