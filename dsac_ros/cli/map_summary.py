# SPDX-License-Identifier: Apache-2.0
"""Summary of `dsac map` for people."""

from __future__ import annotations

from typing import Any

from dsac_ros.cli.output import loss_lines, report_lines, size


def describe(results: dict[str, Any]) -> list[str]:
    """The summary for people."""
    lines = [
        (
            f'learned {results["map"]} from {results["frames"]} frames in '
            f'{results["seconds"]:.0f} s ({size(results["map_bytes"])})'
        ),
        *loss_lines(results),
    ]
    if results['pose_agreement']:
        lines.append(
            f'{results["pose_agreement"]["share"]:.0%} of the feature matches agree with the poses'
        )
    if results['end_to_end']:
        lines.append(end_to_end_line(results['end_to_end']))
    if results['held_out']:
        lines += [
            'on its own held-out block:',
            *('  ' + line for line in report_lines(results['held_out'])),
        ]
    if results['refuses_everything']:
        lines.append(f'of no use: {results["refuses_everything"]}')
    return lines


def end_to_end_line(told: dict[str, Any]) -> str:
    """Summarise end-to-end training: the expected loss of held-out frames before and after."""
    if 'reason' in told:
        return f'end to end: not trained, {told["reason"]}'
    if 'not_validated' in told:
        return f'end to end: trained, not validated ({told["not_validated"]})'
    undone = (
        ''
        if told['after'] < told['before']
        else '; not significantly better, so nothing is changed'
    )
    return (
        f'end to end: {told["before"]:.3g} before, {told["after"]:.3g} after '
        f'(cm and deg in a room, on held-out frames){undone}'
    )
