# SPDX-License-Identifier: Apache-2.0
"""Reasons why a sampled quantity has no value at the stamp of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Images and poses of one clock are not that far apart [s].
MAX_SAME_CLOCK_S = 60.0
SECOND_NS = 1e9


@dataclass(frozen=True)
class Limits:
    """Maximum wait for a sample and gap between two, with the names of their parameters.

    waits: False if the caller has waited by itself.
    """

    timeout_s: float = 0.0
    timeout_name: str = ''
    max_gap_s: float = math.inf
    gap_name: str = ''
    waits: bool = True
    #: What is left of the wait, for who has waited before; None: all of timeout_s.
    left_s: float | None = None

    @property
    def wait_s(self) -> float:
        """Time to wait from now on [s]."""
        if not self.waits:
            return 0.0
        return self.timeout_s if self.left_s is None else self.left_s


def reason_at(what: str, stamps: Sequence[int], stamp: int, limits: Limits) -> str:
    """Return why there is no value at a stamp; '' if there is one.

    Args:
        what: name of the quantity, `odom -> base_link`.
        stamps: of its samples, ascending [ns].
        stamp: of the image [ns].
        limits: that applied.
    """
    if not len(stamps):
        return f'no sample of {what} yet'
    late, early = ((stamp - stamps[-1]) / SECOND_NS, (stamps[0] - stamp) / SECOND_NS)
    if max(late, early) > MAX_SAME_CLOCK_S:
        which, off = (
            ('newest', f'{late:.0f} s older') if late > 0 else ('oldest', f'{early:.0f} s newer')
        )
        return (
            f'the {which} sample of {what} is {off} than the image: do both stamp with the '
            'same clock (use_sim_time)?'
        )
    if early > 0:
        return (
            f'the oldest sample of {what} is {early:.2f} s newer than the image: images '
            'from before the first sample have no pose'
        )
    if late > 0:
        return _late(what, stamps, late, limits)
    return gap_reason(what, stamps, stamp, limits)


def gap_reason(what: str, stamps: Sequence[int], stamp: int, limits: Limits) -> str:
    """Return why the samples around a stamp must not be interpolated; '' if they may."""
    after = int(np.searchsorted(stamps, stamp))
    if not 0 < after < len(stamps) or stamps[after] == stamp:
        return ''
    gap = (stamps[after] - stamps[after - 1]) / SECOND_NS
    return (
        ''
        if gap <= limits.max_gap_s
        else (
            f'the samples of {what} around the image are {gap:.2f} s apart, at most '
            f'{limits.max_gap_s:g} s are allowed ({limits.gap_name})'
        )
    )


def _late(what: str, stamps: Sequence[int], late: float, limits: Limits) -> str:
    reason = f'the newest sample of {what} is {late:.2f} s older than the image'
    if limits.timeout_name:
        reason += f' after {limits.timeout_s:g} s of waiting ({limits.timeout_name})'
    period = float(np.median(np.diff(stamps[-10:]))) / SECOND_NS if len(stamps) > 1 else 0.0
    if not limits.timeout_name or period <= limits.timeout_s:
        return f'{reason}: is it still published?'
    names = [limits.timeout_name, *([limits.gap_name] if period > limits.max_gap_s else [])]
    return f'{reason}: one comes every {period:.2f} s, set {" and ".join(names)} above that'
