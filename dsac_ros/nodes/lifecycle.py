# SPDX-License-Identifier: Apache-2.0
"""Base of both nodes: parameters, lifecycle transitions that never raise, main function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Generic

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

from dsac_ros.compute import process
from dsac_ros.errors import DsacError
from dsac_ros.nodes import parameters
from dsac_ros.nodes.bond import Bond
from dsac_ros.nodes.parameters import P, specs_of
from dsac_ros.nodes.spinning import StopSignals, spin

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
UNCONFIGURED, INACTIVE, ACTIVE, FINALIZED = 'unconfigured', 'inactive', 'active', 'finalized'
#: Time after which a node that processes nothing says again what it waits for [s].
REMIND_PERIOD_S = 30.0


class ParameterNode(LifecycleNode, Generic[P]):
    """A lifecycle node whose parameters are a dataclass of type P.

    Subclasses implement `configure`, `activate`, `deactivate`, `cleanup` and `apply`. Each may
    raise a DsacError, whose message is logged and which fails the transition or the change of the
    parameter; what a failed transition began is undone.

    Attributes:
        values: current values of the parameters.
        state: unconfigured, inactive, active or finalized; that of the last finished transition.
        problem: why the last transition failed, one line; '' if it succeeded.
    """

    def __init__(self, name: str, table: type[P]) -> None:
        super().__init__(name)
        self.state, self.problem = UNCONFIGURED, ''
        self._transition_by_autostart = False
        self._bond = Bond(self)
        parameters.declare(self, table)
        self.values: P = parameters.read(self, table)
        self.add_on_set_parameters_callback(self._on_set)
        for unknown in parameters.unknown_names(self, table):
            close = get_close_matches(unknown, [spec.name for spec in specs_of(table)], 1)
            self.get_logger().warning(
                f'parameter {unknown!r} is not known and has no effect'
                + (f': did you mean {close[0]!r}?' if close else '')
            )
        #: Autostart is due; a transition that anybody else requests ends that.
        self.is_starting = self.values.autostart
        # A steady clock: simulated time may not have started.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        if self.is_starting:
            self._autostart = self.create_timer(0.01, self._begin_autostart, clock=steady)
        self.create_timer(REMIND_PERIOD_S, self._remind, clock=steady)

    def configure(self) -> None:
        """Prepare to run."""

    def activate(self) -> None:
        """Start to work."""

    def deactivate(self) -> None:
        """Stop working, stay configured."""

    def cleanup(self) -> None:
        """Release all resources."""

    def apply(self, values: P, changed: frozenset[str]) -> None:
        """Apply changed parameters; `changed` names all that were set, to old values too.

        Raises:
            DsacError: the change is rejected.
        """

    def prepare_start(self) -> None:
        """Call `start` as soon as the node can configure quickly; with autostart only."""
        self.start()

    def start(self) -> None:
        """Configure and activate for autostart, unless somebody else took a transition."""
        if not self.is_starting or self.state != UNCONFIGURED:
            return
        self._transition_by_autostart = True
        try:
            if self.trigger_configure() == SUCCESS:
                self.is_starting = False
                self.trigger_activate()
        finally:
            self._transition_by_autostart = False

    def waiting_for(self) -> str:
        """Return why the node processes nothing in its state, and the remedy, one line."""
        if self.problem:
            return self.problem
        step = 'configure' if self.state == UNCONFIGURED else 'activate'
        name = self.get_fully_qualified_name()
        return f'waiting for a lifecycle manager, or for `ros2 lifecycle set {name} {step}`'

    def _remind(self) -> None:
        """Log what a node waits for that would otherwise be silent for ever."""
        if self.state in (UNCONFIGURED, INACTIVE):
            self.get_logger().warning(f'{self.state}: {self.waiting_for()}')

    def _begin_autostart(self) -> None:
        self._autostart.cancel()
        if self.is_starting:
            self.prepare_start()

    def _on_set(self, changes: Sequence[Any]) -> SetParametersResult:
        if self.state == FINALIZED:
            return SetParametersResult(
                successful=False, reason='the node was shut down and does nothing: start it again'
            )
        try:
            values = parameters.updated(self.values, changes)
            self.apply(values, frozenset(change.name for change in changes))
        except DsacError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except Exception as error:  # it would end the node
            reason = f'not changed: {type(error).__name__}: {error}'
            self.get_logger().error(reason)
            return SetParametersResult(successful=False, reason=reason)
        self.values = values
        return SetParametersResult(successful=True)

    def _attempt(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            step()
            return SUCCESS
        except DsacError as error:
            self.problem = str(error)
        except Exception as error:  # rclpy handles exceptions of transitions badly (rclpy #1319)
            self.problem = f'{step.__name__} failed: {type(error).__name__}: {error}'
        self.get_logger().error(self.problem)
        return FAILURE

    def _transition(
        self, step: Callable[[], None], goal: str, undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        """Take a step to the state `goal`; where it fails, undo what it began."""
        if not self._transition_by_autostart:
            self.is_starting = False
        self.problem = ''
        result = self._attempt(step)
        if result == SUCCESS:
            self.state = goal
        elif undo is not None:
            problem = self.problem
            self._attempt(undo)
            self.problem = problem
        return result

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Change from unconfigured to inactive."""
        return self._transition(self.configure, INACTIVE, undo=self.cleanup)

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Change from inactive to active."""
        result = self._transition(self.activate, ACTIVE, undo=self.deactivate)
        if result == SUCCESS:
            result = super().on_activate(state)
            self._bond.start(self.values.bond_heartbeat_period)
        return result

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Change from active to inactive."""
        self._bond.stop()
        super().on_deactivate(state)
        return self._transition(self.deactivate, INACTIVE)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Change from inactive to unconfigured."""
        return self._transition(self.cleanup, UNCONFIGURED)

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        """Release everything, from any state."""
        result = self._transition(self.stop, FINALIZED)
        self.state = FINALIZED
        return result

    def on_error(self, state: State) -> TransitionCallbackReturn:
        """Return to unconfigured."""
        return self._transition(self.stop, UNCONFIGURED)

    def stop(self) -> None:
        """Deactivate and clean up, from any state; both methods must be idempotent."""
        self._bond.stop()
        self.deactivate()
        self.cleanup()


def run(make_node: Callable[[], ParameterNode[Any]], args: Sequence[str] | None) -> int:
    """Initialise ROS, spin the node and shut down; return the exit code."""
    process.set_up()
    # rclpy would leave the graph by itself, before the node has said that it ends.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = None
    with StopSignals() as signals:
        try:
            node = make_node()
            spin(node, signals)
        except KeyboardInterrupt:  # the second signal: at once
            pass
        except (DsacError, ParameterException) as error:
            get_logger('dsac_ros').fatal(f'cannot start: {error}')
            return 1
        finally:
            if node is not None:
                node.on_shutdown(None)
                node.destroy_node()
            rclpy.try_shutdown()
    return 0
