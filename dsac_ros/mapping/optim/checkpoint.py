# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a training on the disk."""

from __future__ import annotations

import hashlib
import logging
import pickle
import time
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsac_ros.compute.files import remove_left_over, replacing
from dsac_ros.config import MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.mapping.data.dataset import Dataset

log = logging.getLogger(__name__)

# What reading a damaged checkpoint may raise, beside errors of the system and of torch.
MALFORMED = (zipfile.BadZipFile, pickle.UnpicklingError, ValueError, KeyError, TypeError)
CHECKPOINT_SECONDS = 20.0  # between two of them


@dataclass(frozen=True)
class Checkpoint:
    """State of an interrupted training; only usable for the same frames and settings."""

    path: Path
    fingerprint: str

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint at once; a full disk costs the checkpoint, not the training."""
        try:
            remove_left_over(self.path)
            with replacing(self.path) as partial:
                torch.save({**state, 'fingerprint': self.fingerprint}, partial)
        except (OSError, RuntimeError) as error:
            log.warning('no checkpoint was written: %s', error)

    def load(self, device: str) -> dict[str, Any]:
        """The state, or MappingError where there is none for these frames and settings."""
        if not self.path.exists():
            raise MappingError(f'no checkpoint {self.path} to resume from; run without --resume')
        try:
            state: dict[str, Any] = _loaded(self.path, device)
            fingerprint = state['fingerprint']
        except (OSError, RuntimeError, EOFError, *MALFORMED) as error:
            reason = ' '.join(str(error).split())[:120]
            raise MappingError(
                f'{self.path} is damaged ({reason}); run without --resume'
            ) from error
        if fingerprint != self.fingerprint:
            raise MappingError(
                f'{self.path} is of other frames or settings; repeat the command '
                'that was interrupted, or run without --resume'
            )
        return state


def _loaded(path: Path, device: str) -> dict[str, Any]:
    """The content of a file of torch, none of which is compressed."""
    with zipfile.ZipFile(path) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise ValueError('its parts are compressed')
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


@dataclass
class TrainingState:
    """State of a training: its parts, the step, and metadata for the map's header.

    The parts have state_dict and load_state_dict, as those of torch have.
    """

    checkpoint: Checkpoint
    parts: dict[str, Any]
    step: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    saved: float = field(default_factory=time.monotonic)

    def resume(self, device: str) -> None:
        """Go on from the checkpoint, or raise MappingError where there is none to go on from."""
        state = self.checkpoint.load(device)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.step, self.metadata = state['step'], state['metadata']

    def save(self, metadata: dict[str, Any]) -> None:
        """Write the checkpoint; where nothing new is metadata the last word state."""
        self.metadata, self.saved = metadata or self.metadata, time.monotonic()
        self.checkpoint.save(
            {
                **{name: part.state_dict() for name, part in self.parts.items()},
                'step': self.step,
                'metadata': self.metadata,
            }
        )

    @property
    def due(self) -> bool:
        """Return True if it is time to save again."""
        return time.monotonic() - self.saved > CHECKPOINT_SECONDS


def fingerprint(data: Dataset, config: MappingConfig, *others: Any) -> str:
    """Hash of what a training depends on; the time budget may change on resume.

    The others are what else it depends on: settings, the id of a map that it goes on from.
    """
    digest = hashlib.sha256(repr((replace(config, minutes=1.0), *others)).encode())
    for view in data.views:
        digest.update(np.round(view.scene_from_camera, 6).tobytes())
    return digest.hexdigest()[:16]
