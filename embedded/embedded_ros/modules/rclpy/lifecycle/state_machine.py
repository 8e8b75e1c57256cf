# SPDX-License-Identifier: Apache-2.0
"""The lifecycle of managed nodes as a table of states and transitions.

States and numbers: lifecycle_msgs/State and lifecycle_msgs/Transition;
https://design.ros2.org/articles/node_lifecycle.html
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from embedded_ros.errors import RCLError


class LifecycleState(NamedTuple):
    """A state, by number and name."""

    state_id: int
    label: str


class Transition(NamedTuple):
    """A way from one state to another."""

    transition_id: int
    label: str
    start: LifecycleState
    goal: LifecycleState


class TransitionCallbackReturn(IntEnum):
    """Outcome of a transition's callback; values as in lifecycle_msgs/Transition."""

    SUCCESS = 97
    FAILURE = 98
    ERROR = 99

    def to_label(self) -> str:
        """Return the label of the transition that follows."""
        return f'transition_{self.name.lower()}'


STATES = {
    label: LifecycleState(number, label)
    for number, label in (
        (0, 'unknown'),
        (1, 'unconfigured'),
        (2, 'inactive'),
        (3, 'active'),
        (4, 'finalized'),
        (10, 'configuring'),
        (11, 'cleaningup'),
        (12, 'shuttingdown'),
        (13, 'activating'),
        (14, 'deactivating'),
        (15, 'errorprocessing'),
    )
}
# Number, label, from, while it runs, after success, after failure.
STEPS = (
    (1, 'configure', 'unconfigured', 'configuring', 'inactive', 'unconfigured'),
    (2, 'cleanup', 'inactive', 'cleaningup', 'unconfigured', 'inactive'),
    (3, 'activate', 'inactive', 'activating', 'active', 'inactive'),
    (4, 'deactivate', 'active', 'deactivating', 'inactive', 'active'),
    (5, 'shutdown', 'unconfigured', 'shuttingdown', 'finalized', 'finalized'),
    (6, 'shutdown', 'inactive', 'shuttingdown', 'finalized', 'finalized'),
    (7, 'shutdown', 'active', 'shuttingdown', 'finalized', 'finalized'),
)
OUTCOMES = ('transition_success', 'transition_failure', 'transition_error')


def _table() -> list[Transition]:
    transitions = [
        Transition(number, label, STATES[start], STATES[running])
        for number, label, start, running, _, _ in STEPS
    ]
    finished = {running: (success, failure) for _, _, _, running, success, failure in STEPS}
    finished['errorprocessing'] = ('unconfigured', 'finalized')
    # lifecycle_msgs numbers the outcomes by tens, in this order.
    order = (
        'configuring',
        'cleaningup',
        'activating',
        'deactivating',
        'shuttingdown',
        'errorprocessing',
    )
    for tens, running in enumerate(order, start=1):
        # An error while errors are processed is the end.
        error = 'finalized' if running == 'errorprocessing' else 'errorprocessing'
        for offset, goal in enumerate((*finished[running], error)):
            transitions.append(
                Transition(10 * tens + offset, OUTCOMES[offset], STATES[running], STATES[goal])
            )
    return transitions


TRANSITIONS = _table()


class StateMachine:
    """Current state of a managed node."""

    def __init__(self) -> None:
        self.current_state = STATES['unconfigured']

    def available_transitions(self) -> list[Transition]:
        """Return the ways out of the current state."""
        return [t for t in TRANSITIONS if t.start == self.current_state]

    def transition(self, which: int | str) -> Transition:
        """Return the transition of that number or label; RCLError without one."""
        for transition in self.available_transitions():
            if which in (transition.transition_id, transition.label):
                return transition
        raise RCLError(
            f'Transition {which} is not registered for current state {self.current_state.label}'
        )

    def trigger(self, which: int | str) -> Transition:
        """Take that way."""
        transition = self.transition(which)
        self.current_state = transition.goal
        return transition
