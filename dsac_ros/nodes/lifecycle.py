# SPDX-License-Identifier: Apache-2.0
"""What both nodes share: parameters from a table, transitions that never raise, one main."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from types import SimpleNamespace
from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy._rclpy_pybind11 import RCLError
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.logging import get_logger

from dsac_ros import process
from dsac_ros.errors import DsacError
from dsac_ros.nodes import parameters
from dsac_ros.nodes.parameters import Spec

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class TableNode(LifecycleNode):
    """A lifecycle node whose parameters stand in a table.

    A child says what happens in `configure`, `activate`, `deactivate`, `cleanup` and
    `apply(values)`; each may raise a DsacError, whose line is logged and fails the transition or
    the setting of the parameter.
    """

    def __init__(self, name: str, specs: tuple[Spec, ...]) -> None:
        super().__init__(name)
        self._specs = specs
        parameters.declare(self, specs)
        self.values: SimpleNamespace = parameters.read(self, specs)
        self.add_on_set_parameters_callback(self._on_set)
        for unknown in parameters.unknown_names(self, specs):
            close = get_close_matches(unknown, [spec.name for spec in specs], 1)
            self.get_logger().warning(f'parameter {unknown!r} is not known and has no effect'
                                      + (f': did you mean {close[0]!r}?' if close else ''))
        if self.values.autostart:
            # Not of the node's clock: simulated time may not have begun.
            self._autostart = self.create_timer(
                0.01, self._start_by_itself, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def configure(self) -> None:
        """Get ready."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working, stay ready."""

    def cleanup(self) -> None:
        """Let go of everything."""

    def apply(self, values: SimpleNamespace) -> None:
        """Take up changed parameters; DsacError when that cannot be."""

    def start_again(self) -> None:
        """With autostart, try to configure and activate once more, after this callback."""
        if self.values.autostart:
            self._autostart.reset()

    def _start_by_itself(self) -> None:
        self._autostart.cancel()
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def _on_set(self, changes: Sequence[Any]) -> SetParametersResult:
        try:
            values = parameters.changed(self.values, self._specs, changes)
            self.apply(values)
        except DsacError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.values = values
        return SetParametersResult(successful=True)

    def _attempt(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            step()
            return SUCCESS
        except DsacError as error:
            self.get_logger().error(str(error))
            return FAILURE
        except Exception as error:   # rclpy handles exceptions of transitions badly (rclpy #1319)
            self.get_logger().error(f'{step.__name__} failed: {type(error).__name__}: {error}')
            return FAILURE

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Unconfigured to inactive."""
        return self._attempt(self.configure)

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Inactive to active."""
        result = self._attempt(self.activate)
        return super().on_activate(state) if result == SUCCESS else result

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Active to inactive."""
        super().on_deactivate(state)
        return self._attempt(self.deactivate)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Inactive to unconfigured."""
        return self._attempt(self.cleanup)

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        """Whatever it is, let go of it."""
        return self._attempt(self.stop)

    def on_error(self, state: State) -> TransitionCallbackReturn:
        """Back to unconfigured."""
        return self._attempt(self.stop)

    def stop(self) -> None:
        """Deactivate and clean up, from any state; both must stand being called twice."""
        self.deactivate()
        self.cleanup()


def run(make_node: Callable[[], TableNode], args: Sequence[str] | None) -> int:
    """Initialise ROS, spin the node, and leave in order; the exit code."""
    process.set_up()
    rclpy.init(args=args)
    node = None
    try:
        node = make_node()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (DsacError, ParameterException) as error:
        get_logger('dsac_ros').fatal(f'cannot start: {error}')
        return 1
    except RCLError:
        if rclpy.ok():
            raise
        # Ctrl-C ended the context under a call that was still at work
    finally:
        if node is not None:
            node.on_shutdown(None)
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
