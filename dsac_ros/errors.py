# SPDX-License-Identifier: Apache-2.0
"""Errors a user can act on: what was found, what was expected, what to do, in one line.

A frame that cannot be localized is not an error: it is a `Localization` with a reason.
"""


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
