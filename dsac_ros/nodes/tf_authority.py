# SPDX-License-Identifier: Apache-2.0
"""One authority per edge of the TF tree (REP 105): who gives the odometry frame its parent.

Two nodes that both publish map -> odom make the robot jump between their answers. This guard
listens before it lets us speak, and takes the word away when another voice appears.
"""
from __future__ import annotations

from collections import deque

LISTEN_NS = 2_000_000_000
REMEMBERED = 256


class TfAuthority:
    """Decides whether this node may publish `child`'s parent; time passed in [ns].

    mode is auto, map_odom, map_base or none; conflict is refuse or warn.
    """

    def __init__(self, mode: str, child: str, conflict: str, now: int) -> None:
        self.mode, self.child, self.conflict = mode, child, conflict
        self.rival = ''
        self._begin = now
        self._sent: deque[int] = deque(maxlen=REMEMBERED)

    def sent(self, stamp: int) -> None:
        """Remember what is ours, by its stamp: TF messages do not name their sender."""
        self._sent.append(stamp)

    def heard(self, parent: str, child: str, stamp: int) -> bool:
        """Take note of a transform on /tf; whether it is news of a rival."""
        if child.lstrip('/') != self.child or stamp in self._sent:
            return False
        news = not self.rival
        self.rival = parent or '?'
        return news

    def may_publish(self, now: int, has_odometry: bool) -> bool:
        """Whether the transform may be published now."""
        if self.mode == 'none':
            return False
        if self.mode == 'auto':
            # Yields for ever: an authority that comes and goes must not alternate with us.
            return has_odometry and not self.rival and now - self._begin >= LISTEN_NS
        return not self.rival or self.conflict == 'warn'

    @property
    def kind(self) -> str:
        """Which transform it is about: map_odom, map_base or none."""
        return 'map_odom' if self.mode == 'auto' else self.mode
