# SPDX-License-Identifier: Apache-2.0
"""Message packages as modules: `from sensor_msgs.msg import Image` finds our classes."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from embedded_ros import typestore
from embedded_ros.messages import Message, message_class
from embedded_ros.service_definitions import SERVICES

HIDDEN = ('_Request', '_Response')


class ServiceType(type):
    """Type of service classes, which hold the classes of request and response."""

    TYPE_NAME: str
    Request: type[Message]
    Response: type[Message]


def service_class(type_name: str) -> ServiceType:
    """Return `std_srvs/srv/Trigger` with its `Request` and `Response` message classes."""
    package, _, name = type_name.split('/')
    parts = {
        'TYPE_NAME': type_name,
        '__module__': f'{package}.srv',
        '__qualname__': name,
        'Request': message_class(type_name + '_Request'),
        'Response': message_class(type_name + '_Response'),
    }
    return ServiceType(name, (), parts)


class InterfaceModule(ModuleType):
    """`<package>.msg`: makes its classes when they are asked for."""

    def __init__(self, name: str, type_names: list[str]) -> None:
        super().__init__(name)
        self.__all__ = [type_name.split('/')[2] for type_name in type_names]
        self._type_names = dict(zip(self.__all__, type_names, strict=True))

    def __getattr__(self, name: str) -> Any:
        type_name = self.__dict__.get('_type_names', {}).get(name)
        if type_name is None:
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        cls = service_class(type_name) if type_name in SERVICES else message_class(type_name)
        setattr(self, name, cls)
        return cls

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__all__})


def install_packages() -> None:
    """Put every known message package into sys.modules."""
    _install_modules([*typestore.store().fielddefs, *SERVICES])


def register(definitions: Mapping[str, str]) -> None:
    """Learn message types from the text of .msg files and offer their modules."""
    new = typestore.register(definitions)
    for package in {name.split('/')[0] for name in new}:
        # The package may have modules of its own beside its messages.
        if package not in sys.modules and importlib.util.find_spec(package) is not None:
            importlib.import_module(package)
    folders = {name.rpartition('/')[0] + '/' for name in new}
    _install_modules(
        name
        for name in [*typestore.store().fielddefs, *SERVICES]
        if name.rpartition('/')[0] + '/' in folders
    )


def _install_modules(type_names: Iterable[str]) -> None:
    by_module: dict[str, set[str]] = {}
    for type_name in type_names:
        package, kind, name = type_name.split('/')
        if not (kind == 'srv' and name.endswith(HIDDEN)):
            by_module.setdefault(f'{package}.{kind}', set()).add(type_name)
    for module_name, names in by_module.items():
        package, kind = module_name.split('.')
        if package not in sys.modules:
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = []
        sys.modules[module_name] = InterfaceModule(module_name, sorted(names))
        setattr(sys.modules[package], kind, sys.modules[module_name])
