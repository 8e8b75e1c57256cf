# SPDX-License-Identifier: Apache-2.0
"""Check a value against a parameter's descriptor: type, read-only, range, step."""

from __future__ import annotations

import math
from typing import Any

from rclpy.parameter import Parameter, Type

RELATIVE_TOLERANCE = 1e-6


def refusal(
    parameter: Parameter, descriptor: Any, *, declared: bool, check_read_only: bool
) -> str:
    """Return the reason why the parameter must not be set, '' when it may be."""
    if check_read_only and descriptor.read_only:
        return f'Trying to set a read-only parameter: {parameter.name}.'
    if not descriptor.dynamic_typing:
        if declared and parameter.type_ is Type.NOT_SET:
            return 'Static parameter cannot be undeclared'
        if parameter.type_ is not Type.NOT_SET and parameter.type_.value != descriptor.type:
            return (
                f"Wrong parameter type, expected '{Type(descriptor.type)}' got '{parameter.type_}'"
            )
    if parameter.type_ is Type.INTEGER and descriptor.integer_range:
        return _outside_integers(parameter, descriptor.integer_range[0])
    if parameter.type_ is Type.DOUBLE and descriptor.floating_point_range:
        return _outside_floats(parameter, descriptor.floating_point_range[0])
    return ''


def _outside_integers(parameter: Parameter, allowed: Any) -> str:
    value = parameter.value
    low, high = sorted((allowed.from_value, allowed.to_value))
    if value in (low, high):
        return ''
    if not low < value < high:
        return _out_of_range(parameter, low, high)
    if allowed.step and (value - low) % allowed.step:
        return f'{_not_a_step(parameter, low, high)}, step: {allowed.step}'
    return ''


def _outside_floats(parameter: Parameter, allowed: Any) -> str:
    value = parameter.value
    low, high = sorted((allowed.from_value, allowed.to_value))
    if any(math.isclose(value, edge, rel_tol=RELATIVE_TOLERANCE) for edge in (low, high)):
        return ''
    if not low < value < high:
        return _out_of_range(parameter, low, high)
    if allowed.step:
        nearest = low + round((value - low) / allowed.step) * allowed.step
        if not math.isclose(nearest, value, rel_tol=RELATIVE_TOLERANCE):
            return f'{_not_a_step(parameter, low, high)}, step: {allowed.step}'
    return ''


def _out_of_range(parameter: Parameter, low: float, high: float) -> str:
    return (
        f'Parameter {parameter.name} out of range. Min: {low}, Max: {high}, '
        f'value: {parameter.value}'
    )


def _not_a_step(parameter: Parameter, low: float, high: float) -> str:
    return (
        f'The parameter value for {parameter.name} is not a valid step. Min: {low}, '
        f'max: {high}, value: {parameter.value}'
    )
