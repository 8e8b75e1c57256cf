# SPDX-License-Identifier: Apache-2.0
"""Sections of the report of an evaluation: tables and pictures."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_ros.evaluation import tables
from dsac_ros.evaluation.analysis import Analysis
from dsac_ros.evaluation.page import Section, centimetres, degrees, number, table
from dsac_ros.evaluation.query_view import QueryView, query_view_of
from dsac_ros.evaluation.runs import Run, side_by_side
from dsac_ros.evaluation.worst import worst_rows
from dsac_ros.metrics import Report
from dsac_ros.types import PosedFrame

if TYPE_CHECKING:
    from dsac_ros.systems.system import System

TYPICAL = 'A typical frame'


def error_section(values: dict[str, Any]) -> Section:
    """Make the section with the error table."""
    return Section(
        'Errors',
        '<p class=faint>Estimates are not aligned to the ground truth; frames that are not '
        f'accepted count as failures.</p>{table(tables.error_rows(values))}',
    )


def run_section(runs: Sequence[Run]) -> Section:
    """Make the section that shows several runs side by side."""
    from dsac_ros.evaluation.plots.comparison import draw_comparison
    from dsac_ros.evaluation.plots.style import png

    rows = side_by_side(runs)
    other = [row['name'] for row in rows if row['same_frames'] is False]
    warning = (
        f'<p>Of other frames than {html.escape(runs[0].name)}, and so not comparable: '
        f'{html.escape(", ".join(other))}.</p>'
        if other
        else ''
    )
    words = table(
        tables.run_rows(rows), ('', *(run.name for run in runs)), range(1, len(runs) + 1)
    )
    drawn = [run for run in runs if run.names]
    return Section(
        'Side by side', warning + words, (png(draw_comparison(drawn)),) if drawn else ()
    )


def drive_sections(analysis: Analysis) -> list[Section]:
    """Make the sections with the errors of all frames over place, time and size."""
    from dsac_ros.evaluation.plots import drive
    from dsac_ros.evaluation.plots.style import png

    report, found = analysis.report, analysis.localizations
    stamps = np.array([one.stamp_ns for one in found], dtype=np.int64)
    estimates = [one.world_from_camera for one in found]
    return [
        Section(
            'Trajectory',
            '<p>Each dot is one image, localized independently.</p>',
            (png(drive.draw_trajectory(analysis.references, estimates, report)),),
        ),
        Section(
            'Error curve',
            '<p>Share of all frames below an error.</p>',
            (png(drive.draw_error_curves(report)),),
        ),
        Section(
            'Errors over time',
            '',
            (png(drive.draw_errors_over_time(report, (stamps - stamps.min()) / 1e9)),),
        ),
    ]


def place_sections(analysis: Analysis, values: dict[str, Any], heat_map: bytes) -> list[Section]:
    """Make the sections with errors by place and by distance to the nearest mapping frame."""
    sections = [
        Section(
            'Errors by place',
            f'<p>From above, in cells of {centimetres(analysis.grid.cell_m)}.</p>',
            (heat_map,),
        )
    ]
    if analysis.distance is not None:
        from dsac_ros.evaluation.plots.extrapolation import draw_extrapolation
        from dsac_ros.evaluation.plots.style import png

        row = {
            'system': 'median of a bin',
            'distance_m': analysis.distance,
            'error_m': analysis.report.translation_m,
        }
        words = table(
            tables.distance_rows(values['mapping_distance']),
            ('distance', *tables.PLACE_HEAD[1:]),
            range(1, 6),
        )
        sections.append(
            Section(
                'Errors by distance to the nearest mapping frame',
                '<p class=faint>Of the mapping frames that look in a direction less than 30° '
                f'away.</p>{words}',
                (png(draw_extrapolation([row])),),
            )
        )
    return sections


def trust_sections(analysis: Analysis, values: dict[str, Any]) -> list[Section]:
    """Make the sections on covariance, confidence and kidnaps."""
    from dsac_ros.evaluation.plots import difficulty, trust
    from dsac_ros.evaluation.plots.style import png

    consistency = values['consistency']
    pose = consistency['accepted']['pose']
    low, high = (number(bound, 1) for bound in pose['mean_interval'])
    words = (
        '<p class=faint>Difficulty is the predicted error of the position. NEES is the squared '
        'error in units of the covariance; its mean should be the number in brackets, for the '
        f'pose of so many independent frames from {low} to {high}. Ideal shares inside 1, 2, 3 '
        'sigma of all six dimensions: 68.3, 95.4, 99.7 %.</p>'
        f'{table(tables.trust_rows(consistency), tables.TRUST_HEAD, range(1, 9))}'
    )
    sections = [
        Section(
            'Covariance and confidence',
            words,
            (
                png(trust.draw_calibration(analysis.report)),
                png(difficulty.draw_difficulty(consistency, analysis.report)),
            ),
        )
    ]
    if analysis.kidnaps is not None:
        from dsac_ros.evaluation.plots.kidnaps import draw_kidnaps

        sections.append(
            Section(
                'Kidnap simulation',
                table(tables.kidnap_rows(values['kidnap'])),
                (png(draw_kidnaps(analysis.kidnaps)),),
            )
        )
    return sections


def worst_section(worst: Sequence[dict[str, Any]]) -> Section:
    """Make the section with the worst frames and what went wrong."""
    head = ('frame', 'translation', 'rotation', 'confidence', 'what went wrong')
    return Section('The worst frames', table(tables.worst_rows(worst), head, numbers=(1, 2, 3)))


def query_sections(
    localizer: System, frames: Iterable[PosedFrame], analysis: Analysis
) -> list[Section]:
    """Make a section of a typical frame, and of each of the worst ones."""
    report = analysis.report
    rows = {typical_row(report): TYPICAL}
    for place, row in enumerate(worst_rows(report), 1):
        rows[row] = f'Worst frame {place}'
    views = {
        row: query_view_of(localizer, posed.frame)
        for row, posed in enumerate(frames)
        if row in rows
    }
    return [
        _query_section(name, view, row, analysis)
        for row, name in rows.items()
        if (view := views.get(row)) is not None
    ]


def typical_row(report: Report) -> int:
    """Return the index of the accepted frame of median error; of all where none is accepted."""
    order = np.lexsort((report.rotation_deg, report.translation_m))
    right = [row for row in order if report.accepted[row]]
    return int(right[len(right) // 2] if right else order[0])


def _query_section(name: str, view: QueryView, row: int, analysis: Analysis) -> Section:
    """Make the section of one frame."""
    from dsac_ros.evaluation.plots.query import draw_query
    from dsac_ros.evaluation.plots.style import png

    found, report = analysis.localizations[row], analysis.report
    verdict = 'accepted' if found.accepted else f'not accepted: {html.escape(found.reason)}'
    words = (
        f'<p>{html.escape(report.names[row])}, {verdict}; '
        f'{centimetres(float(report.translation_m[row]))} and '
        f'{degrees(float(report.rotation_deg[row]))} off, confidence {found.confidence:.2f}.</p>'
    )
    return Section(name, words, (png(draw_query(view)),))
