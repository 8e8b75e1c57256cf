# SPDX-License-Identifier: Apache-2.0
"""The networks of DSAC++ and DSAC*, against what the papers say of them."""

from __future__ import annotations

import pytest
import torch

from dsac_ros.network.convolutional import NETWORKS, WholeNetwork


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('size_hw', [(48, 64), (64, 24)])
def test_one_point_per_8x8_cell_and_no_uncertainty(name, size_hw):
    torch.manual_seed(0)
    network = WholeNetwork(name, scale=2.0).eval()
    mask = torch.ones(2, *size_hw, dtype=torch.bool)
    with torch.no_grad():
        images = torch.rand(2, 1, *size_hw)
        scene = network.correspondences(
            network.encoder(images), torch.eye(3).expand(2, 3, 3), mask
        )
        one, _ = network(images[1:])
    rows, columns = size_hw[0] // 8, size_hw[1] // 8
    assert scene.grid_hw == (rows, columns)
    assert scene.points_world.shape == (2, rows * columns, 3)
    assert scene.points_world.isfinite().all() and scene.points_world.std() > 0
    assert (scene.sigma_px == 1).all()
    torch.testing.assert_close(one.reshape(-1, 3), scene.points_world[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(('name', 'megabytes'), [('dsacstar', 28), ('dsacstar_tiny', 4)])
def test_dsacstar_has_the_size_of_its_paper(name, megabytes):
    """28 MB and 4 MB, table 2 of DSAC*, rounded up to whole ones in single precision."""
    assert 4 * parameters(WholeNetwork(name, 1.0)) / 1e6 == pytest.approx(megabytes, rel=0.06)


def test_parameters_are_those_of_the_layers():
    """Counted by hand from the descriptions: 3x3 and 1x1 convolutions with their biases."""

    def conv(inputs, outputs, side):
        return (inputs * side * side + 1) * outputs

    stem = conv(1, 32, 3) + conv(32, 64, 3) + conv(64, 128, 3)
    full = (
        stem
        + conv(128, 256, 3)
        + 2 * conv(256, 256, 3)
        + conv(256, 256, 1)
        + conv(256, 512, 3)
        + conv(512, 512, 1)
        + conv(512, 512, 3)
        + conv(256, 512, 1)
        + 5 * conv(512, 512, 1)
        + conv(512, 3, 1)
    )
    tiny = (
        stem
        + conv(128, 128, 3)
        + 4 * conv(128, 128, 3)
        + 2 * conv(128, 128, 1)
        + 5 * conv(128, 128, 1)
        + conv(128, 3, 1)
    )
    vgg = (
        conv(1, 64, 3)
        + conv(64, 128, 3)
        + conv(128, 128, 3)
        + conv(128, 256, 3)
        + conv(256, 256, 3)
        + conv(256, 512, 3)
        + 2 * conv(512, 512, 3)
        + conv(512, 4096, 1)
        + conv(4096, 4096, 1)
        + conv(4096, 3, 1)
    )
    counted = {name: parameters(WholeNetwork(name, 1.0)) for name in NETWORKS}
    assert counted == {'dsacstar': full, 'dsacstar_tiny': tiny, 'dsacpp': vgg}


def test_dsacstar_contains_the_shared_encoder_of_ace():
    """512 channels and, of 6.88 million parameters, 5.57 million."""
    network = WholeNetwork('dsacstar', 1.0)
    assert network.encoder.channels == 512
    assert parameters(network.encoder) == pytest.approx(5.57e6, rel=1e-3)
    assert parameters(network) == pytest.approx(6.88e6, rel=1e-3)


@pytest.mark.parametrize(
    ('name', 'field'), [('dsacstar', 81), ('dsacstar_tiny', 81), ('dsacpp', 73)]
)
def test_the_receptive_field_is_a_patch(name, field):
    """A pixel of the image moves the cells within half a receptive field of it, no others."""
    torch.manual_seed(0)
    encoder = WholeNetwork(name, 1.0).encoder.double()
    image = torch.rand(1, 1, 176, 176, dtype=torch.float64, requires_grad=True)
    encoder(image)[0, :, 11, 11].abs().sum().backward()
    rows = image.grad[0, 0].abs().sum(1).nonzero()
    assert rows.max() - rows.min() + 1 == field
