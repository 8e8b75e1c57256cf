# SPDX-License-Identifier: Apache-2.0
"""Lines that `dsac evaluate` prints beside the table of errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsac_ros.cli.output import angle, length, share


def analysis_lines(values: dict[str, Any]) -> list[str]:
    """Return the lines on trust, mapping frames, kidnaps and the worst frame."""
    lines = trust_lines(values['consistency'])
    bins = values.get('mapping_distance')
    if bins:
        lines.append(
            'median error by distance to the nearest mapping frame   '
            + ', '.join(
                f'to {length(one["to_m"])}: {length(one["median_translation_m"])}' for one in bins
            )
        )
    if 'kidnap' in values:
        lines += kidnap_lines(values['kidnap'])
    if values['worst']:
        worst = values['worst'][0]
        lines.append(
            f'worst frame     {worst["name"]}: {length(worst["translation_m"])}, '
            f'{angle(worst["rotation_deg"])}; {worst["what"]}'
        )
    return lines


def trust_lines(consistency: dict[str, Any]) -> list[str]:
    """Return NEES of the accepted poses, and the coverage by quartile of difficulty."""
    accepted = consistency['accepted']
    if not accepted['frames']:
        return []
    parts = [
        f'{name} {number(accepted[name]["mean"])} (expected {accepted[name]["expected_mean"]})'
        for name in ('position', 'pose')
    ]
    lines = [f'mean NEES       {", ".join(parts)}']
    lines += [
        f'  quarter {index} of difficulty, predicted error to {length(one["sigma_m"][1])}   '
        f'NEES {number(one["pose"]["mean"])}, inside 1, 2, 3 sigma '
        + ', '.join(share(value) for value in one['pose']['coverage'].values())
        for index, one in enumerate(consistency['quartiles'], 1)
    ]
    return lines


def kidnap_lines(kidnap: dict[str, Any]) -> list[str]:
    """Return what became of simulated kidnaps."""
    until = ', '.join(
        f'{name} {"never" if value is None else f"{value:.1f} s"}'
        for name, value in kidnap['seconds_until_right'].items()
    )
    return [
        f'kidnaps         {kidnap["starts"]}, relocalized {kidnap["relocalized"]} ({until}), '
        f'wrong first {kidnap["wrong_first"]}, wrong at some time {kidnap["ever_wrong"]}'
    ]


def run_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each of several runs."""
    width = max(len(row['name']) for row in rows)
    return [
        f'{row["name"]:{width}}  accepted {row["accepted"]} of {row["frames"]}, false accepts '
        f'{row["false_accepts"]}, median {length(row["median_translation_m"])}, '
        f'{angle(row["median_rotation_deg"])}, inside 1, 2, 3 sigma '
        + ', '.join(share(row[f'coverage_{one}sigma']) for one in '123')
        + ('' if row['same_frames'] is not False else '   (of other frames)')
        for row in rows
    ]


def number(value: float | None) -> str:
    """Format a number; None, which is infinite or undefined, is a dash."""
    return '-' if value is None else f'{value:.2f}'
