# SPDX-License-Identifier: Apache-2.0
"""Clusters of a scene's descriptors, whose centres gate the experts of the head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

SAMPLE = 50_000  # descriptors looked at: a few thousand to a cluster say enough
ROUNDS = 15


def cluster_centres(descriptors: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Spherical k-means (Dhillon and Modha, 2001): descriptors (M, C) -> centres (count, C).

    The centres have unit length, rounded to the half precision in which a map keeps them. A
    cluster that loses all its members begins anew at some descriptor.
    """
    chosen = torch.randperm(len(descriptors), generator=generator)[: max(SAMPLE, count)]
    rows = normalize(descriptors[chosen.to(descriptors.device)].float(), dim=1)
    start = torch.arange(count, device=rows.device) % len(rows)
    centres = rows[start]
    for _ in range(ROUNDS):
        nearest = (rows @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, rows)
        empty = nearest.bincount(minlength=count) == 0
        centres = normalize(torch.where(empty[:, None], rows[start], sums), dim=1)
    return centres.half().float()
