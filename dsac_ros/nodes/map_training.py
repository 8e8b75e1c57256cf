# SPDX-License-Identifier: Apache-2.0
"""The training that a mapper starts: resumed where an earlier one was interrupted."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsac_ros.compute.files import write_whole
from dsac_ros.errors import MappingError
from dsac_ros.nodes.training import Training, TrainingState
from dsac_ros.sources.folder import count_frames

#: Options that may differ when a training is resumed.
FREE_OPTIONS = ('--minutes', '--device')
INTERRUPTED = (128 + signal.SIGINT, -signal.SIGINT)


class MapTraining:
    """At most one training at a time, and a record beside its map of what it learns from.

    The record outlives the node: a mapper that was killed knows by it that the checkpoint is of
    the same dataset and options.
    """

    def __init__(self) -> None:
        self._training: Training | None = None
        self._is_settled = True

    @property
    def output(self) -> Path | None:
        """The map that is being learned or was learned last."""
        return None if self._training is None else self._training.output

    @property
    def state(self) -> TrainingState:
        """The last reported state, with a reason that says how to go on."""
        training = self._training
        if training is None:
            return TrainingState()
        state = training.state
        if state.code not in INTERRUPTED:
            return state
        left = checkpoint_path(training.output).exists()
        return replace(
            state,
            reason=f'the training of {training.output} was interrupted at '
            f'{state.progress:.0%} of {state.stage}: '
            + ('~/save resumes it' if left else '~/save begins it anew'),
        )

    def start(self, dataset: Path, output: Path, options: Sequence[str]) -> str:
        """Start to learn `output` from a dataset, or resume that; return what is done.

        Raises:
            MappingError: a training is running.
        """
        if self._training is not None and self._training.state.running:
            raise MappingError(f'{self._training.output} is being learned, follow ~/status')
        before = read_record(output)
        if is_learning(before.get('process'), output):
            raise MappingError(
                f'process {before["process"]} is still learning {output} for a mapper that has '
                'ended: call ~/save again when it has noticed that'
            )
        wanted = subject(dataset, options)
        resumes = checkpoint_path(output).exists() and before.get('subject') == wanted
        training = Training(dataset, output, *options, *(['--resume'] if resumes else []))
        self._training, self._is_settled = training, False
        write_record(output, {'subject': wanted, 'process': training.process_id})
        verb = 'resuming to learn' if resumes else 'learning'
        return f'{verb} {output} from {dataset}, follow ~/status'

    def settle(self) -> Path | None:
        """Forget the record of a training that has ended by itself; call it now and then.

        Returns:
            The map, once, if one has been learned.
        """
        training = self._training
        if training is None or self._is_settled or training.state.running:
            return None
        self._is_settled = True
        if training.state.code in INTERRUPTED:
            return None
        # A resumed training that fails would fail again: the next one begins anew.
        record_path(training.output).unlink(missing_ok=True)
        return training.output if training.state.code == 0 else None

    def interrupt(self) -> None:
        """Interrupt the training without waiting for its end; it can be resumed."""
        if self._training is not None:
            self._training.interrupt()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of an interrupted training."""
        if self._training is not None:
            self._training.join(timeout_s)


def checkpoint_path(output: Path) -> Path:
    """Return the checkpoint of `dsac map`, which stands until the map is written."""
    return output.with_name(output.name + '.checkpoint')


def record_path(output: Path) -> Path:
    """Return the file that says what a map is being learned from."""
    return output.with_name(output.name + '.training.json')


def subject(dataset: Path, options: Sequence[str]) -> dict[str, Any]:
    """Return what a training depends on: dataset, its size, and options."""
    kept, words = [], iter(options)
    for word in words:
        if word in FREE_OPTIONS:
            next(words, None)
        else:
            kept.append(word)
    return {'dataset': str(dataset), 'keyframes': count_frames(dataset), 'options': kept}


def write_record(output: Path, record: dict[str, Any]) -> None:
    """Write the record; where that is impossible `dsac map` fails as well, and says why."""
    if output.parent.is_dir():
        write_whole(record_path(output), json.dumps(record))


def read_record(output: Path) -> dict[str, Any]:
    """Return the record of a training; empty if there is none."""
    try:
        record = json.loads(record_path(output).read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def is_learning(process: object, output: Path) -> bool:
    """Return whether a process learns that map; False where the system does not tell."""
    if not isinstance(process, int) or process == os.getpid():
        return False
    try:
        words = Path(f'/proc/{process}/cmdline').read_bytes().split(b'\0')
    except OSError:
        return False
    return os.fsencode(output) in words
