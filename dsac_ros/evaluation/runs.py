# SPDX-License-Identifier: Apache-2.0
"""Runs side by side: evaluations of several maps, and earlier ones from their files."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.compute.files import read_whole
from dsac_ros.errors import SourceError
from dsac_ros.evaluation.result_files import ERRORS
from dsac_ros.metrics import Report

SUMMARY = 'summary.json'
EXPECTED = 'expected the folder that `dsac evaluate --report DIR` wrote, or its --json FILE'


@dataclass(frozen=True)
class Run:
    """One evaluation.

    Attributes:
        name: shown to people.
        values: its JSON object.
        names: of its frames; empty if unknown.
        translation_m: (F,), inf where there is no estimate.
        rotation_deg: (F,).
        accepted: (F,) bool.
    """

    name: str
    values: dict[str, Any]
    names: tuple[str, ...] = ()
    translation_m: np.ndarray = field(default_factory=lambda: np.zeros(0))
    rotation_deg: np.ndarray = field(default_factory=lambda: np.zeros(0))
    accepted: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    @classmethod
    def of(cls, name: str, report: Report, values: dict[str, Any]) -> Run:
        """Make the run of a report."""
        errors = report.translation_m, report.rotation_deg, report.accepted
        return cls(name, values, report.names, *errors)

    @classmethod
    def read(cls, name: str, path: Path) -> Run:
        """Read an earlier run: a folder with summary.json and errors.csv, or one JSON file.

        Raises:
            SourceError: it is something else.
        """
        file = path / SUMMARY if path.is_dir() else path
        try:
            values = json.loads(read_whole(file))
            int(values['frames']), int(values['accepted']), dict(values['recall'])
        except FileNotFoundError:
            raise SourceError(f'{file} does not exist, {EXPECTED}') from None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise SourceError(f'{file} is no result of an evaluation, {EXPECTED}') from None
        errors = file.with_name(ERRORS)
        if file.name != SUMMARY or not errors.is_file():
            return cls(name, values)
        return cls(name, values, *_read_errors(errors))

    def shares_frames_with(self, other: Run) -> bool | None:
        """Return True if both are of the same frames; None if that is unknown."""
        if not self.names or not other.names:
            return None
        return sorted(self.names) == sorted(other.names)


def _read_errors(path: Path) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Read names, errors and which are accepted."""
    try:
        with path.open(newline='', encoding='utf-8') as stream:
            rows = list(csv.DictReader(stream))
        return (
            tuple(row['name'] for row in rows),
            np.array([float(row['translation_m']) for row in rows]),
            np.array([float(row['rotation_deg']) for row in rows]),
            np.array([row['result'] == 'ACCEPTED' for row in rows], bool),
        )
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        raise SourceError(f'{path} holds no errors of frames, {EXPECTED}') from None


#: Numbers of `side_by_side`, in order: name, and the keys that lead to it in the JSON object.
NUMBERS = {
    'frames': ('frames',),
    'accepted': ('accepted',),
    'false_accepts': ('false_accepts',),
    'median_translation_m': ('median_translation_m',),
    'median_rotation_deg': ('median_rotation_deg',),
    'p90_translation_accepted_m': ('accepted_errors', 'translation_m', 'p90'),
    'position_nees': ('consistency', 'accepted', 'position', 'mean'),
    'pose_nees': ('consistency', 'accepted', 'pose', 'mean'),
    'coverage_1sigma': ('coverage', '1sigma'),
    'coverage_2sigma': ('coverage', '2sigma'),
    'coverage_3sigma': ('coverage', '3sigma'),
    'confidence_auc': ('confidence_auc',),
    'seconds_until_right_p50': ('kidnap', 'seconds_until_right', 'p50'),
    'map_bytes': ('map_bytes',),
}


def side_by_side(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the numbers of each run; None for what it does not have.

    recall has the thresholds that all runs share. same_frames compares with the first run.
    """
    shared = [
        name
        for name in runs[0].values['recall']
        if all(name in run.values['recall'] for run in runs)
    ]
    return [
        {
            'name': run.name,
            'same_frames': run.shares_frames_with(runs[0]),
            **{name: _value(run.values, keys) for name, keys in NUMBERS.items()},
            'recall': {name: run.values['recall'][name] for name in shared},
        }
        for run in runs
    ]


def _value(values: Any, keys: Sequence[str]) -> Any:
    """Follow keys into an object; None where there is nothing."""
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values
