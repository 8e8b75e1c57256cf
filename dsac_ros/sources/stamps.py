# SPDX-License-Identifier: Apache-2.0
"""Stamps as text: seconds, milliseconds, microseconds or nanoseconds, told by their size."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

UNITS_NS = {'s': 1_000_000_000, 'ms': 1_000_000, 'us': 1000, 'ns': 1}
# Seconds since 1970 of the years 1998 to 2103. These ranges of the four units do not overlap.
EPOCH_S = (900_000_000, 4_200_000_000)
MAX_DIGITS = 19  # of the nanoseconds that 64 bits hold
# Median step between stamps from which on they are of a smaller unit.
EPOCH_STEP_S, STEP_S, STEP_US = 1_000_000, 1000, 2_000_000


def read_stamp(text: str) -> Decimal:
    """The number in a text; ValueError where it is none, or none of a stamp's size."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f'{text!r} is not a number') from None
    if not value.is_finite() or value.adjusted() >= MAX_DIGITS:
        raise ValueError(f'{text!r} is not a stamp')
    return value


def in_nanoseconds(value: Decimal, unit: str = 's') -> int:
    """Integer nanoseconds; a float would round them to microseconds."""
    stamp = int((value * UNITS_NS[unit]).to_integral_value())
    if abs(stamp) >= 2**63:
        raise ValueError(f'{value} {unit} is not a stamp')
    return stamp


def nanoseconds(text: str) -> int:
    """Seconds as text to integer nanoseconds."""
    return in_nanoseconds(read_stamp(text))


def epoch_unit(value: Decimal) -> str | None:
    """The unit in which a number is a time of this century; None where it is none in any."""
    return next(
        (
            unit
            for unit, size in UNITS_NS.items()
            if EPOCH_S[0] * UNITS_NS['s'] <= value * size < EPOCH_S[1] * UNITS_NS['s']
        ),
        None,
    )


def epoch_nanoseconds(value: Decimal) -> int | None:
    """A time of this century as nanoseconds, whatever its unit; None for any other number."""
    unit = epoch_unit(value)
    return in_nanoseconds(value, unit) if unit else None


def unit_of(values: Sequence[Decimal], relative: str = '') -> str:
    """The unit of a list of stamps.

    Times of this century tell it by their size. Of others, such as those of a simulation, it is
    `relative` if given, else it is told by the step between them, and seconds if that can be.
    """
    ordered = sorted(set(values))
    steps = sorted(later - earlier for earlier, later in zip(ordered, ordered[1:]))
    step = steps[len(steps) // 2] if steps else Decimal(0)
    epoch = epoch_unit(ordered[len(ordered) // 2]) if ordered else None
    if epoch and step * UNITS_NS[epoch] < EPOCH_STEP_S * UNITS_NS['s']:
        return epoch
    return relative or ('s' if step < STEP_S else 'us' if step < STEP_US else 'ns')
