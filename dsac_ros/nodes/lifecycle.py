# SPDX-License-Identifier: Apache-2.0
"""Base of both nodes: parameters, lifecycle transitions that never raise, main function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Generic

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy._rclpy_pybind11 import RCLError
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.logging import get_logger

from dsac_ros.compute import process
from dsac_ros.errors import DsacError
from dsac_ros.nodes import parameters
from dsac_ros.nodes.bond import Bond
from dsac_ros.nodes.parameters import P, specs_of

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class ParameterNode(LifecycleNode, Generic[P]):
    """A lifecycle node whose parameters are a dataclass of type P.

    Subclasses implement `configure`, `activate`, `deactivate`, `cleanup` and `apply(values)`. Each
    may raise a DsacError, whose message is logged and which fails the transition or the change of
    the parameter.
    """

    def __init__(self, name: str, table: type[P]) -> None:
        super().__init__(name)
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
        if self.values.autostart:
            # A steady clock: simulated time may not have started.
            self._autostart = self.create_timer(
                0.01, self._start_automatically, clock=Clock(clock_type=ClockType.STEADY_TIME)
            )

    def configure(self) -> None:
        """Prepare to run."""

    def activate(self) -> None:
        """Start to work."""

    def deactivate(self) -> None:
        """Stop working, stay configured."""

    def cleanup(self) -> None:
        """Release all resources."""

    def apply(self, values: P) -> None:
        """Apply changed parameters.

        Raises:
            DsacError: the change is rejected.
        """

    def restart_autostart(self) -> None:
        """With autostart, try to configure and activate again after this callback."""
        if self.values.autostart:
            self._autostart.reset()

    def _start_automatically(self) -> None:
        self._autostart.cancel()
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def _on_set(self, changes: Sequence[Any]) -> SetParametersResult:
        try:
            values = parameters.updated(self.values, changes)
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
        except Exception as error:  # rclpy handles exceptions of transitions badly (rclpy #1319)
            self.get_logger().error(f'{step.__name__} failed: {type(error).__name__}: {error}')
            return FAILURE

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Change from unconfigured to inactive."""
        return self._attempt(self.configure)

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Change from inactive to active."""
        result = self._attempt(self.activate)
        if result == SUCCESS:
            result = super().on_activate(state)
            self._bond.start(self.values.bond_heartbeat_period)
        return result

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Change from active to inactive."""
        self._bond.stop()
        super().on_deactivate(state)
        return self._attempt(self.deactivate)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Change from inactive to unconfigured."""
        return self._attempt(self.cleanup)

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        """Release everything, from any state."""
        return self._attempt(self.stop)

    def on_error(self, state: State) -> TransitionCallbackReturn:
        """Return to unconfigured."""
        return self._attempt(self.stop)

    def stop(self) -> None:
        """Deactivate and clean up, from any state; both methods must be idempotent."""
        self._bond.stop()
        self.deactivate()
        self.cleanup()


def run(make_node: Callable[[], ParameterNode[Any]], args: Sequence[str] | None) -> int:
    """Initialise ROS, spin the node and shut down; return the exit code."""
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
        # Ctrl-C shut the context down during a call
    finally:
        if node is not None:
            node.on_shutdown(None)
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
