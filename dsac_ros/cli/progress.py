# SPDX-License-Identifier: Apache-2.0
"""Progress of a long job on stderr: a bar, plain lines for a log, or JSON lines for programs."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    from dsac_ros.mapping.optim.progress import Progress

T = TypeVar('T')
STYLES = ('bar', 'json', 'off')
LINE_SECONDS = 10.0  # between the lines of a stage where stderr is no terminal


def add_progress_option(parser: argparse.ArgumentParser) -> None:
    """Add --progress."""
    parser.add_argument(
        '--progress',
        choices=STYLES,
        default='bar',
        help='progress on stderr: '
        'a bar (a line every ten seconds where that is no terminal), one JSON '
        'object per line, or none (default: %(default)s)',
    )


def clock(seconds: float) -> str:
    """Minutes and seconds, '3:07'; '?' when not known."""
    if not math.isfinite(seconds):
        return '?'
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


class StageBar:
    """Draws a `Progress` per stage with tqdm; a finished stage keeps its line and its time."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream` (default: stderr)."""
        self.stream = stream or sys.stderr
        self.bar: Any = None
        self.stage = ''

    def __call__(self, progress: Progress) -> None:
        """Show this state."""
        from tqdm import tqdm

        if progress.stage != self.stage:
            self.close()
            self.stage = progress.stage
            self.bar = tqdm(
                total=100,
                file=self.stream,
                desc=f'{self.stage:<10.10}',
                ncols=88,
                mininterval=0.2,
                leave=True,
                bar_format='{desc} {percentage:3.0f}% |{bar}| {elapsed}{postfix}',
            )
        self.bar.n = min(100.0, 100 * progress.fraction)
        self.bar.set_postfix_str(describe(progress), refresh=False)
        self.bar.update(0)
        self.bar.refresh()

    def close(self) -> None:
        """End the line of the present stage; a later state begins another."""
        if self.bar is not None:
            self.bar.close()
            self.bar, self.stage = None, ''


class StageLines:
    """One line at the end of each stage, and one every ten seconds within it: no control codes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream` (default: stderr)."""
        self.stream = stream or sys.stderr
        self.stage = ''
        self.text = ''
        self.begun = self.written = -math.inf
        self.finished = True

    def __call__(self, progress: Progress) -> None:
        """Write this state, if a line is due."""
        known = describe(progress)
        self.write(
            progress.stage,
            f'{min(1.0, progress.fraction):.0%}' + (known and f', {known}'),
            finished=progress.fraction >= 1.0,
        )

    def write(self, stage: str, text: str, *, finished: bool = False) -> None:
        """Write `text` about a stage if a line is due; its end is told once, at once."""
        now = time.monotonic()
        if stage != self.stage:
            self.close()
            self.stage, self.begun, self.written, self.finished = stage, now, now, False
        self.text = text
        if not self.finished and (finished or now - self.written >= LINE_SECONDS):
            self._print()
            self.written, self.finished = now, finished

    def close(self) -> None:
        """End the present stage; one that ended before its time keeps its last state."""
        if not self.finished:
            self._print()
        self.stage, self.finished = '', True

    def _print(self) -> None:
        elapsed = clock(time.monotonic() - self.begun)
        print(f'{self.stage} {elapsed} {self.text}', file=self.stream, flush=True)


def describe(progress: Progress) -> str:
    """Join time left, loss and valid share; what is unknown is left out."""
    known = [
        ('left', progress.seconds_left, clock),
        ('loss', progress.loss, '{:.2f}'.format),
        ('valid', progress.valid, '{:.0%}'.format),
    ]
    return ', '.join(
        f'{name} {show(value)}'
        for name, value, show in known
        if value is not None and math.isfinite(value)
    )


class JsonLines:
    """One line of JSON per state: at most five a second, every stage at least once."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream` (default: stderr)."""
        self.stream = stream or sys.stderr
        self.last = ('', -math.inf)

    def __call__(self, progress: Progress) -> None:
        """Write this state."""
        now = time.monotonic()
        if progress.stage == self.last[0] and progress.fraction < 1 and now - self.last[1] < 0.2:
            return
        self.last = (progress.stage, now)
        values = {
            name: getattr(progress, name)
            for name in ('stage', 'fraction', 'seconds_left', 'loss', 'valid')
        }
        values = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }
        try:
            print(json.dumps(values), file=self.stream, flush=True)
        except BrokenPipeError:
            # The program that follows has gone: end as after Ctrl-C, with a checkpoint.
            raise KeyboardInterrupt from None

    def close(self) -> None:
        """Nothing is left open."""


class Silence:
    """Shows nothing."""

    def __call__(self, progress: Progress) -> None:
        """Ignore this state."""

    def close(self) -> None:
        """Nothing is left open."""


def reporter(style: str) -> StageBar | StageLines | JsonLines | Silence:
    """Make the progress callback of --progress."""
    makers: dict[str, Callable[[], StageBar | StageLines | JsonLines | Silence]] = {
        'bar': StageBar if sys.stderr.isatty() else StageLines,
        'json': JsonLines,
        'off': Silence,
    }
    return makers[style]()


def note(text: str) -> None:
    """Print a line for people on stderr, above a bar if one is being drawn."""
    from tqdm import tqdm

    tqdm.write(f'dsac: {text}', file=sys.stderr)


def counted(items: Iterable[T], total: int | None, what: str, style: str) -> Iterator[T]:
    """The items, with a bar (or JSON lines) that counts them."""
    if style == 'bar' and sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=what, ncols=88, file=sys.stderr, mininterval=0.2)
        return
    if style == 'bar':
        yield from _counted_in_lines(items, total, what)
        return
    start, last = time.monotonic(), -math.inf
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if style == 'json' and (now - last > 0.2 or done == total):
            last = now
            left = (now - start) / done * (total - done) if total else None
            print(
                json.dumps(
                    {
                        'stage': what,
                        'fraction': done / total if total else None,
                        'seconds_left': left,
                    }
                ),
                file=sys.stderr,
                flush=True,
            )


def _counted_in_lines(items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    """Yield the items, with a line that counts them every ten seconds and at their end."""
    lines, done, of = StageLines(), 0, '' if total is None else f'/{total}'
    for item in items:
        lines.write(what, f'{done}{of}')
        yield item
        done += 1
    lines.write(what, f'{done}{of}', finished=True)
