# SPDX-License-Identifier: Apache-2.0
"""Training of a map in a separate process, so that the node stays responsive."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

NICE = '10'
#: Time that an interrupted training has to write its checkpoint [s].
GRACE_S = 10.0
PREFIX = 'dsac: error: '


@dataclass(frozen=True)
class TrainingState:
    """Last reported state of a training; progress in [0, 1], NaN for unknown numbers."""

    running: bool = False
    code: int | None = None
    stage: str = ''
    progress: float = 0.0
    loss: float = math.nan
    eta: float = math.nan
    reason: str = ''


class Training:
    """A running `dsac map` process; `state` may be read from any thread."""

    def __init__(self, dataset: Path, output: Path, *options: str) -> None:
        """Start to train a map on a dataset; the options are those of `dsac map`."""
        self.output = output
        executable = shutil.which('nice')
        nice = [executable, '-n', NICE] if executable else []
        command = [
            *nice,
            sys.executable,
            '-m',
            'dsac_ros.cli.main',
            'map',
            str(dataset),
            '-o',
            str(output),
            *options,
            '--progress',
            'json',
        ]
        # A new session: Ctrl-C in the node's terminal reaches the process only through stop().
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.state = TrainingState(running=True, stage='starting')
        self._thread = threading.Thread(target=self._listen, name='dsac_training', daemon=True)
        self._thread.start()

    @property
    def process_id(self) -> int:
        """Id of the process."""
        return self._process.pid

    def interrupt(self) -> None:
        """Interrupt the process without waiting; the training can be resumed."""
        if self.state.running:
            self._signal(signal.SIGINT)
            killer = threading.Timer(GRACE_S, self._signal, [signal.SIGKILL])
            killer.daemon = True
            killer.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the process; kill it if it takes longer."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._signal(signal.SIGKILL)
            self._thread.join(5.0)

    def stop(self) -> None:
        """Interrupt the process and wait for its end."""
        self.interrupt()
        self.join(GRACE_S)

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _listen(self) -> None:
        last_line = ''
        assert self._process.stderr is not None
        for line in self._process.stderr:
            state = parse_progress(line)
            if state is not None:
                self.state = state
            elif line.strip():
                last_line = line.strip()
        code = self._process.wait()
        reason = (
            ''
            if code == 0
            else (last_line.removeprefix(PREFIX) or f'`dsac map` ended with code {code}')
        )
        done = self.state
        self.state = TrainingState(
            False,
            code,
            'done' if code == 0 else done.stage,
            1.0 if code == 0 else done.progress,
            done.loss,
            0.0 if code == 0 else math.nan,
            reason,
        )


def parse_progress(line: str) -> TrainingState | None:
    """Parse a line of `--progress json`; None for any other line."""
    try:
        values = json.loads(line)
        return TrainingState(
            True,
            None,
            str(values['stage']),
            number(values['fraction'], 0.0),
            number(values.get('loss')),
            number(values.get('seconds_left')),
        )
    except (ValueError, KeyError, TypeError):
        return None


def number(value: object, default: float = math.nan) -> float:
    """Return a float, or `otherwise` for null."""
    return float(value) if isinstance(value, (int, float)) else default
