# SPDX-License-Identifier: Apache-2.0
"""Files of an evaluation for other programs: errors, trajectories, poses for benchmark servers."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.compute.files import write_whole
from dsac_ros.evaluation.worst import frame_values
from dsac_ros.metrics import Report
from dsac_ros.sources.frame_files import FileSource
from dsac_ros.sources.poses import row_from_pose
from dsac_ros.sources.source import Source
from dsac_ros.sources.trajectory_files import write_tum
from dsac_ros.types import Localization

ERRORS, ESTIMATED, REFERENCE = 'errors.csv', 'estimated.tum', 'reference.tum'
SERVER, EVO = 'poses.txt', 'evo_ape.zip'
OLDEST = (1980, 1, 1, 0, 0, 0)  # time of what a zip holds: the same bytes at any time
LAST = 'reason'  # column of errors.csv, which may be long


def write_errors(
    path: Path,
    localizations: Sequence[Localization],
    report: Report,
    distance: np.ndarray | None = None,
) -> None:
    """Write one CSV line per frame; infinite and undefined numbers are inf and nan."""
    rows = [
        frame_values(row, localizations, report, distance) for row in range(len(localizations))
    ]
    stream = io.StringIO()
    names = [name for name in rows[0] if name != LAST] if rows else ['name']
    writer = csv.DictWriter(stream, [*names, LAST], lineterminator='\n')
    writer.writeheader()
    for values in rows:
        writer.writerow(
            {
                name: f'{value:.6f}' if isinstance(value, float) else value
                for name, value in values.items()
            }
        )
    write_whole(path, stream.getvalue())


def write_trajectories(
    folder: Path,
    localizations: Sequence[Localization],
    references: Sequence[np.ndarray],
    report: Report,
    image_names: Mapping[str, str] | None = None,
) -> None:
    """Write the accepted poses and the true poses of all frames, in the formats of others.

    Args:
        folder: for estimated.tum and reference.tum (world_from_camera at the stamp of each frame),
            poses.txt (`server_line`) and evo_ape.zip.
        localizations: of all frames.
        references: true world_from_camera (4, 4) of each.
        report: the errors.
        image_names: name of a frame -> name of its image file; the name itself where it has none.
    """
    stamps = [found.stamp_ns for found in localizations]
    rows = sorted(np.flatnonzero(report.accepted).tolist(), key=lambda row: (stamps[row], row))
    poses = [np.asarray(localizations[row].world_from_camera) for row in rows]
    order = np.argsort(stamps, kind='stable')
    write_tum(
        folder / REFERENCE, [stamps[row] for row in order], [references[row] for row in order]
    )
    write_tum(folder / ESTIMATED, [stamps[row] for row in rows], poses)
    names = image_names or {}
    lines = [
        server_line(names.get(report.names[row], report.names[row]), pose)
        for row, pose in zip(rows, poses)
    ]
    write_whole(folder / SERVER, ''.join(f'{line}\n' for line in lines))
    if rows:
        seconds = np.array([stamps[row] for row in rows], dtype=np.int64) / 1e9
        write_whole(folder / EVO, evo_result(seconds, report.translation_m[rows]))
    else:
        (folder / EVO).unlink(missing_ok=True)  # of an earlier run


def image_names(source: Source) -> dict[str, str]:
    """Return the name of a frame -> the name of its image file, where frames are files."""
    if not isinstance(source, FileSource):
        return {}
    return {
        one.name: one.name if one.name.endswith(one.image.suffix) else one.name + one.image.suffix
        for one in source.files
    }


def server_line(name: str, world_from_camera: np.ndarray) -> str:
    """Format a pose as `name qw qx qy qz tx ty tz`, camera from world.

    As COLMAP's images.txt and the servers of visuallocalization.net take it (Sattler et al.,
    Benchmarking 6DOF Outdoor Visual Localization in Changing Conditions, CVPR 2018).
    """
    x, y, z, *vector, scalar = row_from_pose(np.linalg.inv(world_from_camera))
    return ' '.join([name, *(f'{value:.9f}' for value in (scalar, *vector, x, y, z))])


def evo_result(stamps_s: np.ndarray, errors_m: np.ndarray) -> bytes:
    """Return a result file of evo_ape, not aligned, for evo_res.

    Args:
        stamps_s: of accepted frames (N,), N > 0.
        errors_m: of their positions (N,) [m].
    """
    squares = float((errors_m**2).sum())
    stats = {
        'rmse': float(np.sqrt(squares / len(errors_m))),
        'mean': float(errors_m.mean()),
        'median': float(np.median(errors_m)),
        'std': float(errors_m.std()),
        'min': float(errors_m.min()),
        'max': float(errors_m.max()),
        'sse': squares,
    }
    info = {
        'title': 'APE w.r.t. translation part (m)\n(not aligned)',
        'label': 'APE (m)',
        'ref_name': REFERENCE,
        'est_name': ESTIMATED,
    }
    arrays = {
        'error_array': errors_m,
        'timestamps': stamps_s,
        'seconds_from_start': stamps_s - stamps_s[0],
    }
    return _zipped(
        [
            ('info.json', json.dumps(info).encode()),
            ('stats.json', json.dumps(stats).encode()),
            *((f'{name}.npy', _npy(array)) for name, array in arrays.items()),
        ]
    )


def write_json(path: Path, values: Any) -> None:
    """Write an object as JSON."""
    write_whole(path, json.dumps(values, indent=1) + '\n')


def _npy(array: np.ndarray) -> bytes:
    """Return an array as numpy stores it."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a zip of files, the same bytes at any time."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, OLDEST), data)
    return stream.getvalue()
