# SPDX-License-Identifier: Apache-2.0
"""--config and --set: the settings dataclasses of config.py from a YAML file and single values.

Precedence: default in the code < --config < --set < a flag of its own.
"""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from dsac_ros.config import build
from dsac_ros.errors import ConfigError, did_you_mean

C = TypeVar('C')


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """Add --config and --set."""
    group = parser.add_argument_group('settings')
    group.add_argument('--config', metavar='FILE', help='YAML file of settings, `name: value`')
    group.add_argument(
        '--set',
        metavar='NAME=VALUE',
        action='append',
        default=[],
        dest='settings',
        type=assignment,
        help='one setting; may be repeated',
    )


def assignment(text: str) -> tuple[str, Any]:
    """`NAME=VALUE` as a name and a plain value, for argparse."""
    import yaml

    name, equals, value = text.partition('=')
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f'{text!r} is not NAME=VALUE')
    try:
        return name.strip(), yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise argparse.ArgumentTypeError(
            f'{text!r}: {value!r} is not a value of YAML, expected a '
            'number, a word, or text in quotes'
        ) from None


def read_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The values of --config and --set together."""
    values: dict[str, Any] = {}
    if args.config:
        import yaml

        path = Path(args.config)
        try:
            values = yaml.safe_load(path.read_text(encoding='utf-8')) or {}
        except FileNotFoundError:
            raise ConfigError(f'{path} does not exist, expected a YAML file of settings') from None
        except OSError as error:
            raise ConfigError(
                f'{path} cannot be read ({error.strerror}), expected a YAML file of settings'
            ) from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f'{path} is not YAML: {error}') from None
        if not isinstance(values, dict):
            raise ConfigError(f'{path} holds a {type(values).__name__}, expected `name: value`')
    return {**values, **dict(args.settings)}


def make_settings(cls: type[C], values: dict[str, Any]) -> C:
    """The settings `cls` from plain values; a value of the wrong kind is a ConfigError."""
    defaults = {f.name: f.default for f in fields(cls)}  # type: ignore[arg-type]
    return build(
        cls, {name: as_kind(name, value, defaults.get(name)) for name, value in values.items()}
    )


def as_kind(name: str, value: Any, default: Any) -> Any:
    """`value` as the type of `default`; `1e-3`, which YAML reads as text, becomes a number."""
    if default is None:  # a name that the settings do not have: `build` says so
        return value
    if type(default) is float and type(value) in (int, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    # By type and not isinstance: True is an int in Python, but `hypotheses: true` is a mistake.
    if type(value) is not type(default):
        raise ConfigError(f'{name} is {value!r}, expected a value like {default!r}')
    return value


def split_settings(values: dict[str, Any], *classes: type) -> list[Any]:
    """One settings object per class; each name goes to the class that has it."""
    shares: list[dict[str, Any]] = [{} for _ in classes]
    for name, value in values.items():
        for share, cls in zip(shares, classes):
            if name in {f.name for f in fields(cls)}:
                share[name] = value
                break
        else:
            known = [f.name for cls in classes for f in fields(cls)]
            raise ConfigError(f'unknown setting {name!r}; {did_you_mean(name, known)}')
    return [make_settings(cls, share) for share, cls in zip(shares, classes)]
