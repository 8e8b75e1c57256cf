# SPDX-License-Identifier: Apache-2.0
"""Visual vocabularies that all map sets share, so that codes of any two maps compare.

One is of the encoder's descriptors (words of `place_code`), one of RootSIFT (`feature_index`).
Both were learned on rendered rooms, of which no map and no test knows any: a map is added to a set
without learning anything again.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import torch
from torch import Tensor

from dsac_ros.errors import MapError

PLACE_WORDS, PLACE_DIMENSIONS = 64, 32
FEATURE_WORDS, FEATURE_BITS = 256, 64
WEIGHTS = 'vocabulary.safetensors'
STEPS = 15  # of k-means
BLOCK = 4096  # descriptors that are compared with the words at a time


@dataclass(frozen=True)
class Vocabulary:
    """Words (W, D) of descriptors reduced by PCA: mean (C,) and basis (C, D), float32."""

    mean: Tensor
    basis: Tensor
    words: Tensor

    @classmethod
    def learn(cls, descriptors: Tensor, words: int, dimensions: int, seed: int = 0) -> Vocabulary:
        """Learn a vocabulary of descriptors (N, C) by PCA and k-means (Lloyd)."""
        descriptors = descriptors.float()
        mean = descriptors.mean(0)
        _, vectors = torch.linalg.eigh(torch.cov(descriptors.T))
        basis = vectors.flip(1)[:, :dimensions]
        reduced = (descriptors - mean) @ basis
        generator = torch.Generator().manual_seed(seed)
        centres = reduced[torch.randperm(len(reduced), generator=generator)[:words]]
        for _ in range(STEPS):
            nearest = nearest_words(reduced, centres)
            count = torch.bincount(nearest, minlength=words)[:, None]
            sums = torch.zeros_like(centres).index_add_(0, nearest, reduced)
            centres = torch.where(count > 0, sums / count.clamp(min=1), centres)
        return cls(mean, basis.contiguous(), centres)

    def reduce(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        """Return descriptors (N, C) reduced to (N, D), and the nearest words (N,) of them."""
        reduced = (descriptors.float() - self.mean) @ self.basis
        return reduced, nearest_words(reduced, self.words)

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Return what a file stores, in 16 bits."""
        parts = {'mean': self.mean, 'basis': self.basis, 'words': self.words}
        return {f'{prefix}.{name}': value.half().contiguous() for name, value in parts.items()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], prefix: str) -> Vocabulary:
        """Invert `tensors`."""
        return cls(*(tensors[f'{prefix}.{name}'].float() for name in ('mean', 'basis', 'words')))


@dataclass(frozen=True)
class Vocabularies:
    """The vocabularies of encoder descriptors and of RootSIFT, and the hash of both."""

    place: Vocabulary
    features: Vocabulary
    id: str


def write_vocabularies(path: Path, place: Vocabulary, features: Vocabulary) -> None:
    """Write the file that the package ships."""
    from safetensors.torch import save_file

    save_file({**place.tensors('place'), **features.tensors('features')}, path)


def read_vocabularies(path: Path) -> Vocabularies:
    """Read a file of vocabularies. Raises MapError where it is missing."""
    from safetensors.torch import load

    if not path.is_file():
        raise MapError(f'no vocabulary in this package (expected {path}); reinstall it')
    data = path.read_bytes()
    tensors = load(data)
    return Vocabularies(
        Vocabulary.of_tensors(tensors, 'place'),
        Vocabulary.of_tensors(tensors, 'features'),
        hashlib.sha256(data).hexdigest()[:16],
    )


@functools.lru_cache(maxsize=1)
def load_vocabularies() -> Vocabularies:
    """Return the vocabularies that the package ships."""
    with as_file(files('dsac_ros.map_set') / 'weights' / WEIGHTS) as path:
        return read_vocabularies(path)


def nearest_words(reduced: Tensor, words: Tensor) -> Tensor:
    """Return the index (N,) of the nearest word (W, D) of each reduced descriptor (N, D)."""
    half_norms = 0.5 * words.square().sum(1)
    blocks = [(one @ words.T - half_norms).argmax(1) for one in reduced.split(BLOCK)]
    return torch.cat(blocks) if blocks else torch.zeros(0, dtype=torch.long)
