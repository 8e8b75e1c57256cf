# SPDX-License-Identifier: Apache-2.0
"""Rows of the tables of a report, from the JSON object of `dsac evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsac_ros.evaluation.page import (
    Row,
    centimetres,
    degrees,
    number,
    percent,
    seconds,
    threshold,
)


def error_rows(values: dict[str, Any]) -> list[Row]:
    """Return name, number and note of the errors of all frames."""
    limits = values['false_accept_limits']
    errors = values['accepted_errors']
    rows: list[Row] = [
        ('frames', values['frames'], ''),
        ('accepted', values['accepted'], ''),
        (
            'accepted, but wrong',
            values['false_accepts'],
            f'more than {centimetres(limits["metres"])} or {limits["degrees"]:g}° off',
        ),
        (
            'median translation error',
            centimetres(values['median_translation_m']),
            f'over all frames; accepted ones: '
            f'{centimetres(values["median_translation_accepted_m"])}, mean '
            f'{centimetres(errors["translation_m"]["mean"])}, 90 % below '
            f'{centimetres(errors["translation_m"]["p90"])}',
        ),
        (
            'median rotation error',
            degrees(values['median_rotation_deg']),
            f'over all frames; accepted ones: {degrees(values["median_rotation_accepted_deg"])}, '
            f'mean {degrees(errors["rotation_deg"]["mean"])}, 90 % below '
            f'{degrees(errors["rotation_deg"]["p90"])}',
        ),
    ]
    rows += [
        (f'within {threshold(key)}', percent(share), 'of all frames, accepted and right')
        for key, share in values['recall'].items()
    ]
    rows.append(
        (
            'area under the ROC curve of the confidence',
            number(values['confidence_auc'], 3),
            'of poses within 25 cm and 5°; - where all are, or none',
        )
    )
    rows += [
        (f'not accepted: {name}', count, '')
        for name, count in values['results'].items()
        if name != 'ACCEPTED'
    ]
    return rows


TRUST_HEAD = (
    'accepted poses',
    'frames',
    'predicted error',
    'median error',
    'NEES position (3)',
    'NEES pose (6)',
    'inside 1 sigma',
    '2 sigma',
    '3 sigma',
)


def trust_rows(consistency: dict[str, Any]) -> list[Row]:
    """Return the rows of TRUST_HEAD: all accepted poses, and each quartile of difficulty."""
    groups = {'all': consistency['accepted']}
    for index, group in enumerate(consistency['quartiles']):
        name = {0: ', easiest', len(consistency['quartiles']) - 1: ', hardest'}.get(index, '')
        groups[f'quarter {index + 1}{name}'] = group
    return [
        (
            name,
            group['frames'],
            f'{_length(group["sigma_m"][0])} to {_length(group["sigma_m"][1])}',
            _length(group['median_translation_m']),
            number(group['position']['mean']),
            number(group['pose']['mean']),
            *(percent(share) for share in group['pose']['coverage'].values()),
        )
        for name, group in groups.items()
    ]


PLACE_HEAD = ('', 'frames', 'accepted', 'wrong', 'median error', 'median rotation error')


def distance_rows(bins: Sequence[dict[str, Any]]) -> list[Row]:
    """Return the rows of PLACE_HEAD for bins of distances to the nearest mapping frame."""
    return [
        (
            f'{_length(one["from_m"])} to {_length(one["to_m"])}',
            one['frames'],
            one['accepted'],
            one['false_accepts'],
            centimetres(one['median_translation_m']),
            degrees(one['median_rotation_deg']),
        )
        for one in bins
    ]


def kidnap_rows(kidnap: dict[str, Any]) -> list[Row]:
    """Return name, number and note of a kidnap simulation."""
    until, count = kidnap['seconds_until_right'], kidnap['starts']
    return [
        ('starts', count, 'frames drawn at random'),
        (
            'relocalized',
            percent(kidnap['relocalized'] / count),
            'an accepted and right pose before the drive ends',
        ),
        ('time until then, median', seconds(until['p50']), ''),
        ('time until then, 90 %', seconds(until['p90']), ''),
        ('longest', seconds(until['max']), ''),
        (
            'wrong first',
            percent(kidnap['wrong_first'] / count),
            'a wrong pose was accepted before a right one',
        ),
        ('wrong at some time', percent(kidnap['ever_wrong'] / count), 'until the drive ends'),
        ('soonest', seconds(kidnap['seconds_until_wrong']['least']), ''),
    ]


def worst_rows(worst: Sequence[dict[str, Any]]) -> list[Row]:
    """Return the name of each of the worst frames, its errors and what went wrong."""
    return [
        (
            one['name'],
            centimetres(one['translation_m']),
            degrees(one['rotation_deg']),
            number(one['confidence']),
            one['what'],
        )
        for one in worst
    ]


def run_rows(rows: Sequence[dict[str, Any]]) -> list[Row]:
    """Return the numbers of `runs.side_by_side`: a row each, a column for each run."""
    formats = {
        'median_translation_m': centimetres,
        'p90_translation_accepted_m': centimetres,
        'median_rotation_deg': degrees,
        **{f'coverage_{one}sigma': percent for one in '123'},
        'seconds_until_right_p50': seconds,
        'map_bytes': megabytes,
    }
    titles = {
        'median_translation_m': 'median translation error',
        'median_rotation_deg': 'median rotation error',
        'p90_translation_accepted_m': '90 % of the accepted below',
        'position_nees': 'NEES of the position (3)',
        'pose_nees': 'NEES of the pose (6)',
        'false_accepts': 'accepted, but wrong',
        'confidence_auc': 'AUC of the confidence',
        'seconds_until_right_p50': 'kidnap: median time',
        'map_bytes': 'map',
        **{f'coverage_{one}sigma': f'inside {one} sigma' for one in '123'},
    }
    table: list[Row] = [
        (
            titles.get(name, name),
            *('-' if row[name] is None else formats.get(name, _plain)(row[name]) for row in rows),
        )
        for name in rows[0]
        if name not in ('name', 'recall', 'same_frames')
    ]
    recalls: list[Row] = [
        (f'within {threshold(key)}', *(percent(row['recall'][key]) for row in rows))
        for key in rows[0]['recall']
    ]
    return table[:6] + recalls + table[6:]


def megabytes(count: float) -> str:
    """Format bytes."""
    return f'{count / 1e6:.1f} MB'


def _length(metres: float | None) -> str:
    """Format a length; None is unknown."""
    return '-' if metres is None else centimetres(metres)


def _plain(value: float) -> str:
    """Format a count, or a number with two digits."""
    return str(value) if isinstance(value, int) else f'{value:.2f}'
