# SPDX-License-Identifier: Apache-2.0
"""The result of nav2's Wait action, whose fields differ between distributions."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from types import SimpleNamespace

import pytest

from dsac_ros.nodes.recovery_driver import INACTIVE
from dsac_ros.nodes.wait_action import WaitAction

# nav2_msgs/action/Wait_Result of Humble, of Jazzy (whose numbers have no names), and of main.
HUMBLE = make_dataclass('Result', ['total_elapsed_time'])
JAZZY = make_dataclass('Result', [('error_code', int, 0), ('error_msg', str, '')])
MAIN = make_dataclass(
    'Result', [('error_code', int, 0), ('error_msg', str, '')], namespace={'TIMEOUT': 741}
)


@dataclass
class Goal:
    """A goal that remembers how it ended."""

    ended: str = ''
    is_cancel_requested: bool = False

    def abort(self) -> None:
        self.ended = 'aborted'


def result_of(kind, goal):
    action = SimpleNamespace(ActionServer=lambda *_, **__: None)
    server = WaitAction(None, lambda: None, SimpleNamespace(Result=kind), action, None)
    with pytest.raises(StopIteration) as stopped:
        server.execute(goal).send(None)
    return stopped.value.value


@pytest.mark.parametrize('kind', [JAZZY, MAIN], ids=['jazzy', 'main'])
def test_aborted_goal_says_why(kind):
    goal = Goal()
    result = result_of(kind, goal)
    assert goal.ended == 'aborted'
    assert (result.error_code, result.error_msg) == (741, INACTIVE)


def test_aborted_goal_of_humble_has_no_reason():
    goal = Goal()
    result = result_of(lambda: HUMBLE(None), goal)
    assert goal.ended == 'aborted' and not hasattr(result, 'error_code')
