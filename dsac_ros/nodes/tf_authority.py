# SPDX-License-Identifier: Apache-2.0
"""Single authority per edge of the TF tree (REP 105): who publishes the parent of a frame.

Two nodes that both publish map -> odom make the robot's pose alternate between them. TfAuthority
listens before this node publishes, and stops it when another publisher appears.
"""

from __future__ import annotations

from collections import deque

LISTENING_TIME_NS = 2_000_000_000
MAX_REMEMBERED = 256


class TfAuthority:
    """Decides whether this node may publish the parent of `child`.

    Times are passed in [ns] of a steady clock; stamps [ns] are those of transforms. mode is auto,
    map_odom, map_base or none; conflict is refuse or warn.
    """

    def __init__(self, mode: str, child: str, conflict: str, now: int) -> None:
        self.mode, self.child, self.conflict = mode, child, conflict
        self.other_publisher = ''
        self._on_static = False
        self._begin = now
        self._sent: deque[int] = deque(maxlen=MAX_REMEMBERED)

    def sent(self, stamp: int) -> None:
        """Record the stamp of an own transform: TF messages do not identify their sender."""
        self._sent.append(stamp)

    def heard(self, parent: str, child: str, stamp: int, is_static: bool = False) -> bool:
        """Record a transform on /tf or /tf_static; return whether it reveals another publisher."""
        if child.lstrip('/') != self.child or (stamp in self._sent and not is_static):
            return False
        news = not self.other_publisher
        self.other_publisher = parent or '?'
        self._on_static = is_static
        return news

    @property
    def problem(self) -> str:
        """The effect of another publisher on this node, one sentence; '' if there is none."""
        if not self.other_publisher:
            return ''
        topic = ' on /tf_static' if self._on_static else ''
        continues = self.conflict == 'warn' and self.mode != 'auto'
        return (
            f'another node publishes {self.other_publisher} -> {self.child}{topic}: tf_mode '
            f'{self.mode} '
            + (
                'continues to publish, and the pose of the robot alternates between the two'
                if continues
                else 'stops publishing; stop that node and activate this one again, or set '
                'tf_mode:=none'
            )
        )

    def may_publish(self, now: int, has_odometry: bool) -> bool:
        """Return whether the transform may be published now."""
        if self.mode == 'none':
            return False
        if self.mode == 'auto':
            # Yields for ever: an intermittent publisher must not alternate with this one.
            return (
                has_odometry
                and not self.other_publisher
                and now - self._begin >= LISTENING_TIME_NS
            )
        return not self.other_publisher or self.conflict == 'warn'

    @property
    def kind(self) -> str:
        """The transform concerned: map_odom, map_base or none."""
        return 'map_odom' if self.mode == 'auto' else self.mode
