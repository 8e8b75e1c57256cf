# SPDX-License-Identifier: Apache-2.0
"""Offer of a new map to a relocalizer: sets its parameter `map`, without waiting for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.exceptions import InvalidServiceNameException
from rclpy.node import Node

#: Time that the relocalizer has to be there, and then to load the map [s].
SERVICE_TIMEOUT_S, ANSWER_TIMEOUT_S = 10.0, 120.0


class MapOffer:
    """One map offered to one node; `step` goes on with it, `outcome` tells how it ended."""

    def __init__(self, node: Node, relocalizer: str, path: Path) -> None:
        """Begin; relocalizer is the name of its node, relative to the namespace or absolute."""
        self._node, self._relocalizer, self._path = node, relocalizer, path
        self.outcome, self.is_accepted = '', False
        self._future: Any = None
        self._end = time.monotonic() + SERVICE_TIMEOUT_S
        self._client: Any = None
        try:
            self._client = node.create_client(
                SetParameters, f'{relocalizer.rstrip("/")}/set_parameters'
            )
        except (InvalidServiceNameException, ValueError) as error:
            self._conclude(f'that is no name of a node ({" ".join(str(error).split())})')

    def step(self) -> str:
        """Send the map, or look at the answer; return the outcome, once, when it is known."""
        if self.outcome:
            return ''
        if self._future is None:
            if self._client.service_is_ready():
                self._future = self._client.call_async(self._request())
                self._end = time.monotonic() + ANSWER_TIMEOUT_S
            elif time.monotonic() >= self._end:
                self._conclude(
                    'no such node answers: check offer_map_to with `ros2 node list`, or set the '
                    'parameter map of the relocalizer yourself'
                )
        elif self._future.done():
            self._conclude(self._answer())
        elif time.monotonic() >= self._end:
            self._conclude(f'no answer within {ANSWER_TIMEOUT_S:g} s')
        return self.outcome

    def close(self) -> None:
        """Forget the offer."""
        if self._client is not None:
            self._node.destroy_client(self._client)
            self._client = None
            self.outcome = self.outcome or 'ended'

    def _request(self) -> SetParameters.Request:
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=str(self._path))
        return SetParameters.Request(parameters=[Parameter(name='map', value=value)])

    def _answer(self) -> str:
        """Return why the map was refused; '' if it is in use."""
        error = self._future.exception()
        if error is not None:
            return f'{type(error).__name__}: {error}'
        results = self._future.result().results
        if len(results) != 1:
            return f'{len(results)} results for one parameter'
        return '' if results[0].successful else results[0].reason or 'refused without a reason'

    def _conclude(self, problem: str) -> None:
        self.is_accepted = not problem
        self.outcome = (
            f'{self._relocalizer} does not take the map {self._path}: {problem}'
            if problem
            else f'{self._relocalizer} uses the map {self._path}'
        )
        # Two calls: rclpy does not let one of them change its severity.
        if self.is_accepted:
            self._node.get_logger().info(self.outcome)
        else:
            self._node.get_logger().error(self.outcome)
