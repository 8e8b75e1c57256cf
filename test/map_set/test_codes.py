# SPDX-License-Identifier: Apache-2.0
"""Vocabularies, place codes and the feature index."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from dsac_ros.errors import MapError
from dsac_ros.map_set.feature_index import FeatureIndex, Signatures, hamming
from dsac_ros.map_set.place_code import CODE_STEPS, place_code, quantised_codes
from dsac_ros.map_set.vocabulary import (
    FEATURE_BITS,
    FEATURE_WORDS,
    PLACE_DIMENSIONS,
    PLACE_WORDS,
    Vocabulary,
    load_vocabularies,
    nearest_words,
    read_vocabularies,
    write_vocabularies,
)


def descriptors(seed, count=400, channels=16):
    drawn = torch.randn(count, channels, generator=torch.Generator().manual_seed(seed))
    return normalize(drawn, dim=1)


VOCABULARY = Vocabulary.learn(descriptors(0, 3000), 8, 8)


def test_words_are_nearest():
    reduced, word = VOCABULARY.reduce(descriptors(1))
    assert torch.equal(word, torch.cdist(reduced, VOCABULARY.words).argmin(1))
    assert len(word.unique()) == 8


def test_k_means_lowers_the_distance_to_words():
    sample = descriptors(0, 3000)
    reduced, word = VOCABULARY.reduce(sample)
    first = reduced[torch.randperm(len(reduced), generator=torch.Generator().manual_seed(0))[:8]]
    begun = (reduced - first[nearest_words(reduced, first)]).square().sum()
    assert (reduced - VOCABULARY.words[word]).square().sum() < 0.9 * begun


def test_vocabularies_are_read_as_written(tmp_path):
    path = tmp_path / 'vocabulary.safetensors'
    write_vocabularies(path, VOCABULARY, VOCABULARY)
    found = read_vocabularies(path)
    assert torch.allclose(found.place.words, VOCABULARY.words, atol=1e-3)
    with pytest.raises(MapError, match='reinstall'):
        read_vocabularies(tmp_path / 'none.safetensors')


def test_the_package_ships_vocabularies():
    found = load_vocabularies()
    assert found.place.words.shape == (PLACE_WORDS, PLACE_DIMENSIONS)
    assert found.features.words.shape == (FEATURE_WORDS, FEATURE_BITS)


def test_a_code_is_of_unit_length_in_any_order():
    one, weights = descriptors(2), torch.rand(400)
    code = place_code(one, weights, VOCABULARY)
    assert float(code.norm()) == pytest.approx(1.0, abs=1e-5)
    order = torch.randperm(400)
    assert torch.allclose(place_code(one[order], weights[order], VOCABULARY), code, atol=1e-5)


def test_cells_without_contrast_do_not_count():
    one, weights = descriptors(2), torch.ones(400)
    weights[200:] = 0
    code = place_code(one, weights, VOCABULARY)
    assert torch.allclose(code, place_code(one[:200], weights[:200], VOCABULARY), atol=1e-6)


def test_quantised_codes_keep_similarities():
    vocabulary = Vocabulary.learn(descriptors(0, 3000), PLACE_WORDS, 8)
    codes = torch.stack(
        [place_code(descriptors(seed), torch.ones(400), vocabulary) for seed in range(4)]
    )
    stored = torch.from_numpy(quantised_codes(codes)).float() / CODE_STEPS
    assert torch.allclose(stored @ stored.T, codes @ codes.T, atol=0.01)


def test_hamming_counts_bits():
    a = np.array([0, 2**64 - 1, 5], '<u8')
    b = np.array([0, 0, 6], '<u8')
    assert hamming(a, b).tolist() == [0, 64, 2]


def test_votes_go_to_the_map_of_the_points():
    places = [descriptors(seed, 60).numpy() for seed in range(3)]
    maps = [Signatures.of(one, wide()) for one in places]
    index = FeatureIndex([*maps, Signatures.none()])
    noise = 0.05 * np.random.default_rng(0).normal(size=places[1].shape)
    votes = index.votes(Signatures.of((places[1] + noise).astype(np.float32), wide()))
    assert int(votes.argmax()) == 1 and votes[3] == 0.0
    assert votes[1] > 2 * max(votes[0], votes[2])


def test_a_feature_votes_once_for_a_map():
    """By its most similar point, however many the map has."""
    one = Signatures(np.zeros(1, np.uint8), np.zeros(1, '<u8'))
    many = Signatures(np.zeros(9, np.uint8), np.zeros(9, '<u8'))
    assert FeatureIndex([one, many]).votes(one).tolist() == [1.0, 1.0]


def test_an_image_without_features_votes_for_nobody():
    maps = [Signatures.of(descriptors(seed, 60).numpy(), wide()) for seed in range(2)]
    nothing = Signatures.of(np.zeros((0, 16), np.float32), wide())
    assert FeatureIndex(maps).votes(nothing).tolist() == [0.0, 0.0]


def wide():
    """Return a vocabulary of 64 bits for 16 channels."""
    generator = torch.Generator().manual_seed(5)
    basis = torch.randn(16, FEATURE_BITS, generator=generator)
    return Vocabulary(torch.zeros(16), basis, torch.zeros(1, FEATURE_BITS))
