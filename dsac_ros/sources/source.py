# SPDX-License-Identifier: Apache-2.0
"""Interface of all sources of frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dsac_ros.errors import SourceError
from dsac_ros.types import Frame, PosedFrame

T = TypeVar('T')
MAX_GAP_NS = 500_000_000
MADE_UP_STEP_NS = 100_000_000  # between the frames of a source without stamps
POSES_ELSEWHERE = 'poses that lie elsewhere are named with --poses'


@dataclass(frozen=True)
class LeftOut:
    """A frame that is left out: the reason it is counted by, and what helps.

    detail is what was found in this very frame; an error about all of them quotes the first.
    """

    reason: str
    detail: str = ''
    cure: str = ''


class Notes(list[str]):
    """Lines about a source, each kept once and passed on to a listener."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        super().__init__(lines)
        self._listener: Callable[[str], None] | None = None

    def add(self, line: str) -> None:
        """Keep a line that is new, and pass it on."""
        if line not in self:
            self.append(line)
            if self._listener is not None:
                self._listener(line)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with every line: those kept already, and later ones at once."""
        self._listener = listener
        for line in self:
            listener(line)


class Source(ABC):
    """Frames, read one at a time, as often as wanted.

    kind names the format; map_frame is the frame that the poses are in; has_stamps is False where
    the stamps are made up from the order. skipped counts, per reason, the frames that the last
    pass left out, and missing the data that frames of that pass should have and do not.
    assumptions are the guesses that stand in for what the source does not say, and unread is what
    it holds beyond what is read: one line each, in the order in which they were made, when it was
    opened or during a pass.
    """

    kind = ''
    map_frame = 'map'
    has_stamps = True

    def __init__(self, path: Path) -> None:
        """Takes the path that the source was opened from."""
        self.path = path
        self.skipped: dict[str, int] = {}
        self.missing: dict[str, int] = {}
        self.assumptions = Notes()
        self.unread = Notes()

    def assume(self, text: str) -> None:
        """Record an assumption, once, and pass it on to who listens.

        Args:
            text: what was taken and why, and the option that says otherwise.
        """
        self.assumptions.add(text)

    def on_assumption(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with every assumption: those made already, and later ones at once."""
        self.assumptions.listen(listener)

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of frames, with and without a pose."""

    @abstractmethod
    def _frames(self) -> Iterator[Frame | LeftOut]:
        """Every frame, or why it is left out."""

    @abstractmethod
    def _posed_frames(self) -> Iterator[PosedFrame | LeftOut | str]:
        """Every frame with its pose, or why it is left out; a reason alone is a missing pose."""

    def frames(self) -> Iterator[Frame]:
        """The frames in order; SourceError when not one can be read."""
        yield from self._counted(self._frames(), 'frames that can be read')

    def posed_frames(self) -> Iterator[PosedFrame]:
        """The frames that have a pose, in order; SourceError when not one has."""
        yield from self._counted(
            (
                LeftOut(one, cure=POSES_ELSEWHERE) if isinstance(one, str) else one
                for one in self._posed_frames()
            ),
            'frames with poses',
        )

    def _counted(self, found: Iterable[T | LeftOut], wanted: str) -> Iterator[T]:
        self.skipped, self.missing = {}, {}
        examples: dict[str, LeftOut] = {}
        count = 0
        for one in found:
            if isinstance(one, LeftOut):
                count_one(self.skipped, one.reason)
                examples.setdefault(one.reason, one)
            else:
                count += 1
                yield one
        if not count:
            reasons = ', '.join(
                f'{self.skipped[reason]} with {reason}'
                + (f' ({one.detail})' if one.detail else '')
                for reason, one in examples.items()
            )
            cures = dict.fromkeys(one.cure for one in examples.values() if one.cure)
            raise SourceError(
                '; '.join([f'{self.path} holds no {wanted}: {reasons or "it is empty"}', *cures])
            )


def count_one(counts: dict[str, int], reason: str) -> None:
    """One more of these."""
    counts[reason] = counts.get(reason, 0) + 1
