# SPDX-License-Identifier: Apache-2.0
"""The errors of tf2."""

from __future__ import annotations


class TransformException(Exception):
    """Base of all of them."""


class LookupException(TransformException):
    """A frame does not exist."""


class ConnectivityException(TransformException):
    """Two frames are not in one tree."""


class ExtrapolationException(TransformException):
    """The time is outside of what is known."""


class InvalidArgumentException(TransformException):
    """A frame name or a transform that makes no sense."""


class TimeoutException(TransformException):
    """It did not come in time."""
