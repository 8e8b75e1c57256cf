# SPDX-License-Identifier: Apache-2.0
"""Selection of hypotheses by score: the best ones, or a distribution over all of them.

P(j) = exp(alpha s_j) / sum_k exp(alpha s_k) (DSAC, CVPR 2017, eq. 5; alpha: DSAC++, CVPR 2018).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def best(scores: Tensor, count: int) -> Tensor:
    """Return indices (B, count) of the highest scores (B, H), best first; NaN ranks last."""
    ranked = torch.nan_to_num(scores, nan=-torch.inf)
    return ranked.topk(min(count, ranked.shape[-1]), dim=-1).indices


def first(mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return indices (B, count) of the first True entries of a mask (B, M).

    Returns:
        The indices, and a mask (B, count) that is False where there are fewer.
    """
    place = torch.where(mask, mask.cumsum(1) - 1, count).clamp(max=count)
    slots = place.new_zeros(len(mask), count + 1)
    order = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    filled = torch.arange(count, device=mask.device) < mask.sum(1, keepdim=True)
    return slots.scatter(1, place, order)[:, :count], filled


def take(values: Tensor, indices: Tensor) -> Tensor:
    """Gather values (B, H, ...) at indices (B, K) -> (B, K, ...)."""
    wide = indices.reshape(*indices.shape, *(1,) * (values.dim() - 2))
    return values.gather(1, wide.expand(*indices.shape, *values.shape[2:]))


def distribution(scores: Tensor, alpha: float | Tensor) -> Tensor:
    """Return the probability (B, H) of each hypothesis from scores (B, H) and sharpness alpha."""
    return torch.softmax(alpha * scores, -1)


def entropy_bits(probability: Tensor) -> Tensor:
    """Return the entropy (B,) of distributions (B, H) [bit]."""
    nats: Tensor = torch.special.entr(probability).sum(-1)
    return nats / math.log(2.0)
