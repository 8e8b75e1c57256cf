# SPDX-License-Identifier: Apache-2.0
"""Gating: which maps of a set an image may show, by its global descriptor.

ESAC (Brachmann and Rother, ICCV 2019) learns a gating network. Here the reference images of the
maps are compared, so that a map is added or replaced without learning anything again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from dsac_ros.alignment.reference_database import global_descriptor
from dsac_ros.alignment.reference_image import ReferenceImage
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.config import MapSetConfig
from dsac_ros.geometry.resample import STRIDE, Resamplers
from dsac_ros.scene_coordinates import described
from dsac_ros.types import Frame


@dataclass(frozen=True)
class MapShare:
    """A map that a frame may show: its index, similarity in [-1, 1] and hypotheses."""

    index: int
    similarity: float
    probability: float
    hypotheses: int


class Describer:
    """Global descriptors of images by the shared encoder, at one focal length [px]."""

    def __init__(self, encoder: nn.Module, resamplers: Resamplers, device: torch.device) -> None:
        self.encoder, self.resamplers, self.device = encoder, resamplers, device

    def of_frame(self, frame: Frame, cache: FrameCache) -> Tensor:
        """Return the global descriptor (C,) of a frame; the cache keeps its descriptors."""
        resampler = self.resamplers(frame.camera)
        image, descriptors = described(frame, resampler, self.encoder, self.device, cache)
        valid = torch.from_numpy(valid_cells(resampler.valid_mask(frame.mask)))
        return global_descriptor(normalize(descriptors, dim=1), image, valid.to(self.device))

    def of_references(self, references: Sequence[ReferenceImage]) -> np.ndarray:
        """Return the global descriptors (R, C) float32 of reference images."""
        with torch.inference_mode():
            found = [
                self.of_frame(Frame(one.image, one.camera), FrameCache()) for one in references
            ]
        return np.asarray(torch.stack(found).float().cpu())


class Gate:
    """Ranks the maps of a set for a frame; the codes (R, C) of each map are given."""

    def __init__(self, codes: Sequence[np.ndarray], device: torch.device) -> None:
        every = torch.from_numpy(np.concatenate(codes)).float().to(device)
        # what all images of a building have in common tells nothing apart
        self.mean = every.mean(0) if len(codes) > 1 else torch.zeros_like(every[0])
        self._codes = normalize(every - self.mean, dim=1)
        self._lengths = [len(one) for one in codes]

    def similarities(self, descriptor: Tensor) -> Tensor:
        """Return for each map the similarity (M,) of its most similar reference image."""
        similar = self._codes @ normalize(descriptor.to(self._codes) - self.mean, dim=0)
        return torch.stack([one.max() for one in similar.split(self._lengths)])


def split_budget(
    similarities: Sequence[float], hypotheses: int, config: MapSetConfig
) -> tuple[list[MapShare], list[MapShare]]:
    """Split one budget of hypotheses over the most similar maps, the best first.

    ESAC draws the map of each hypothesis from the softmax of the gate; here each map has the
    expected number, so that a frame has the same answer every time. Maps whose share is below
    `min_share` have none: their networks are not evaluated.

    Args:
        similarities: of the maps.
        hypotheses: the budget.
        config: settings; with `ensemble` (Poker) all maps have the whole budget.

    Returns:
        The maps that share the budget; and those among the most similar ones that have no share,
        with the whole budget, for a frame that all others refuse.
    """
    similar = torch.tensor(similarities, dtype=torch.float64)
    order = similar.argsort(descending=True, stable=True).tolist()
    probability = (similar / config.temperature).softmax(0).tolist()

    def shares(indices: Sequence[int], counts: Sequence[int]) -> list[MapShare]:
        return [
            MapShare(index, similarities[index], probability[index], count)
            for index, count in zip(indices, counts)
        ]

    if config.ensemble:
        return shares(order, [hypotheses] * len(order)), []
    most = order[: config.maps]
    chosen = [index for index in most if probability[index] >= config.min_share] or most[:1]
    total = sum(probability[index] for index in chosen)
    least = min(config.min_hypotheses, hypotheses // len(chosen))
    free = hypotheses - least * len(chosen)
    counts = [least + int(free * probability[index] / total) for index in chosen]
    counts[0] += hypotheses - sum(counts)
    rest = most[len(chosen) :]
    return shares(chosen, counts), shares(rest, [hypotheses] * len(rest))


def valid_cells(mask: np.ndarray) -> np.ndarray:
    """Return the cells (h * w,) bool of which more than half of the pixels (H, W) are valid."""
    height, width = mask.shape
    cells = mask.reshape(height // STRIDE, STRIDE, width // STRIDE, STRIDE).mean((1, 3))
    return np.asarray(cells > 0.5).ravel()
