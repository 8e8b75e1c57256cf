# SPDX-License-Identifier: Apache-2.0
"""Figures of the scenarios, one line of JSON each, for the table in the documentation."""

from __future__ import annotations

import fcntl
import json
import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VARIABLE = 'DSAC_RECOVERY_JSON'


def record(scenario: str, **figures: Any) -> None:
    """Append the figures to the file that DSAC_RECOVERY_JSON names; without it, do nothing."""
    if path := os.environ.get(VARIABLE):
        with Path(path).open('a', encoding='utf-8') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps({'scenario': scenario, **figures}) + '\n')


def seconds(value: float) -> float | str:
    """A time for the table; one without end is told as never."""
    return round(value, 1) if math.isfinite(value) else 'never'


def times(values: Sequence[float]) -> dict[str, float | str]:
    """Median and largest of some times, for the table."""
    return {'median_s': seconds(statistics.median(values)), 'max_s': seconds(max(values))}


def in_time(values: Sequence[float], limit: float) -> int:
    """Count the times that are no longer than a limit."""
    return sum(value <= limit for value in values)


def main(path: str) -> None:
    """Print the figures of a file as rows of a Markdown table; of a scenario run twice the last."""
    lines = Path(path).read_text(encoding='utf-8').splitlines()
    rows = {row.pop('scenario'): row for row in map(json.loads, lines)}
    print('| scenario | measured |\n|---|---|')
    for scenario, row in rows.items():
        told = ', '.join(f'{name.replace("_", " ")} {value}' for name, value in row.items())
        print(f'| {scenario} | {told} |')


if __name__ == '__main__':
    import sys

    main(sys.argv[1])
