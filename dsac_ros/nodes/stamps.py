# SPDX-License-Identifier: Apache-2.0
"""Validation of image stamps: set, not in the future, not too old, ascending."""

from __future__ import annotations

FUTURE_NS = 1_000_000_000
#: Stamps and clocks that are further apart do not count from the same moment [s].
MAX_SAME_CLOCK_S = 86_400.0


#: Stamps that fall by less are late or out of order; those of a bag that starts over fall by more.
MIN_RESTART_NS = 2_000_000_000
#: Stamps in a row that must go on from there: two publishers alternate.
RESTART_CONFIRMATIONS = 3
#: No bag is played faster than this, nor a clock; two publishers seem to be.
MAX_SPEED = 20


class RestartDetector:
    """Recognizes that the stamps of one source start over, as those of a bag played again."""

    def __init__(self) -> None:
        self._newest, self._newest_s = 0, 0.0
        self._candidate, self._count = 0, 0
        self._has_restarted = self._is_mixed = False

    def begin_anew(self) -> None:
        """Expect stamps of any time: another source has shown that time starts over."""
        if not self._has_restarted:
            self._newest = 0

    def restarted(self, stamp: int, now_s: float) -> int:
        """Take a stamp [ns] at a time of the steady clock [s].

        Returns:
            How far stamps fell [ns] if this one makes it sure; 0 if they did not. A source that
            goes there and back again has two publishers, and is not believed again.
        """
        if stamp == 0:
            return 0
        fall = self._newest - stamp
        if not self._newest or fall < MIN_RESTART_NS:
            explained = MIN_RESTART_NS + MAX_SPEED * (now_s - self._newest_s) * 1e9
            self._is_mixed |= self._has_restarted and -fall > explained
            if fall < 0:
                self._newest, self._newest_s = stamp, now_s
            self._count = 0
            return 0
        self._count = self._count + 1 if stamp > self._candidate else 1
        self._candidate = stamp
        if self._is_mixed or self._count < RESTART_CONFIRMATIONS:
            return 0
        self._newest, self._newest_s, self._count = stamp, now_s, 0
        self._has_restarted = True
        return fall


class StampCheck:
    """Checks stamps against the node's clock, which is passed in [ns]."""

    def __init__(self) -> None:
        self._last_stamp = self._last_now = 0

    def reason_against(self, stamp: int, now: int, max_age_s: float) -> str:
        """Return why an image with this stamp is rejected; '' if it is valid.

        A `now` of 0 means that simulated time has not started; then only the order is checked.
        """
        if now < self._last_now:  # a bag that starts over
            self._last_stamp = 0
        self._last_now = now
        if stamp == 0:
            return 'the image has no time stamp: set header.stamp in the camera driver'
        if now and stamp > now + FUTURE_NS:
            return f'the image is {_future((stamp - now) / 1e9)}'
        if now and max_age_s and stamp < now - max_age_s * 1e9:
            return f'the image is {_old((now - stamp) / 1e9, max_age_s)}'
        if stamp <= self._last_stamp:
            return (
                f'the image is {(self._last_stamp - stamp) / 1e9:.3f} s older than the last '
                'one, expected rising time stamps: do two nodes publish images here, or has '
                'a bag started over without --clock?'
            )
        self._last_stamp = stamp
        return ''


def _future(ahead_s: float) -> str:
    """Return the description and remedy for an image from the future."""
    if ahead_s > MAX_SAME_CLOCK_S:
        return (
            f'{ahead_s:.0f} s in the future: this node runs on simulated time and the camera '
            'does not (set use_sim_time:=false), or the clock of this computer is not set'
        )
    return f'{ahead_s:.1f} s in the future: synchronise the clocks of camera and robot'


def _old(age_s: float, max_age_s: float) -> str:
    """Return the description and remedy for an old image."""
    allowed = f'at most {max_age_s:g} s are allowed (max_image_age)'
    if age_s > MAX_SAME_CLOCK_S:
        return (
            f'{age_s:.0f} s old, {allowed}: play a bag with --clock and set '
            'use_sim_time:=true; a camera must stamp with ROS time and not from its own start'
        )
    return (
        f'{age_s:.1f} s old, {allowed}: raise it where the image takes that long to arrive, '
        'or synchronise the clocks of camera and robot'
    )
