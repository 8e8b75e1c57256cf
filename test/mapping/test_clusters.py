# SPDX-License-Identifier: Apache-2.0
"""The centres of the experts."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from dsac_ros.mapping.clusters import cluster_centres


def seeded(seed: int = 0) -> torch.Generator:
    """A generator of its own for each draw."""
    return torch.Generator().manual_seed(seed)


def test_clusters_that_lie_apart_are_found():
    true = normalize(torch.randn(4, 32, generator=seeded(1)), dim=1)
    member = torch.arange(4000) % 4
    rows = 3.0 * true[member] + 0.1 * torch.randn(4000, 32, generator=seeded(2))
    centres = cluster_centres(rows, 4, seeded(5))
    assert (true @ centres.T).max(1).values.min() > 0.99


def test_centres_are_unit_length_in_half_precision():
    centres = cluster_centres(torch.randn(500, 16, generator=seeded()).half(), 8, seeded())
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(8), atol=2e-3, rtol=0)
    torch.testing.assert_close(centres.half().float(), centres, atol=0, rtol=0)


def test_the_same_seed_gives_the_same_centres():
    rows = torch.randn(300, 8, generator=seeded())
    first, again, other = (cluster_centres(rows, 5, seeded(s)) for s in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_more_clusters_than_different_descriptors():
    rows = normalize(torch.eye(2, 8), dim=1).repeat(3, 1)
    assert cluster_centres(rows, 8, seeded()).isfinite().all()
