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


def gate_of(*entries):
    return Gate(
        [one.codes for one in entries], [one.points for one in entries], CPU, MapSetConfig()
    )


def test_the_map_of_the_most_similar_image_is_first():
    gate = gate_of(*(entry(str(k), code=k) for k in range(4)))
    query = torch.zeros(8)
    query[2], query[1] = 1.0, 0.5
    assert gate.by_places(query).argsort(descending=True).tolist()[:2] == [2, 1]


def test_what_all_images_share_does_not_count():
    """A large common part would make every similarity nearly 1."""
    entries = [entry(str(k), code=k) for k in range(3)]
    codes = [(one.codes.astype(int) // 4 + 90).astype(np.int8) for one in entries]
    gate = Gate(codes, [one.points for one in entries], CPU, MapSetConfig(temperature=1.0))
    query = torch.nn.functional.normalize(torch.from_numpy(codes[1][0]).float(), dim=0)
    similar = gate.by_places(query)
    assert float(similar[1]) == pytest.approx(1.0, abs=1e-3)
    assert float(similar[0]) < 0.5 and float(similar[2]) < 0.5


def test_features_vote_where_places_do_not_tell():
    """Places prefer map 1; the signatures are those of the points of map 2."""
    maps = [entry(str(k), code=k) for k in range(4)]
    gate = gate_of(*maps)
    query = torch.zeros(8)
    query[1], query[2] = 0.6, 0.5
    places = gate.by_places(query)
    assert int(places.argmax()) == 1
    assert int(gate.by_features(places, maps[2].points).argmax()) == 2


@pytest.mark.parametrize('odds', [[18.0, 2.0, 2.0], [10.0, 9.8, 9.6, 4.0], [6.0] * 9])
def test_one_budget_is_split(odds):
    shares = split_budget(odds, 256, MapSetConfig())
    assert sum(one.hypotheses for one in shares) == 256
    assert len(shares) <= MapSetConfig.maps
    probabilities = [one.probability for one in shares]
    assert probabilities == sorted(probabilities, reverse=True)
    counts = [one.hypotheses for one in shares]
    assert min(counts) >= MapSetConfig.min_hypotheses and counts == sorted(counts, reverse=True)


def test_shares_are_the_softmax():
    config = MapSetConfig(min_hypotheses=1)
    shares = split_budget([5.0, 4.0], 1001, config)
    assert shares[0].hypotheses / shares[1].hypotheses == pytest.approx(np.e, rel=0.01)


def test_a_dissimilar_map_has_no_share():
    shares = split_budget([18.0, 4.0, 2.0], 256, MapSetConfig())
    assert [one.index for one in shares] == [0] and shares[0].hypotheses == 256


def test_the_ensemble_searches_all():
    shares = split_budget([2.0, 18.0, 6.0], 256, MapSetConfig(ensemble=True))
    assert [one.index for one in shares] == [1, 2, 0]
    assert {one.hypotheses for one in shares} == {256}


def test_cells_count_where_most_of_them_is_valid():
    mask = np.zeros((16, 16), bool)
    mask[:, :8] = True
    mask[8:, 8:13] = True
    assert valid_cells(mask).tolist() == [True, False, True, True]
