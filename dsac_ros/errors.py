# SPDX-License-Identifier: Apache-2.0
"""Errors a user can act on: what was found, what was expected, what to do, in one line.

A frame that cannot be localized is not an error: it is a `Localization` with a reason.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the hint for an unknown name: the known one that resembles it, else all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f'did you mean {close[0]!r}?' if close else f'known: {", ".join(known)}'


class DsacError(Exception):
    """Base of every known error; the command line prints it as one line and exits with 1."""


class ConfigError(DsacError):
    """A setting has an unknown name or a value outside its range."""


class CameraError(DsacError):
    """Intrinsics that no camera can have, or that contradict the image."""


class SourceError(DsacError):
    """A bag, folder or file of frames that is missing, empty or malformed."""


class ImageError(DsacError):
    """An image that cannot be decoded or used."""


class MapError(DsacError):
    """A map file that is missing, truncated, foreign or newer than this program."""


class MappingError(DsacError):
    """A scene that cannot be learned from the frames given."""


class PoseMismatchError(MappingError):
    """Poses that the images contradict."""


class OutputError(DsacError):
    """A file or folder of results that cannot be written."""


class MissingExtraError(DsacError):
    """An optional library is not installed."""
