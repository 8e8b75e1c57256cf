# SPDX-License-Identifier: Apache-2.0
"""Report of an evaluation: one self-contained HTML file, and its numbers as JSON and CSV."""

from __future__ import annotations

import base64
import csv
import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_ros.evaluation.query_view import QueryView, query_view_of
from dsac_ros.metrics import Report
from dsac_ros.types import Localization, PosedFrame

if TYPE_CHECKING:
    from dsac_ros.systems.system import System

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #f5f7fa; margin: 0; }
main { max-width: 1000px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 0 0 8px; }
section { background: white; border: 1px solid #e4e7eb; border-radius: 8px; padding: 18px 20px;
          margin-top: 18px; }
img { max-width: 100%; display: block; margin: 4px auto; }
p { margin: 4px 0 10px; } .faint { color: #616e7c; font-size: 13px; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin-top: 18px; }
.tile { flex: 1 1 150px; background: white; border: 1px solid #e4e7eb; border-radius: 8px;
        padding: 12px 16px; }
.tile b { display: block; font-size: 22px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid #e4e7eb;
         vertical-align: top; }
td.number, th.number { text-align: right; }
"""


@dataclass(frozen=True)
class Section:
    """A section of the page: HTML text and PNG images."""

    title: str
    words: str
    images: tuple[bytes, ...] = ()


def write_report(
    folder: Path,
    localizer: System,
    frames: Iterable[PosedFrame],
    localizations: Sequence[Localization],
    references: Sequence[np.ndarray],
    report: Report,
    title: str = 'Localization accuracy of this map',
    about: dict[str, Any] | None = None,
) -> Path:
    """Write report.html, summary.json and errors.csv into `folder`; return the path of the page.

    Args:
        folder: created if missing.
        localizer: used to visualise single frames.
        frames: the evaluated frames again, in the same order.
        localizations: result of each.
        references: true world_from_camera (4, 4) of each.
        report: the errors.
        title: heading of the page.
        about: additional information: the command, the machine, the map.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = report.as_dict()
    (folder / 'summary.json').write_text(json.dumps(values, indent=1) + '\n', encoding='utf-8')
    write_errors(folder / 'errors.csv', localizations, report)
    views = chosen_views(localizer, frames, report)
    sections = [
        table_section(values),
        *picture_sections(localizations, references, report),
        *(
            query_section(name, view, row, localizations, report)
            for name, (row, view) in views.items()
        ),
        about_section({**(about or {}), **values.get('machine', {})}),
    ]
    page = folder / 'report.html'
    page.write_text(as_page(title, values, sections), encoding='utf-8')
    return page


def write_errors(path: Path, localizations: Sequence[Localization], report: Report) -> None:
    """Write one CSV line per frame."""
    with path.open('w', newline='', encoding='utf-8') as stream:
        writer = csv.writer(stream)
        writer.writerow(
            [
                'name',
                'stamp_ns',
                'result',
                'translation_m',
                'rotation_deg',
                'confidence',
                'inlier_ratio',
                'reason',
            ]
        )
        for row, found in enumerate(localizations):
            writer.writerow(
                [
                    report.names[row],
                    found.stamp_ns,
                    found.result.name,
                    f'{report.translation_m[row]:.6f}',
                    f'{report.rotation_deg[row]:.6f}',
                    f'{found.confidence:.4f}',
                    f'{found.statistics.inlier_ratio:.4f}',
                    found.reason,
                ]
            )


def chosen_views(
    localizer: System, frames: Iterable[PosedFrame], report: Report
) -> dict[str, tuple[int, QueryView]]:
    """Return visualisations of a median frame and of the worst one."""
    order = np.lexsort((report.rotation_deg, report.translation_m))
    right = [row for row in order if report.accepted[row]]
    rows = {
        'A typical frame': int(right[len(right) // 2] if right else order[0]),
        'The worst frame': int(order[-1]),
    }
    views = {}
    for row, posed in enumerate(frames):
        for name, wanted in rows.items():
            view = query_view_of(localizer, posed.frame) if row == wanted else None
            if view is not None:
                views[name] = (row, view)
    return {name: views[name] for name in rows if name in views}


def table_section(values: dict[str, Any]) -> Section:
    """Make the section with the error table."""
    rows = [
        ('frames', values['frames'], ''),
        ('accepted', values['accepted'], ''),
        ('accepted, but wrong', values['false_accepts'], 'more than 0.5 m or 15° off'),
        (
            'median translation error',
            centimetres(values['median_translation_m']),
            'over all frames; accepted ones: '
            + centimetres(values['median_translation_accepted_m']),
        ),
        (
            'median rotation error',
            degrees(values['median_rotation_deg']),
            'over all frames; accepted ones: ' + degrees(values['median_rotation_accepted_deg']),
        ),
    ]
    for key, share in values['recall'].items():
        metres, angle = key.removesuffix('deg').split('m_')
        rows.append(
            (
                f'within {centimetres(float(metres))}, {angle}°',
                percent(share),
                'of all frames, accepted and right',
            )
        )
    for (name, share), ideal in zip(values['coverage'].items(), ('68.3', '95.4', '99.7')):
        rows.append((f'true pose inside {name[0]} sigma', percent(share), f'ideal: {ideal} %'))
    rows += [
        (f'not accepted: {name}', count, '')
        for name, count in values['results'].items()
        if name != 'ACCEPTED'
    ]
    cells = ''.join(
        f'<tr><td>{html.escape(str(name))}</td><td class=number>{value}</td>'
        f'<td class=faint>{note}</td></tr>'
        for name, value, note in rows
    )
    return Section(
        'Errors',
        '<p class=faint>Estimates are not aligned to the ground truth; '
        f'frames that are not accepted count as failures.</p><table>{cells}</table>',
    )


def picture_sections(
    localizations: Sequence[Localization], references: Sequence[np.ndarray], report: Report
) -> list[Section]:
    """Make the sections with plots of all frames."""
    from dsac_ros.evaluation.plots import drive, trust
    from dsac_ros.evaluation.plots.style import png

    stamps = np.array([found.stamp_ns for found in localizations], dtype=np.int64)
    seconds = (stamps - stamps.min()) / 1e9
    estimates = [found.world_from_camera for found in localizations]
    drawn = [
        Section(
            'Trajectory',
            '<p>Each dot is one image, localized independently.</p>',
            (png(drive.draw_trajectory(np.array(references), estimates, report)),),
        ),
        Section(
            'Error curve',
            '<p>Share of all frames below an error.</p>',
            (png(drive.draw_error_curves(report)),),
        ),
        Section('Errors over time', '', (png(drive.draw_errors_over_time(report, seconds)),)),
        Section(
            'Covariance and confidence',
            '<p>Left: calibration of the covariance. Right: confidence '
            'and error of each frame.</p>',
            (png(trust.draw_calibration(report)),),
        ),
    ]
    if report.latency_ms:
        drawn.append(Section('Latency', '', (png(trust.draw_latency(report)),)))
    return drawn


def query_section(
    name: str, view: QueryView, row: int, localizations: Sequence[Localization], report: Report
) -> Section:
    """Make the section of one frame."""
    from dsac_ros.evaluation.plots.query import draw_query
    from dsac_ros.evaluation.plots.style import png

    found = localizations[row]
    verdict = 'accepted' if found.accepted else f'not accepted: {html.escape(found.reason)}'
    words = (
        f'<p>{html.escape(report.names[row])}, {verdict}; '
        f'{centimetres(finite(report.translation_m[row]))} and '
        f'{degrees(finite(report.rotation_deg[row]))} off, confidence '
        f'{found.confidence:.2f}.</p>'
    )
    return Section(name, words, (png(draw_query(view)),))


def about_section(about: dict[str, Any]) -> Section:
    """Make the section with command, machine and map."""
    cells = ''.join(
        f'<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(value))}</td></tr>'
        for name, value in about.items()
    )
    return Section('About this run', f'<table>{cells}</table>')


def as_page(title: str, values: dict[str, Any], sections: Sequence[Section]) -> str:
    """Make the HTML page."""
    total = values['latency_ms'].get('total', {}).get('p50')
    tiles = [
        (centimetres(values['median_translation_m']), 'median translation error'),
        (degrees(values['median_rotation_deg']), 'median rotation error'),
        (percent(values['recall']['0.05m_5deg']), 'of frames within 5 cm and 5°'),
        (
            f'{total:.0f} ms' if total is not None else '-',
            'per frame on ' + html.escape(str(values['device'])),
        ),
        (f'{values["map_bytes"] / 1e6:.1f} MB', 'map'),
    ]
    tops = ''.join(f'<div class=tile><b>{number}</b>{name}</div>' for number, name in tiles)
    parts = ''.join(
        f'<section><h2>{section.title}</h2>{section.words}'
        + ''.join(
            f'<img alt="{section.title}" src="data:image/png;base64,'
            f'{base64.b64encode(image).decode()}">'
            for image in section.images
        )
        + '</section>'
        for section in sections
    )
    return (
        '<!doctype html><html lang=en><head><meta charset=utf-8>'
        '<meta name=viewport content="width=device-width">'
        f'<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><main>'
        f'<h1>{html.escape(title)}</h1><p class=faint>{values["frames"]} frames, '
        f'{values["accepted"]} accepted</p><div class=tiles>{tops}</div>{parts}'
        '</main></body></html>\n'
    )


def centimetres(metres: float | None) -> str:
    """Format a length; None means no estimate."""
    if metres is None:
        return 'no estimate'
    return f'{metres * 100:.3g} cm' if metres < 1 else f'{metres:.2f} m'


def degrees(value: float | None) -> str:
    """Format an angle; None means no estimate."""
    return 'no estimate' if value is None else f'{value:.2f}°'


def percent(value: float | None) -> str:
    """Format a share; None is a dash."""
    return '-' if value is None else f'{value:.1%}'


def finite(value: float) -> float | None:
    """Return the value, or None for infinity."""
    return float(value) if np.isfinite(value) else None
