# SPDX-License-Identifier: Apache-2.0
"""Pages of a report: HTML that stands alone, tables in HTML and Markdown, numbers for people."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #f5f7fa; margin: 0; }
main { max-width: 1000px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 0 0 8px; }
section { background: white; border: 1px solid #e4e7eb; border-radius: 8px; padding: 18px 20px;
          margin-top: 18px; overflow-x: auto; }
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

Row = Sequence[object]


@dataclass(frozen=True)
class Section:
    """A section of the page: HTML text and PNG images."""

    title: str
    words: str
    images: tuple[bytes, ...] = ()


def table(rows: Iterable[Row], head: Sequence[str] = (), numbers: Sequence[int] = (1,)) -> str:
    """Make an HTML table.

    Args:
        rows: of cells, whose text is escaped.
        head: titles of the columns.
        numbers: columns that are set to the right.
    """

    def line(cells: Row, tag: str) -> str:
        return ''.join(
            f'<{tag} class=number>{html.escape(str(cell))}</{tag}>'
            if column in numbers
            else f'<{tag}>{html.escape(str(cell))}</{tag}>'
            for column, cell in enumerate(cells)
        )

    top = f'<tr>{line(head, "th")}</tr>' if head else ''
    lines = ''.join(f'<tr>{line(row, "td")}</tr>' for row in rows)
    return f'<table>{top}{lines}</table>'


def markdown_table(rows: Iterable[Row], head: Sequence[str]) -> str:
    """Make a Markdown table."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(
        '| ' + ' | '.join(str(cell).replace('|', '\\|') for cell in line) + ' |' for line in lines
    )


def as_page(
    title: str,
    subtitle: str,
    tiles: Sequence[tuple[str, str]],
    sections: Sequence[Section],
) -> str:
    """Make an HTML page; tiles are numbers and their names."""
    tops = ''.join(
        f'<div class=tile><b>{html.escape(number)}</b>{html.escape(name)}</div>'
        for number, name in tiles
    )
    parts = ''.join(
        f'<section><h2>{html.escape(section.title)}</h2>{section.words}'
        + ''.join(
            f'<img alt="{html.escape(section.title)}" src="data:image/png;base64,'
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
        f'<h1>{html.escape(title)}</h1><p class=faint>{html.escape(subtitle)}</p>'
        f'<div class=tiles>{tops}</div>{parts}</main></body></html>\n'
    )


def centimetres(metres: float | None) -> str:
    """Format a length; None and infinity mean no estimate."""
    if metres is None or not math.isfinite(metres):
        return 'no estimate'
    return f'{metres * 100:.3g} cm' if metres < 1 else f'{metres:.2f} m'


def degrees(value: float | None) -> str:
    """Format an angle; None and infinity mean no estimate."""
    return 'no estimate' if value is None or not math.isfinite(value) else f'{value:.2f}°'


def percent(value: float | None) -> str:
    """Format a share; None is a dash."""
    return '-' if value is None else f'{value:.1%}'


def number(value: float | None, digits: int = 2) -> str:
    """Format a number; None is a dash."""
    return '-' if value is None else f'{value:.{digits}f}'


def seconds(value: float | None) -> str:
    """Format a time; None is never."""
    return 'never' if value is None else f'{value:.1f} s'


def threshold(key: str) -> str:
    """Format the name of a recall, such as '0.05m_5deg' or '2%_5deg'."""
    size, _, angle = key.removesuffix('deg').partition('_')
    if size.endswith('%'):
        return f'{size} of the depth, {angle}°'
    return f'{centimetres(float(size.removesuffix("m")))}, {angle}°'
