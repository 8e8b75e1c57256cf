# SPDX-License-Identifier: Apache-2.0
"""The gate: similar maps first, and one budget of hypotheses for all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from entries import entry

from dsac_ros.config import MapSetConfig
from dsac_ros.map_set.gating import Gate, split_budget, valid_cells

CPU = torch.device('cpu')


def test_the_map_of_the_most_similar_image_is_first():
    gate = Gate([entry(str(k), code=k).codes for k in range(4)], CPU)
    query = torch.zeros(8)
    query[2], query[1] = 1.0, 0.5
    assert gate.similarities(query).argsort(descending=True).tolist()[:2] == [2, 1]


def test_what_all_images_share_does_not_count():
    """A large common part would make every similarity nearly 1."""
    common = np.full(8, 3.0, np.float32)
    codes = [
        one / np.linalg.norm(one, axis=1, keepdims=True)
        for one in (entry(str(k), code=k).codes + common for k in range(3))
    ]
    query = torch.from_numpy(codes[1][0])
    similar = Gate(codes, CPU).similarities(query)
    assert float(similar[1]) == pytest.approx(1.0, abs=1e-5)
    assert float(similar[0]) < 0.5 and float(similar[2]) < 0.5


@pytest.mark.parametrize('similarities', [[0.9, 0.1, 0.1], [0.5, 0.49, 0.48, 0.2], [0.3] * 9])
def test_one_budget_is_split(similarities):
    shares, further = split_budget(similarities, 256, MapSetConfig())
    assert sum(one.hypotheses for one in shares) == 256
    assert len(shares) + len(further) == min(MapSetConfig.maps, len(similarities))
    assert [one.similarity for one in shares] == sorted(similarities, reverse=True)[: len(shares)]
    counts = [one.hypotheses for one in shares]
    assert min(counts) >= MapSetConfig.min_hypotheses and counts == sorted(counts, reverse=True)


def test_shares_are_the_softmax():
    config = MapSetConfig(min_hypotheses=1, temperature=0.1)
    shares, _ = split_budget([0.5, 0.4], 1001, config)
    assert shares[0].hypotheses / shares[1].hypotheses == pytest.approx(np.e, rel=0.01)


def test_a_dissimilar_map_has_no_share():
    shares, further = split_budget([0.9, 0.2, 0.1], 256, MapSetConfig())
    assert [one.index for one in shares] == [0] and shares[0].hypotheses == 256
    assert [one.index for one in further] == [1, 2]


def test_the_ensemble_searches_all():
    shares, further = split_budget([0.1, 0.9, 0.3], 256, MapSetConfig(ensemble=True))
    assert [one.index for one in shares] == [1, 2, 0] and not further
    assert {one.hypotheses for one in shares} == {256}


def test_cells_count_where_most_of_them_is_valid():
    mask = np.zeros((16, 16), bool)
    mask[:, :8] = True
    mask[8:, 8:13] = True
    assert valid_cells(mask).tolist() == [True, False, True, True]
