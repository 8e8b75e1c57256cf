# SPDX-License-Identifier: Apache-2.0
"""Report of an evaluation: a folder with pages, numbers, trajectories and pictures.

The same answers give the same bytes in every file but those whose names begin with `times`, which
tell about the run: latencies, machine, command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.compute.files import write_whole
from dsac_ros.evaluation import sections, tables
from dsac_ros.evaluation.analysis import OF_THE_RUN, Analysis
from dsac_ros.evaluation.page import (
    Section,
    as_page,
    centimetres,
    degrees,
    markdown_table,
    percent,
    table,
)
from dsac_ros.evaluation.result_files import ERRORS, write_errors, write_json, write_trajectories
from dsac_ros.evaluation.runs import SUMMARY, Run, side_by_side
from dsac_ros.types import PosedFrame

if TYPE_CHECKING:
    from dsac_ros.systems.system import System

PAGE, TIMES_PAGE, TIMES, WORDS = 'report.html', 'times.html', 'times.json', 'report.md'
HEAT_MAP = 'places.png'
TITLE = 'Localization accuracy of this map'


def write_report(
    folder: Path,
    localizer: System,
    frames: Iterable[PosedFrame],
    analysis: Analysis,
    others: Sequence[Run] = (),
    title: str = TITLE,
    about: dict[str, Any] | None = None,
    image_names: Mapping[str, str] | None = None,
) -> Path:
    """Write a report into a folder; return the path of the page.

    Args:
        folder: created if missing.
        localizer: used to visualise single frames.
        frames: the evaluated frames again, in the same order.
        analysis: of these frames.
        others: runs to show beside this one.
        title: heading of the page.
        about: the command, the map and whatever else tells about this run.
        image_names: name of a frame -> name of its image file.
    """
    from dsac_ros.evaluation.plots.places import draw_places
    from dsac_ros.evaluation.plots.style import png

    folder.mkdir(parents=True, exist_ok=True)
    values = analysis.as_dict()
    runs = [Run.of('this run', analysis.report, values), *others]
    heat_map = png(draw_places(analysis.grid, analysis.mapping))
    write_whole(folder / HEAT_MAP, heat_map)
    write_errors(folder / ERRORS, analysis.localizations, analysis.report, analysis.distance)
    write_trajectories(
        folder,
        analysis.localizations,
        list(analysis.references),
        analysis.report,
        image_names,
    )
    kept = {name: value for name, value in values.items() if name not in OF_THE_RUN}
    compared = {'side_by_side': side_by_side(runs)} if others else {}
    write_json(folder / SUMMARY, {**kept, **compared})
    write_whole(folder / WORDS, as_markdown(title, values, runs))
    write_times(folder, analysis, values, title, about or {})
    parts = [
        sections.error_section(values),
        *([sections.run_section(runs)] if others else []),
        *sections.place_sections(analysis, values, heat_map),
        *sections.drive_sections(analysis),
        *sections.trust_sections(analysis, values),
        sections.worst_section(values['worst']),
        *sections.query_sections(localizer, frames, analysis),
        Section('Times', f'<p><a href="{TIMES_PAGE}">Latency, machine and command</a></p>'),
    ]
    page = folder / PAGE
    told = f'{values["frames"]} frames, {values["accepted"]} accepted'
    write_whole(page, as_page(title, told, tiles(values), parts))
    return page


def tiles(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers at the head of the page, and their names."""
    return [
        (centimetres(values['median_translation_m']), 'median translation error'),
        (degrees(values['median_rotation_deg']), 'median rotation error'),
        (percent(values['recall']['0.05m_5deg']), 'of frames within 5 cm and 5°'),
        (str(values['false_accepts']), 'accepted, but wrong'),
        (percent(values['coverage']['3sigma']), 'inside 3 sigma'),
        (tables.megabytes(values['map_bytes']), 'map'),
    ]


def write_times(
    folder: Path, analysis: Analysis, values: dict[str, Any], title: str, about: dict[str, Any]
) -> None:
    """Write what differs between two runs of the same answers: times, machine and command."""
    from dsac_ros.evaluation.plots import trust
    from dsac_ros.evaluation.plots.style import png

    of_the_run = {name: values.get(name) for name in OF_THE_RUN}
    write_json(folder / TIMES, {**of_the_run, **about})
    latency = values['latency_ms']
    rows = [
        (stage, *(f'{time:.1f}' for time in times.values())) for stage, times in latency.items()
    ]
    parts = [
        Section('About this run', table({**about, **values.get('machine', {})}.items(), (), ()))
    ]
    if latency:
        words = table(rows, ('stage', 'median ms', '95 %', '99 %'), (1, 2, 3))
        parts.insert(0, Section('Latency', words, (png(trust.draw_latency(analysis.report)),)))
    total = latency.get('total', {}).get('p50')
    number = f'{total:.0f} ms' if total is not None else '-'
    page = as_page(
        title,
        'times of this run',
        [(number, f'per frame on {values["device"]}')],
        [*parts, Section('Errors', f'<p><a href="{PAGE}">The report</a></p>')],
    )
    write_whole(folder / TIMES_PAGE, page)


def as_markdown(title: str, values: dict[str, Any], runs: Sequence[Run]) -> str:
    """Make the tables of the report as Markdown."""
    parts = [f'# {title}', markdown_table(tables.error_rows(values), ('', 'value', ''))]
    if len(runs) > 1:
        head = ('', *(run.name for run in runs))
        parts += [
            '## Side by side',
            markdown_table(tables.run_rows(side_by_side(runs)), head),
        ]
    parts += [
        '## Covariance',
        markdown_table(tables.trust_rows(values['consistency']), tables.TRUST_HEAD),
    ]
    if 'mapping_distance' in values:
        parts += [
            '## Errors by distance to the nearest mapping frame',
            markdown_table(tables.distance_rows(values['mapping_distance']), tables.PLACE_HEAD),
        ]
    if 'kidnap' in values:
        parts += [
            '## Kidnap simulation',
            markdown_table(tables.kidnap_rows(values['kidnap']), ('', 'value', '')),
        ]
    head = ('frame', 'translation', 'rotation', 'confidence', 'what went wrong')
    parts += ['## The worst frames', markdown_table(tables.worst_rows(values['worst']), head)]
    return '\n\n'.join(parts) + '\n'
