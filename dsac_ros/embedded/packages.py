# SPDX-License-Identifier: Apache-2.0
"""Message packages as modules: `from sensor_msgs.msg import Image` finds our classes."""
from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

from dsac_ros.embedded.messages import Message, message_class
from dsac_ros.embedded.service_definitions import SERVICES
from dsac_ros.embedded.typestore import PACKAGE, store

HIDDEN = ('_Request', '_Response')


class ServiceType(type):
    """A service class shows its type in its repr."""

    TYPE_NAME: str
    Request: type[Message]
    Response: type[Message]


def service_class(type_name: str) -> ServiceType:
    """`std_srvs/srv/Trigger` with its `Request` and `Response` message classes."""
    package, _, name = type_name.split('/')
    parts = {'TYPE_NAME': type_name, '__module__': f'{package}.srv', '__qualname__': name,
             'Request': message_class(type_name + '_Request'),
             'Response': message_class(type_name + '_Response')}
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
    """Put every known message package into sys.modules, `dsac_ros.msg` among them."""
    by_module: dict[str, list[str]] = {}
    for type_name in [*store().fielddefs, *SERVICES]:
        package, kind, name = type_name.split('/')
        if not (kind == 'srv' and name.endswith(HIDDEN)):
            by_module.setdefault(f'{package}.{kind}', []).append(type_name)
    for module_name, type_names in by_module.items():
        _install_module(module_name, sorted(set(type_names)))


def _install_module(module_name: str, type_names: list[str]) -> None:
    package, kind = module_name.split('.')
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = []
    module = InterfaceModule(module_name, type_names)
    sys.modules[module_name] = module
    setattr(sys.modules[package], kind, module)


def learn_types(types: Typestore, type_name: str) -> None:
    """Take over a type, and those inside it, that another type store knows.

    Args:
        types: the other store, a bag's for example.
        type_name: `package/msg/Name`.
    """
    unknown = _unknown_types(types, type_name, {})
    store().register(unknown)
    for module_name in {'.'.join(name.split('/')[:2]) for name in unknown}:
        prefix = module_name.replace('.', '/') + '/'
        _install_module(module_name, sorted(n for n in store().fielddefs if n.startswith(prefix)))


def _unknown_types(types: Typestore, type_name: str, found: dict[str, Any]) -> dict[str, Any]:
    if type_name not in store().fielddefs and type_name not in found:
        found[type_name] = types.fielddefs[type_name]
        for _, (kind, content) in types.fielddefs[type_name][1]:
            inner = content[0] if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE) else (kind, content)
            if inner[0] == Nodetype.NAME:
                _unknown_types(types, inner[1], found)
    return found


def own_type_names() -> list[str]:
    """The types that this project defines."""
    return sorted(n for n in store().fielddefs if n.startswith(PACKAGE + '/'))
