# SPDX-License-Identifier: Apache-2.0
"""Which image stamps can be used: neither unset, nor of the future, nor old, nor out of order."""
from __future__ import annotations

FUTURE_NS = 1_000_000_000


class StampCheck:
    """Judges stamps against the clock of the node, time passed in [ns]."""

    def __init__(self) -> None:
        self._last_stamp = self._last_now = 0

    def reason_against(self, stamp: int, now: int, max_age_s: float) -> str:
        """Why an image with this stamp is refused; '' when it may be used.

        now 0 means that simulated time has not begun; then only the order counts.
        """
        if now < self._last_now:    # a bag that starts over
            self._last_stamp = 0
        self._last_now = now
        if stamp == 0:
            return 'the image has no time stamp: set header.stamp in the camera driver'
        if now and stamp > now + FUTURE_NS:
            return (f'the image is {(stamp - now) / 1e9:.1f} s in the future: synchronise the '
                    'clocks of camera and robot')
        if now and max_age_s and stamp < now - max_age_s * 1e9:
            return (f'the image is {(now - stamp) / 1e9:.1f} s old, at most {max_age_s:g} s are '
                    'allowed (max_image_age); replaying a bag? use --clock and use_sim_time')
        if stamp <= self._last_stamp:
            return (f'the image is {(self._last_stamp - stamp) / 1e9:.3f} s older than the last '
                    'one, expected rising time stamps')
        self._last_stamp = stamp
        return ''
