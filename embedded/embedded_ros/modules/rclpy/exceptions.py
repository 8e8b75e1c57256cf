# SPDX-License-Identifier: Apache-2.0
"""The errors that rclpy raises."""

from __future__ import annotations

from typing import Any


class NotInitializedException(Exception):
    """Used before rclpy.init() or after rclpy.shutdown()."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__('rclpy.init() has not been called' + (f': {message}' if message else ''))


class InvalidHandle(RuntimeError):
    """Used after it was destroyed."""


class InvalidQoSProfileException(Exception):
    """A QoS profile that contradicts itself."""

    def __init__(self, reason: str = '') -> None:
        super().__init__(f'Invalid QoSProfile: {reason}')


class NameValidationException(Exception):
    """A name that ROS does not allow."""

    def __init__(self, name_type: str, name: str, error_msg: str, invalid_index: int) -> None:
        self.name_type, self.name = name_type, name
        self.error_msg, self.invalid_index = error_msg, invalid_index
        super().__init__(
            f"Invalid {name_type}: {error_msg}:\n  '{name}'\n   {' ' * invalid_index}^"
        )


class InvalidNamespaceException(NameValidationException):
    """A bad namespace."""


class InvalidNodeNameException(NameValidationException):
    """A bad node name."""


class InvalidTopicNameException(NameValidationException):
    """A bad topic name."""


class InvalidServiceNameException(NameValidationException):
    """A bad service name."""


class ParameterException(Exception):
    """Base of the errors about parameters."""

    def __init__(self, error_msg: str, parameters: Any) -> None:
        self.parameters = parameters
        super().__init__(f'{error_msg}: {parameters}')


class ParameterNotDeclaredException(ParameterException):
    """An undeclared parameter was used."""

    def __init__(self, parameters: Any) -> None:
        super().__init__('Invalid access to undeclared parameter(s)', parameters)


class ParameterAlreadyDeclaredException(ParameterException):
    """A parameter was declared twice."""

    def __init__(self, parameters: Any) -> None:
        super().__init__('Parameter(s) already declared', parameters)


class InvalidParameterException(ParameterException):
    """A bad parameter name."""

    def __init__(self, parameter_name: str) -> None:
        super().__init__('Invalid parameter name', parameter_name)


class InvalidParameterTypeException(ParameterException):
    """A value of another type than the declared one."""

    def __init__(self, desired_parameter: Any, expected_type: Any) -> None:
        Exception.__init__(
            self,
            f"Trying to set parameter '{desired_parameter.name}' to "
            f"'{desired_parameter.value}' of type '{desired_parameter.type_.name}', expecting "
            f"type '{expected_type}'",
        )
        self.param_name = desired_parameter.name


class InvalidParameterValueException(ParameterException):
    """A value that a callback or a descriptor refuses."""

    def __init__(self, parameter: str, value: Any, reason: str) -> None:
        Exception.__init__(
            self,
            f'Invalid parameter value ({value}) for parameter ({parameter}). Reason: {reason}',
        )


class ParameterImmutableException(ParameterException):
    """A read-only parameter was to be undeclared."""

    def __init__(self, parameter_name: str) -> None:
        super().__init__('Attempted to modify read-only parameter', parameter_name)


class ParameterUninitializedException(ParameterException):
    """A parameter that has a type but no value yet was read."""

    def __init__(self, parameter_name: str) -> None:
        super().__init__('The parameter has been declared but not initialized', parameter_name)
