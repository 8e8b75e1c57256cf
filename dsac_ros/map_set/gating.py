# SPDX-License-Identifier: Apache-2.0
"""Gating: which maps of a set an image may show, by its place code and its local features.

ESAC (Brachmann and Rother, ICCV 2019) learns a gating network. Here the reference images of the
maps are compared, and where that is not sure, their points, so that a map is added or replaced
without learning anything again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from dsac_ros.alignment.features import LONGEST, shared_features, unit
from dsac_ros.alignment.reference_database import cell_contrast
from dsac_ros.alignment.reference_image import ReferenceImage
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.config import MapSetConfig
from dsac_ros.geometry.resample import STRIDE, Resamplers
from dsac_ros.map_set.feature_index import VOTERS, FeatureIndex, Signatures
from dsac_ros.map_set.place_code import place_code, quantised_codes
from dsac_ros.map_set.vocabulary import load_vocabularies
from dsac_ros.query import shown_frame
from dsac_ros.scene_coordinates import described
from dsac_ros.types import Frame


@dataclass(frozen=True)
class MapShare:
    """A map that a frame may show: its index, probability by the gate and hypotheses."""

    index: int
    probability: float
    hypotheses: int


class Describer:
    """Codes of images: by the shared encoder at one focal length [px], and by local features."""

    def __init__(
        self,
        encoder: nn.Module,
        resamplers: Resamplers,
        device: torch.device,
        short_side: int = 0,
    ) -> None:
        """Take the encoder and resamplers to its images.

        short_side: of the maps [px]; features of frames are shared with maps of the same.
        """
        self.encoder, self.resamplers, self.device = encoder, resamplers, device
        self._pinholes = Resamplers.to_short_side(short_side)
        self._own_size = Resamplers.to_own_size(LONGEST)

    def of_frame(self, frame: Frame, cache: FrameCache) -> Tensor:
        """Return the place code (C,) of a frame; the cache keeps its descriptors."""
        resampler = self.resamplers(frame.camera)
        image, descriptors = described(frame, resampler, self.encoder, self.device, cache)
        valid = torch.from_numpy(valid_cells(resampler.valid_mask(frame.mask))).to(self.device)
        return place_code(
            normalize(descriptors.float(), dim=1)[0].flatten(1).T,
            cell_contrast(image).flatten() * valid,
            load_vocabularies().place,
        )

    def of_references(self, references: Sequence[ReferenceImage]) -> np.ndarray:
        """Return the place codes (R, C) int8 of reference images."""
        with torch.inference_mode():
            found = [
                self.of_frame(Frame(one.image, one.camera), FrameCache()) for one in references
            ]
        return quantised_codes(torch.stack(found))

    def signatures(self, frame: Frame, cache: FrameCache) -> Signatures:
        """Return the signatures of the strongest local features of a frame."""
        matrix, resampler = self._pinholes(frame.camera).matrix, self._own_size(frame.camera)
        features = shared_features(shown_frame(frame, cache), resampler, matrix, cache)
        voters = unit(features.first(VOTERS).descriptors)
        return Signatures.of(voters, load_vocabularies().features)


class Gate:
    """Ranks the maps of a set for a frame, first by place codes, then by local features."""

    def __init__(
        self,
        codes: Sequence[np.ndarray],
        points: Sequence[Signatures],
        device: torch.device,
        config: MapSetConfig,
    ) -> None:
        """Take the codes (R, C) of the reference images of each map, and its points."""
        every = torch.from_numpy(np.concatenate(codes)).float().to(device)
        # what all images of a building have in common tells nothing apart
        self.mean = every.mean(0) if len(codes) > 1 else torch.zeros_like(every[0])
        self._scale = float(every.norm(dim=1).mean())
        self._codes = normalize(every - self.mean, dim=1)
        self._lengths = [len(one) for one in codes]
        self._index, self._config = FeatureIndex(points), config

    def by_places(self, code: Tensor) -> Tensor:
        """Return the log-odds (M,) of the maps by their reference image most similar to a frame.

        code: (C,) of the frame, of unit length.
        """
        centred = normalize(self._scale * code.to(self._codes) - self.mean, dim=0)
        similar = self._codes @ centred
        found = torch.stack([one.max() for one in similar.split(self._lengths)])
        return found / self._config.temperature

    def by_features(self, places: Tensor, features: Signatures) -> Tensor:
        """Return the log-odds (M,) of the maps by places, and by the votes of features."""
        votes = torch.from_numpy(self._index.votes(features)).to(places)
        weight = self._config.temperature / self._config.feature_temperature
        return places * weight + votes


def split_budget(
    log_odds: Sequence[float], hypotheses: int, config: MapSetConfig
) -> list[MapShare]:
    """Split one budget of hypotheses over the most probable maps, the best first.

    ESAC draws the map of each hypothesis from the softmax of the gate; here each map has the
    expected number, so that a frame has the same answer every time. Maps whose share is below
    `min_share` have none: their networks are not evaluated.

    Args:
        log_odds: of the maps.
        hypotheses: the budget.
        config: settings; with `ensemble` (Poker) all maps have the whole budget.

    """
    odds = torch.tensor(log_odds, dtype=torch.float64)
    order = odds.argsort(descending=True, stable=True).tolist()
    probability = odds.softmax(0).tolist()

    def shares(indices: Sequence[int], counts: Sequence[int]) -> list[MapShare]:
        return [
            MapShare(index, probability[index], count) for index, count in zip(indices, counts)
        ]

    if config.ensemble:
        return shares(order, [hypotheses] * len(order))
    most = order[: config.maps]
    chosen = [index for index in most if probability[index] >= config.min_share] or most[:1]
    total = sum(probability[index] for index in chosen)
    least = min(config.min_hypotheses, hypotheses // len(chosen))
    free = hypotheses - least * len(chosen)
    counts = [least + int(free * probability[index] / total) for index in chosen]
    counts[0] += hypotheses - sum(counts)
    return shares(chosen, counts)


def valid_cells(mask: np.ndarray) -> np.ndarray:
    """Return the cells (h * w,) bool of which more than half of the pixels (H, W) are valid."""
    height, width = mask.shape
    cells = mask.reshape(height // STRIDE, STRIDE, width // STRIDE, STRIDE).mean((1, 3))
    return np.asarray(cells > 0.5).ravel()
