# SPDX-License-Identifier: Apache-2.0
"""The services behind `ros2 param`: list, get, set, describe."""

from __future__ import annotations

import contextlib
from typing import Any

from rcl_interfaces.msg import ListParametersResult, SetParametersResult
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)

from rclpy.exceptions import ParameterException
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_parameters


class ParameterService:
    """Serves the parameters of a node to the graph."""

    def __init__(self, node: Any) -> None:
        self._node = node
        for srv_type, name, callback in (
            (DescribeParameters, 'describe_parameters', self._describe),
            (GetParameters, 'get_parameters', self._get),
            (GetParameterTypes, 'get_parameter_types', self._get_types),
            (ListParameters, 'list_parameters', self._list),
            (SetParameters, 'set_parameters', self._set),
            (SetParametersAtomically, 'set_parameters_atomically', self._set_atomically),
        ):
            node.create_service(
                srv_type, f'~/{name}', callback, qos_profile=qos_profile_parameters
            )

    def _describe(self, request: Any, response: Any) -> Any:
        # An empty answer says that a name is unknown.
        with contextlib.suppress(ParameterException):
            response.descriptors = self._node.describe_parameters(list(request.names))
        return response

    def _get(self, request: Any, response: Any) -> Any:
        with contextlib.suppress(ParameterException):
            response.values = [
                p.get_parameter_value() for p in self._node.get_parameters(list(request.names))
            ]
        return response

    def _get_types(self, request: Any, response: Any) -> Any:
        with contextlib.suppress(ParameterException):
            response.types = self._node.get_parameter_types(list(request.names))
        return response

    def _list(self, request: Any, response: Any) -> Any:
        try:
            response.result = self._node.list_parameters(list(request.prefixes), request.depth)
        except (TypeError, ValueError):
            response.result = ListParametersResult()
        return response

    def _set(self, request: Any, response: Any) -> Any:
        response.results = [self._attempt([p]) for p in request.parameters]
        return response

    def _set_atomically(self, request: Any, response: Any) -> Any:
        response.result = self._attempt(list(request.parameters))
        return response

    def _attempt(self, messages: list[Any]) -> Any:
        try:
            return self._node.set_parameters_atomically(
                [Parameter.from_parameter_msg(message) for message in messages]
            )
        except ParameterException as error:
            return SetParametersResult(successful=False, reason=str(error))
