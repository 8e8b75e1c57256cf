# SPDX-License-Identifier: Apache-2.0
"""The node: a name, and the topics, services, timers and parameters under it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

from rcl_interfaces.msg import Log, ParameterEvent

from rclpy import logging
from rclpy.callback_groups import (
    CallbackGroup,
    MutuallyExclusiveCallbackGroup,
)
from rclpy.client import Client
from rclpy.clock import Clock, ROSClock
from rclpy.constants import S_TO_NS
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.exceptions import NotInitializedException
from rclpy.guard_condition import GuardCondition
from rclpy.node_graph import NodeGraph
from rclpy.node_names import NodeNames
from rclpy.node_parameters import NodeParameters
from rclpy.parameter import Parameter
from rclpy.parameter_service import ParameterService
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    profile_from,
    qos_profile_parameter_events,
    qos_profile_services_default,
)
from rclpy.qos_overriding_options import QoSOverridingOptions, apply_overrides
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.time_source import TimeSource
from rclpy.timer import Timer
from rclpy.utilities import get_default_context

# rmw's profile for logs: who opens a console late still sees the last ten seconds.
ROSOUT = QoSProfile(
    depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL, lifespan=Duration(seconds=10)
)


class Node(NodeNames, NodeParameters, NodeGraph):
    """A node of the ROS graph."""

    def __init__(
        self,
        node_name: str,
        *,
        context: Context | None = None,
        cli_args: list[str] | None = None,
        namespace: str | None = None,
        use_global_arguments: bool = True,
        enable_rosout: bool = True,
        start_parameter_services: bool = True,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        self._context = context or get_default_context()
        if not self._context.ok():
            raise NotInitializedException('cannot create node')
        NodeNames.__init__(
            self,
            node_name,
            namespace,
            cli_args,
            self._context.arguments if use_global_arguments else None,
        )
        self._publishers: list[Publisher] = []
        self._waiting: list[Any] = []  # subscriptions, services, clients, timers, guards
        self._executor: Any = None
        self._default_callback_group = MutuallyExclusiveCallbackGroup()
        self._clock = ROSClock()
        self._logger = logging.get_logger(
            self.get_fully_qualified_name().strip('/').replace('/', '.')
        )
        self._context.graph.add_node(self)
        events = self.create_publisher(
            ParameterEvent, '/parameter_events', qos_profile_parameter_events
        )
        NodeParameters.__init__(self, self._overrides(parameter_overrides), events.publish)
        if enable_rosout:
            self._rosout = self.create_publisher(Log, '/rosout', ROSOUT)
            logging.add_sink(self._logger.name, self._to_rosout)
        self._time_source = TimeSource(self, self._clock)
        if start_parameter_services:
            self._parameter_service = ParameterService(self)

    def _to_rosout(
        self, severity: int, name: str, text: str, function: str, file: str, line: int
    ) -> None:
        if self._context.ok():
            self._rosout.publish(
                Log(
                    stamp=self._clock.now().to_msg(),
                    level=int(severity),
                    name=name,
                    msg=text,
                    file=file,
                    function=function,
                    line=line,
                )
            )

    # -- who we are ----------------------------------------------------------------------------
    @property
    def context(self) -> Context:
        """Return the context this node lives in."""
        return self._context

    @property
    def default_callback_group(self) -> CallbackGroup:
        """Return the group of callbacks that name none: one at a time."""
        return self._default_callback_group

    @property
    def executor(self) -> Any:
        """Return the executor that runs our callbacks."""
        return self._executor() if self._executor is not None else None

    @executor.setter
    def executor(self, executor: Any) -> None:
        current = self.executor
        if current is not None and current is not executor:
            current.remove_node(self)
        self._executor = weakref.ref(executor) if executor is not None else None

    def get_clock(self) -> Clock:
        """Return the clock of ROS time."""
        return self._clock

    def get_logger(self) -> logging.RcutilsLogger:
        """Return the node's logger."""
        return self._logger

    @property
    def timers(self) -> Iterator[Timer]:
        """Return our timers."""
        return self._of(Timer)

    @property
    def subscriptions(self) -> Iterator[Subscription]:
        """Return our subscriptions."""
        return self._of(Subscription)

    def _of(self, kind: type) -> Iterator[Any]:
        return iter([entity for entity in list(self._waiting) if isinstance(entity, kind)])

    def entities(self) -> list[Any]:
        """Return all that an executor has to watch."""
        return list(self._waiting)

    def endpoints(self) -> list[Any]:
        """Return all that has DDS readers or writers."""
        return [*self._publishers, *(e for e in list(self._waiting) if hasattr(e, 'readers'))]

    def _wake_executor(self) -> None:
        executor = self.executor
        if executor is not None:
            executor.wake()

    def _add(self, entity: Any) -> Any:
        self._waiting += [entity, *getattr(entity, 'event_handlers', ())]
        self._context.graph.update()
        self._wake_executor()
        return entity

    def _destroy(self, entity: Any, owners: list[Any]) -> bool:
        if entity not in owners:
            return False
        owners.remove(entity)
        for handler in getattr(entity, 'event_handlers', ()):
            self._waiting.remove(handler)
        entity.destroy()
        self._context.graph.update()
        self._wake_executor()
        return True

    # -- what we make --------------------------------------------------------------------------
    def create_publisher(
        self,
        msg_type: Any,
        topic: str,
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        event_callbacks: Any = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
    ) -> Publisher:
        """Publish a topic."""
        name, profile = self.resolve_topic_name(topic), profile_from(qos_profile)
        apply_overrides(self, 'publisher', name, profile, qos_overriding_options)
        publisher = Publisher(
            self,
            msg_type,
            topic,
            profile,
            event_callbacks,
            callback_group or self._default_callback_group,
        )
        self._publishers.append(publisher)
        self._waiting += publisher.event_handlers
        self._context.graph.update()
        return publisher

    def create_subscription(
        self,
        msg_type: Any,
        topic: str,
        callback: Callable[..., Any],
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        event_callbacks: Any = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
    ) -> Subscription:
        """Subscribe to a topic."""
        name, profile = self.resolve_topic_name(topic), profile_from(qos_profile)
        apply_overrides(self, 'subscription', name, profile, qos_overriding_options)
        return self._add(
            Subscription(
                self,
                msg_type,
                topic,
                callback,
                callback_group or self._default_callback_group,
                profile,
                event_callbacks,
            )
        )

    def create_client(
        self,
        srv_type: Any,
        srv_name: str,
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Client:
        """Call a service."""
        return self._add(
            Client(
                self,
                srv_type,
                srv_name,
                callback_group or self._default_callback_group,
                qos_profile,
            )
        )

    def create_service(
        self,
        srv_type: Any,
        srv_name: str,
        callback: Callable[..., Any],
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Service:
        """Serve a service."""
        return self._add(
            Service(
                self,
                srv_type,
                srv_name,
                callback,
                callback_group or self._default_callback_group,
                qos_profile,
            )
        )

    def create_timer(
        self,
        timer_period_sec: float,
        callback: Callable[[], Any],
        callback_group: CallbackGroup | None = None,
        clock: Clock | None = None,
        autostart: bool = True,
    ) -> Timer:
        """Call back every period of a clock, ROS time where none is named."""
        return self._add(
            Timer(
                self,
                callback,
                callback_group or self._default_callback_group,
                int(float(timer_period_sec) * S_TO_NS),
                clock or self._clock,
                autostart,
            )
        )

    def create_guard_condition(
        self, callback: Callable[[], Any], callback_group: CallbackGroup | None = None
    ) -> GuardCondition:
        """Call back once a thread has triggered it."""
        return self._add(
            GuardCondition(self, callback, callback_group or self._default_callback_group)
        )

    # -- the end -------------------------------------------------------------------------------
    def destroy_publisher(self, publisher: Publisher) -> bool:
        """Stop publishing."""
        return self._destroy(publisher, self._publishers)

    def _destroy_waiting(self, entity: Any) -> bool:
        return self._destroy(entity, self._waiting)

    destroy_subscription = destroy_client = destroy_service = _destroy_waiting
    destroy_timer = destroy_guard_condition = _destroy_waiting

    def destroy_node(self) -> None:
        """Leave the graph with everything we have."""
        executor = self.executor
        if executor is not None:
            executor.remove_node(self)
        logging.remove_sink(self._logger.name)
        self._context.graph.remove_node(self)
        for entity in [*self._publishers, *self._waiting]:
            entity.destroy()
        self._publishers.clear()
        self._waiting.clear()
