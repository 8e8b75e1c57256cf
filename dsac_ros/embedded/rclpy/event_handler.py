# SPDX-License-Identifier: Apache-2.0
"""Callbacks for what happens to publishers and subscriptions."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

Callback = Callable[[Any], None] | None


class _EventCallbacks:
    """Named callbacks; those that DDS reports here are `incompatible_qos` and `matched`."""

    KINDS: tuple[str, ...] = ()

    def __init__(self, *, use_default_callbacks: bool = True, **callbacks: Callback) -> None:
        unknown = callbacks.keys() - set(self.KINDS)
        if unknown:
            raise TypeError(f'{type(self).__name__} has no callback {unknown.pop()!r}')
        self.use_default_callbacks = use_default_callbacks
        for kind in self.KINDS:
            setattr(self, kind, callbacks.get(kind))


class SubscriptionEventCallbacks(_EventCallbacks):
    """Callbacks of a subscription."""

    KINDS = ('deadline', 'incompatible_qos', 'incompatible_type', 'liveliness', 'message_lost',
             'matched')


class PublisherEventCallbacks(_EventCallbacks):
    """Callbacks of a publisher."""

    KINDS = ('deadline', 'incompatible_qos', 'incompatible_type', 'liveliness', 'matched')
