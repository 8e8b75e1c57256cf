# SPDX-License-Identifier: Apache-2.0
"""Weights of hidden layers in eight bits."""

import torch

from dsac_ros.network.head import Head, HeadConfig
from dsac_ros.network.quantisation import SCALE, from_eight_bits, to_eight_bits


def test_hidden_weights_round_within_half_a_step():
    """The step is that of the channel."""
    torch.manual_seed(0)
    head = Head(32, HeadConfig(width=16, blocks=1, experts=3))
    weights = head.state_dict()
    weights['experts.enter.weight'][1, :, 5] *= 100.0  # a channel must not coarsen its neighbours
    packed = to_eight_bits(weights)
    restored = from_eight_bits(packed)
    assert restored.keys() == weights.keys()
    for name, value in weights.items():
        if name + SCALE in packed:
            assert packed[name].dtype is torch.int8
            step = value.abs().amax(-2, keepdim=True) / 127
            assert ((restored[name] - value).abs() <= 0.501 * step).all(), name
        else:
            assert packed[name].dtype is torch.float16
            torch.testing.assert_close(restored[name], value, atol=1e-3, rtol=1e-3)
    assert {name.split('.')[1] for name in packed if name.endswith(SCALE)} == {
        'enter',
        'blocks',
        'leave',
    }


def test_what_has_been_read_is_written_again_as_it_was():
    torch.manual_seed(1)
    packed = to_eight_bits(Head(32, HeadConfig(16, 1)).state_dict())
    again = to_eight_bits(from_eight_bits(packed))
    for name, value in packed.items():
        torch.testing.assert_close(
            again[name], value, atol=0 if 'scale' not in name else 1e-9, rtol=1e-6, msg=name
        )
