# SPDX-License-Identifier: Apache-2.0
"""Managed nodes: states, transitions, and the services behind `ros2 lifecycle`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from lifecycle_msgs.msg import State, TransitionDescription, TransitionEvent
from lifecycle_msgs.msg import Transition as TransitionMsg
from lifecycle_msgs.srv import (
    ChangeState,
    GetAvailableStates,
    GetAvailableTransitions,
    GetState,
)

from embedded_ros.errors import RCLError
from rclpy.lifecycle.state_machine import (
    STATES,
    TRANSITIONS,
    LifecycleState,
    StateMachine,
    Transition,
    TransitionCallbackReturn,
)
from rclpy.node import Node


class LifecycleNodeMixin:
    """States and services of a managed node; override the `on_...` methods."""

    def __init__(
        self, *, enable_communication_interface: bool = True, callback_group: Any = None
    ) -> None:
        self._state_machine = StateMachine()
        self._transition_events: Any = None
        if enable_communication_interface:
            self._transition_events = self.create_publisher(
                TransitionEvent, '~/transition_event', 10
            )
            for srv_type, name, callback in (
                (ChangeState, 'change_state', self._serve_change_state),
                (GetState, 'get_state', self._serve_state),
                (GetAvailableStates, 'get_available_states', self._serve_states),
                (GetAvailableTransitions, 'get_available_transitions', self._serve_transitions),
                (GetAvailableTransitions, 'get_transition_graph', self._serve_graph),
            ):
                self.create_service(srv_type, f'~/{name}', callback, callback_group=callback_group)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go from unconfigured to inactive."""
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go from inactive to unconfigured."""
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go from any state to finalized."""
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go from inactive to active."""
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go from active to inactive."""
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean up after an error in any transition."""
        return TransitionCallbackReturn.SUCCESS

    def trigger_configure(self) -> TransitionCallbackReturn:
        """Unconfigured to inactive."""
        return self._change_state('configure')

    def trigger_cleanup(self) -> TransitionCallbackReturn:
        """Inactive to unconfigured."""
        return self._change_state('cleanup')

    def trigger_activate(self) -> TransitionCallbackReturn:
        """Inactive to active."""
        return self._change_state('activate')

    def trigger_deactivate(self) -> TransitionCallbackReturn:
        """Active to inactive."""
        return self._change_state('deactivate')

    def trigger_shutdown(self) -> TransitionCallbackReturn:
        """Anything to finalized."""
        return self._change_state('shutdown')

    def _change_state(self, which: int | str) -> TransitionCallbackReturn:
        initial = self._state_machine.current_state
        self._trigger(which)
        outcome = self._outcome(initial)
        self._trigger(outcome.to_label())
        if outcome is TransitionCallbackReturn.ERROR:
            self._trigger(self._outcome(initial).to_label())
        return outcome

    def _trigger(self, which: int | str) -> None:
        transition = self._state_machine.trigger(which)
        if self._transition_events is not None and self.context.ok():
            self._transition_events.publish(
                TransitionEvent(
                    timestamp=time.time_ns(),
                    transition=_transition_msg(transition),
                    start_state=_state_msg(transition.start),
                    goal_state=_state_msg(transition.goal),
                )
            )

    def _outcome(self, initial: LifecycleState) -> TransitionCallbackReturn:
        callback: Callable[..., Any] = {
            'configuring': self.on_configure,
            'cleaningup': self.on_cleanup,
            'activating': self.on_activate,
            'deactivating': self.on_deactivate,
            'shuttingdown': self.on_shutdown,
            'errorprocessing': self.on_error,
        }[self._state_machine.current_state.label]
        try:
            return TransitionCallbackReturn(callback(initial))
        except Exception as error:
            self.get_logger().error(f'{callback.__name__} failed: {type(error).__name__}: {error}')
            return TransitionCallbackReturn.ERROR

    def _serve_change_state(self, request: Any, response: Any) -> Any:
        try:
            # A label goes before the number, as in rcl_lifecycle.
            outcome = self._change_state(request.transition.label or request.transition.id)
            response.success = outcome is TransitionCallbackReturn.SUCCESS
        except RCLError as error:
            self.get_logger().warning(str(error))
        return response

    def _serve_state(self, request: Any, response: Any) -> Any:
        response.current_state = _state_msg(self._state_machine.current_state)
        return response

    def _serve_states(self, request: Any, response: Any) -> Any:
        response.available_states = [_state_msg(state) for state in STATES.values()]
        return response

    def _serve_transitions(self, request: Any, response: Any) -> Any:
        response.available_transitions = _described(self._state_machine.available_transitions())
        return response

    def _serve_graph(self, request: Any, response: Any) -> Any:
        response.available_transitions = _described(TRANSITIONS)
        return response


class LifecycleNode(LifecycleNodeMixin, Node):
    """A managed node."""

    def __init__(
        self, node_name: str, *, enable_communication_interface: bool = True, **options: Any
    ) -> None:
        Node.__init__(self, node_name, **options)
        LifecycleNodeMixin.__init__(
            self, enable_communication_interface=enable_communication_interface
        )


def _state_msg(state: LifecycleState) -> Any:
    return State(id=state.state_id, label=state.label)


def _transition_msg(transition: Transition) -> Any:
    return TransitionMsg(id=transition.transition_id, label=transition.label)


def _described(transitions: Iterable[Transition]) -> list[Any]:
    return [
        TransitionDescription(
            transition=_transition_msg(t),
            start_state=_state_msg(t.start),
            goal_state=_state_msg(t.goal),
        )
        for t in transitions
    ]
