# SPDX-License-Identifier: Apache-2.0
import pytest
from lifecycle_msgs.msg import Transition, TransitionEvent
from lifecycle_msgs.srv import (
    ChangeState,
    GetAvailableStates,
    GetAvailableTransitions,
    GetState,
)
from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn

from embedded_ros import offered

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class Managed(LifecycleNode):
    """Says what it is told and remembers what it was asked."""

    def __init__(self, name, **options):
        super().__init__(name, **options)
        self.calls, self.answers = [], {}

    def answer(self, name, state):
        self.calls.append((name, state.label))
        answer = self.answers.get(name, SUCCESS)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def on_configure(self, state):
        return self.answer('configure', state)

    def on_activate(self, state):
        super().on_activate(state)
        return self.answer('activate', state)

    def on_cleanup(self, state):
        return self.answer('cleanup', state)

    def on_shutdown(self, state):
        return self.answer('shutdown', state)

    def on_error(self, state):
        return self.answer('error', state)


def label(node):
    return node._state_machine.current_state[1]


def test_the_whole_life(make_node):
    node = make_node('managed', Managed)
    for step, then in (
        ('configure', 'inactive'),
        ('activate', 'active'),
        ('deactivate', 'inactive'),
        ('cleanup', 'unconfigured'),
        ('shutdown', 'finalized'),
    ):
        assert getattr(node, f'trigger_{step}')() == SUCCESS
        assert label(node) == then
    assert node.calls == [
        ('configure', 'unconfigured'),
        ('activate', 'inactive'),
        ('cleanup', 'inactive'),
        ('shutdown', 'unconfigured'),
    ]
    with pytest.raises(RCLError, match='not registered'):
        node.trigger_configure()


@pytest.mark.parametrize(
    ('answer', 'on_error', 'then'),
    [
        (FAILURE, SUCCESS, 'unconfigured'),
        (ERROR, SUCCESS, 'unconfigured'),
        (ERROR, FAILURE, 'finalized'),
        (ValueError('no map'), SUCCESS, 'unconfigured'),
        (ERROR, ERROR, 'finalized'),
    ],
)
def test_what_follows_a_failure(make_node, answer, on_error, then, capfd):
    node = make_node('managed', Managed)
    node.answers = {'configure': answer, 'error': on_error}
    assert node.trigger_configure() == (ERROR if isinstance(answer, Exception) else answer)
    assert label(node) == then
    if isinstance(answer, Exception) and 'rclpy' in offered():
        # A real rclpy keeps the reason to itself.
        assert 'ValueError: no map' in capfd.readouterr().err


def call(node, executor, srv_type, name, **request):
    client = node.create_client(srv_type, f'/managed/{name}')
    assert client.wait_for_service(5.0)
    future = client.call_async(srv_type.Request(**request))
    executor.spin_until_future_complete(future, 5.0)
    return future.result()


def test_the_services_behind_ros2_lifecycle(make_node, executor, spin_until):
    node, caller, events = make_node('managed', Managed), make_node('caller'), []
    caller.create_subscription(TransitionEvent, '/managed/transition_event', events.append, 10)
    assert spin_until(lambda: caller.count_publishers('/managed/transition_event'))
    state = call(caller, executor, GetState, 'get_state').current_state
    assert (state.id, state.label) == (1, 'unconfigured')
    by_id = Transition(id=Transition.TRANSITION_CONFIGURE)
    assert call(caller, executor, ChangeState, 'change_state', transition=by_id).success
    assert label(node) == 'inactive'
    assert call(
        caller, executor, ChangeState, 'change_state', transition=Transition(label='activate')
    ).success
    if 'rclpy' in offered():  # a real rclpy lets this error end the node
        assert not call(caller, executor, ChangeState, 'change_state', transition=by_id).success
    ways = call(caller, executor, GetAvailableTransitions, 'get_available_transitions')
    assert [
        (w.transition.id, w.transition.label, w.goal_state.label)
        for w in ways.available_transitions
    ] == [(4, 'deactivate', 'deactivating'), (7, 'shutdown', 'shuttingdown')]
    states = call(caller, executor, GetAvailableStates, 'get_available_states')
    assert len(states.available_states) == 11
    graph = call(caller, executor, GetAvailableTransitions, 'get_transition_graph')
    assert len(graph.available_transitions) == 25
    assert spin_until(lambda: len(events) >= 4)
    assert [(e.start_state.label, e.goal_state.label) for e in events[:2]] == [
        ('unconfigured', 'configuring'),
        ('configuring', 'inactive'),
    ]


def test_a_state_has_a_number_and_a_label():
    state = State(state_id=3, label='active')
    assert (state.state_id, state.label) == (3, 'active')
