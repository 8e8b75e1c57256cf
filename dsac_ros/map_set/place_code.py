# SPDX-License-Identifier: Apache-2.0
"""Place codes: VLAD of the encoder's descriptors (Jegou et al., CVPR 2010).

Each residual has the length 1 (Delhumeau et al., ACM MM 2013), times the contrast of its cell: a
bare wall, or a hand before the lens, says nothing of the place. Sums are normalised word by word
(Arandjelovic and Zisserman, CVPR 2013).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from dsac_ros.map_set.vocabulary import Vocabulary

CODE_STEPS = 127 * 8  # of a component: each word's sum has the length 1 / sqrt(words), 1/8 of 64


def place_code(descriptors: Tensor, weights: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Return the unit code (W D,) of an image's descriptors (N, C), weighted by (N,)."""
    device = descriptors.device
    reduced, word = vocabulary.reduce(descriptors.cpu())
    residuals = normalize(reduced - vocabulary.words[word], dim=1) * weights.cpu().float()[:, None]
    sums = torch.zeros_like(vocabulary.words).index_add_(0, word, residuals)
    return normalize(normalize(sums, dim=1).flatten(), dim=0).to(device)


def quantised_codes(codes: Tensor) -> np.ndarray:
    """Quantise unit codes (R, W D) to int8."""
    return np.asarray((CODE_STEPS * codes).round().clamp(-127, 127).to(torch.int8).cpu())
