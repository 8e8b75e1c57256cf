# SPDX-License-Identifier: Apache-2.0
"""Loggers: to stderr in ROS' format, and to /rosout where a node offers it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

NAMES = {10: 'DEBUG', 20: 'INFO', 30: 'WARN', 40: 'ERROR', 50: 'FATAL'}
COLOURS = {10: '\033[32m', 30: '\033[33m', 40: '\033[31m', 50: '\033[31m'}
OPTIONS = {'throttle_duration_sec', 'once'}


class LoggingSeverity(IntEnum):
    """Severity of a message."""

    UNSET = 0
    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50


# Logger name -> level; '' is the default. Sinks get (severity, name, text, function, file, line).
_levels: dict[str, LoggingSeverity] = {'': LoggingSeverity.INFO}
_sinks: dict[str, Callable[..., None]] = {}


class RcutilsLogger:
    """A named logger; `once` and `throttle_duration_sec` hold per line of code."""

    def __init__(self, name: str = '') -> None:
        self.name = name
        self._seen: dict[Any, float] = {}
        self._severities: dict[Any, LoggingSeverity] = {}

    def get_effective_level(self) -> LoggingSeverity:
        """Return the level that holds here: our own or the nearest ancestor's."""
        name = self.name
        while name and _levels.get(name, LoggingSeverity.UNSET) == LoggingSeverity.UNSET:
            name = name.rpartition('.')[0]
        return _levels[name]

    def log(self, message: Any, severity: int, **options: Any) -> bool:
        """Log a message; False when a filter held it back."""
        unknown = options.keys() - OPTIONS
        if unknown:
            raise TypeError(
                f'parameter "{unknown.pop()}" is not one of the recognized logging '
                f'options "{sorted(OPTIONS)}"'
            )
        severity = LoggingSeverity(severity)
        if not severity >= self.get_effective_level():
            return False
        # The caller of debug(), info() ... is two frames up; of log() itself, one.
        frame = sys._getframe(1)
        if frame.f_globals.get('__name__') == __name__:
            frame = frame.f_back or frame
        code = frame.f_code
        caller = code.co_filename, frame.f_lineno, frame.f_lasti
        if self._severities.setdefault(caller, severity) != severity:
            raise ValueError('Logger severity cannot be changed between calls.')
        if not self._passes(caller, options):
            return False
        _emit(severity, self.name, str(message), code.co_name, code.co_filename, frame.f_lineno)
        return True

    def _passes(self, caller: Any, options: dict[str, Any]) -> bool:
        first = caller not in self._seen
        throttle = options.get('throttle_duration_sec')
        now = time.monotonic()
        if first:
            self._seen[caller] = now
            return True
        if options.get('once'):
            return False
        if throttle:
            if now < self._seen[caller] + throttle:
                return False
            self._seen[caller] = now
        return True

    def debug(self, message: Any, **options: Any) -> bool:
        """Log for who develops."""
        return self.log(message, LoggingSeverity.DEBUG, **options)

    def info(self, message: Any, **options: Any) -> bool:
        """Log what is going on."""
        return self.log(message, LoggingSeverity.INFO, **options)

    def warning(self, message: Any, **options: Any) -> bool:
        """Log what may go wrong."""
        return self.log(message, LoggingSeverity.WARN, **options)

    warn = warning

    def error(self, message: Any, **options: Any) -> bool:
        """Log what went wrong."""
        return self.log(message, LoggingSeverity.ERROR, **options)

    def fatal(self, message: Any, **options: Any) -> bool:
        """Log what ends the program."""
        return self.log(message, LoggingSeverity.FATAL, **options)


def _emit(
    severity: LoggingSeverity, name: str, text: str, function: str, file: str, line: int
) -> None:
    seconds = time.time()
    shown = f'[{NAMES[severity]}] [{seconds:.9f}] [{name}]: {text}'
    colour = COLOURS.get(severity) if sys.stderr.isatty() else None
    print(f'{colour}{shown}\033[0m' if colour else shown, file=sys.stderr, flush=True)
    for owner, sink in list(_sinks.items()):
        if name == owner or name.startswith(owner + '.'):
            sink(severity, name, text, function, file, line)


def configure(levels: dict[str, str]) -> None:
    """Apply `--log-level [logger:=]level`."""
    for name, level in levels.items():
        set_logger_level(name, get_logging_severity_from_string(level))


def get_logging_severity_from_string(level: str) -> LoggingSeverity:
    """Return the severity of a name in any case."""
    try:
        return LoggingSeverity[level.upper()]
    except KeyError:
        known = ', '.join(s.name.lower() for s in LoggingSeverity)
        raise RuntimeError(f'unknown log level {level!r}, expected one of {known}') from None


def get_logger(name: str) -> RcutilsLogger:
    """Return a logger of that name."""
    if not name:
        raise ValueError('Logger name must not be empty.')
    return RcutilsLogger(name)


def set_logger_level(name: str, level: int, detailed_error: bool = False) -> None:
    """Set the level of a logger by name; '' is the default of all."""
    _levels[name] = LoggingSeverity(level)


def add_sink(name: str, sink: Callable[..., None]) -> None:
    """Send what the logger `name` and its children say to `sink` as well."""
    _sinks[name] = sink


def remove_sink(name: str) -> None:
    """Send no more."""
    _sinks.pop(name, None)
