# SPDX-License-Identifier: Apache-2.0
"""Trajectories as text: `t x y z qx qy qz qw` as TUM writes them, or columns named by a header.

Sturm et al., A Benchmark for the Evaluation of RGB-D SLAM Systems, IROS 2012.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from dsac_ros.compute.files import write_whole
from dsac_ros.errors import SourceError
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.frame_files import FileSource, with_trajectory
from dsac_ros.sources.poses import poses_from_rows, row_from_pose
from dsac_ros.sources.source import Source
from dsac_ros.sources.stamps import UNITS_NS, in_nanoseconds, read_stamp, unit_of
from dsac_ros.sources.text_files import COMMENTS, is_comment, quoted, read_text

COLUMNS = ('t', 'x', 'y', 'z', 'qx', 'qy', 'qz', 'qw')
EXPECTED = 'expected 8 numbers: t x y z qx qy qz qw'
MAX_LENGTH_ERROR = 0.01  # of a quaternion: more is no rounding
SEPARATOR = re.compile(r'\s*[,;]\s*|\s+')
UNIT = re.compile(r'\[([^\]]*)\]|\(([^)]*)\)')
METRES = {'mm': 1e-3, 'cm': 1e-2, 'km': 1e3}
TIMES = frozenset(('t', 'time', 'timestamp', 'timestamps', 'stamp', 'ts'))
POSITIONS = frozenset(('p', 't', 'pos', 'position', 'trans', 'translation'))
ROTATIONS = frozenset(('q', 'quat', 'quaternion', 'orientation', 'rot', 'rotation'))
PARTS_OF_TIME = frozenset(('sec', 'secs', 'nsec', 'nsecs', 'nanosec'))
# What the position of a pose is not: velocities, biases, covariances.
OTHERS = frozenset(
    (
        'v',
        'vel',
        'velocity',
        'b',
        'w',
        'a',
        'twist',
        'linear',
        'angular',
        'bias',
        'acc',
        'gyr',
        'covariance',
        'cov',
    )
)


@dataclass(frozen=True)
class Header:
    """The places of t x y z qx qy qz qw, and the units of t and x where they are told."""

    columns: tuple[int, ...]
    time_unit: str = ''
    length_unit: str = ''


@dataclass(frozen=True)
class TrajectoryFile:
    """A trajectory, what was assumed to read it, and what of its file was not read."""

    trajectory: Trajectory
    assumptions: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def tell(self, source: Source) -> None:
        """Add the remarks to those on the source whose poses these are."""
        for line in self.assumptions:
            source.assume(line)
        for line in self.unread:
            source.unread.add(line)


def read_tum(path: Path | str) -> Trajectory:
    """The trajectory in a file, without the remarks on it."""
    return read_trajectory(path).trajectory


def read_trajectory(path: Path | str, layout: Header | None = None) -> TrajectoryFile:
    """Read the trajectory in a file of lines `t x y z qx qy qz qw`.

    Columns in another order are named by a header, which may tell units; else the size of t
    tells its unit. layout: the columns of a format that fixes them, where no header does.
    """
    path = Path(path)
    header, times, extra, is_cut = layout, [], 0, False
    rows: list[list[float]] = []
    text = read_text(path)
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        words = split_line(line)
        named = read_header(line) if not rows else None
        header = named or header
        if named or not line.strip() or is_comment(line):
            continue
        columns = header.columns if header else None
        try:
            time, *values = (words[index] for index in columns or range(len(COLUMNS)))
            if columns is None and len(words) != len(COLUMNS):
                raise ValueError
            times.append(read_stamp(time))
            rows.append([float(value) for value in values])
        except (ValueError, IndexError):
            if rows and number == len(lines) and not text.endswith('\n'):
                is_cut = True
                break
            raise SourceError(
                f'{path}, line {number}: {quoted(line)} is not a pose, {_expected(columns, words)}'
            ) from None
        extra = max(extra, len(words) - len(COLUMNS))
    if not rows:
        raise SourceError(f'{path} holds no poses, expected lines of {" ".join(COLUMNS)}')
    read = _trajectory_file(path, times[: len(rows)], np.array(rows), header, extra)
    if layout is not None and header is not None and header.columns == layout.columns:
        read = replace(read, assumptions=())  # the format says so, too
    cut = (f'the last line of {path}, which is cut off',) * is_cut
    return replace(read, unread=(*read.unread, *cut))


def add_trajectory(source: FileSource, path: Path, max_gap_ns: int) -> None:
    """Give the frames of a source the poses of a trajectory file, and the remarks on it."""
    read = read_trajectory(path)
    read.tell(source)
    source.trajectory, source.trajectory_path = read.trajectory, path
    source.files = with_trajectory(source.files, read.trajectory, max_gap_ns)


def _trajectory_file(
    path: Path, times: list[Decimal], rows: np.ndarray, header: Header | None, extra: int
) -> TrajectoryFile:
    """Build the trajectory of rows x y z qx qy qz qw and the remarks on it."""
    told = header or Header(tuple(range(len(COLUMNS))))
    unit = unit_of(times, told.time_unit)
    rows[:, :3] *= METRES.get(told.length_unit, 1.0)
    try:
        stamps = np.array([in_nanoseconds(time, unit) for time in times], dtype=np.int64)
    except ValueError as error:
        raise SourceError(f'{path}: {error}, expected t in seconds') from None
    poses = poses_from_rows(rows)
    finite = np.isfinite(poses).all(axis=(1, 2))
    zero = int((np.isfinite(rows).all(axis=1) & ~finite).sum())
    repeated = int(finite.sum() - len(np.unique(stamps[finite])))
    counts = (
        (int((~finite).sum()) - zero, 'rows with NaN or infinity'),
        (zero, 'rows with a quaternion that is no rotation'),
        (repeated, 'rows with the stamp of another row'),
        (extra, 'columns beyond the pose'),
    )
    unread = [f'{count} {what} of {path}' for count, what in counts if count]
    teller = 'its header' if told.time_unit == unit else 'their size'
    assumptions = [f'the stamps of {path} are in {unit}, as {teller} says'] * (unit != 's')
    if told.length_unit in METRES:
        assumptions.append(
            f'the positions of {path} are in {told.length_unit}, as its header '
            'says, and become metres'
        )
    length = np.linalg.norm(rows[finite, 3:], axis=1)
    off = np.abs(length - 1.0) > MAX_LENGTH_ERROR
    if off.any():
        assumptions.append(
            f'{int(off.sum())} quaternions of {path} have another length than 1 '
            f'(the first {length[off][0]:.3g}) and are normalized'
        )
    if told.columns != tuple(range(len(COLUMNS))):
        assumptions.append(
            f'the columns {" ".join(COLUMNS)} of {path} are number '
            f'{", ".join(str(index + 1) for index in told.columns)}, as its '
            'header says'
        )
    if not finite.any():
        raise SourceError(f'{path} holds no poses that can be used: {", ".join(unread)}')
    return TrajectoryFile(Trajectory(stamps, poses), tuple(assumptions), tuple(unread))


def split_line(line: str) -> list[str]:
    """The fields of a line, separated by commas, semicolons or blanks; quotes are taken off.

    Where semicolons or tabs separate them, a comma is that of a decimal fraction.
    """
    fields = line.strip().rstrip(',;').strip()
    mark = ';' if ';' in fields else '\t' if '\t' in fields and ',\t' not in fields else None
    words = fields.replace(',', '.').split(mark) if mark else SEPARATOR.split(fields)
    return [word.strip().strip('"').strip() for word in words]


def read_header(line: str) -> Header | None:
    """The columns that a line of names such as `t,x (mm),...` describes; None where it is none."""
    line = line.strip().lstrip(''.join(COMMENTS)).strip()
    bare = UNIT.sub('', line)
    mark = next((mark for mark in ';\t,' if bare.count(mark) >= len(COLUMNS) - 1), None)
    names = bare.split(mark)
    found: dict[str, int] = {}
    for index, word in enumerate(names):
        role = _role(word)
        if role == 't' and 'stamp' in word.lower():
            found['t'] = index
        elif role:
            found.setdefault(role, index)
    if len(found) < len(COLUMNS):
        return None
    units = [_unit(word) for word in line.split(mark)]
    if len(units) != len(names):  # blanks that stand before units separate columns, too
        units = [''] * len(names)
    time_unit = units[found['t']]
    return Header(
        tuple(found[name] for name in COLUMNS),
        time_unit if time_unit in UNITS_NS else '',
        units[found['x']],
    )


def _unit(word: str) -> str:
    """The unit in the brackets after a name, in lower case; '' where there is none."""
    match = UNIT.search(word)
    return (match[1] or match[2] or '').strip().lower() if match else ''


def _role(name: str) -> str | None:
    """The column that a name such as p_RS_R_x, q_w or pose.orientation.w stands for."""
    words = re.findall(r'[a-z]+', name.lower())
    if not words or OTHERS & set(words[:-1]) or PARTS_OF_TIME & set(words):
        return None
    *before, last = words
    if (last in TIMES and not before) or 'stamp' in words or 'timestamp' in words:
        return 't'
    split = re.fullmatch(r'(p|t|q|pos|quat|position|orientation)([wxyz])', last)
    if split:
        before, last = [*before, split[1]], split[2]
    if last not in 'wxyz':
        return None
    if ROTATIONS & set(before):
        return f'q{last}'
    return last if last != 'w' and (not before or POSITIONS & set(before)) else None


def _expected(columns: tuple[int, ...] | None, words: Sequence[str]) -> str:
    """The expected contents of a line, for its error."""
    if columns is not None:
        return f'expected numbers in the columns {" ".join(COLUMNS)} that the header names'
    if len(words) > len(COLUMNS):
        return f'{EXPECTED}; where there are more columns, a header line names them'
    return EXPECTED


def tum_line(stamp_ns: int, pose: np.ndarray) -> str:
    """Format a pose (4, 4) at a stamp, nanoseconds kept."""
    seconds, rest = divmod(int(stamp_ns), 1_000_000_000)
    return f'{seconds}.{rest:09d} ' + ' '.join(f'{x:.9f}' for x in row_from_pose(pose))


def write_tum(path: Path | str, stamps_ns: Sequence[int], poses: Sequence[np.ndarray]) -> None:
    """Write poses (4, 4) at their stamps, nanoseconds kept."""
    lines = [
        '# t x y z qx qy qz qw',
        *(tum_line(stamp, pose) for stamp, pose in zip(stamps_ns, poses, strict=True)),
    ]
    write_whole(Path(path), '\n'.join(lines) + '\n')
