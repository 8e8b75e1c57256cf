# SPDX-License-Identifier: Apache-2.0
"""The nearest rotation: proper, optimal, equivariant, differentiable, or said not to be."""

import pytest
import torch
from rotations import BATCHES, assert_proper, random_rotations, special_rotations

from dsac_ros.geometry.procrustes import nearest_rotation
from dsac_ros.geometry.rotation import matrix_from_axis_angle


def matrices(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 3, generator=generator, dtype=torch.float64)


def from_values(*values, count=20):
    """Matrices with these singular values, the last one negative for a reflection."""
    left, right = random_rotations(count, 1), random_rotations(count, 2)
    return left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right.mT


def test_nearest_to_a_scaled_rotation_is_itself():
    rotations = torch.cat((random_rotations(100), special_rotations()))
    for scale in (1e-12, 1.0, 1e12):
        nearest, valid = nearest_rotation(scale * rotations)
        assert valid.all()
        torch.testing.assert_close(nearest, rotations, rtol=0.0, atol=1e-13)


def test_it_is_proper_and_no_rotation_nearby_is_nearer():
    matrix = matrices(200)
    nearest, valid = nearest_rotation(matrix)
    assert valid.all()
    assert (torch.linalg.det(matrix) < 0).any()
    assert_proper(nearest)
    fit = (nearest * matrix).sum((-2, -1))
    for turn in 0.1 * random_rotations(20)[:, 0]:
        other = nearest @ matrix_from_axis_angle(turn)
        assert (fit > (other * matrix).sum((-2, -1))).all()


def test_turning_the_matrix_turns_the_rotation():
    matrix, left, right = matrices(50), random_rotations(50, 3), random_rotations(50, 4)
    torch.testing.assert_close(
        nearest_rotation(left @ matrix @ right)[0],
        left @ nearest_rotation(matrix)[0] @ right,
        rtol=0.0,
        atol=1e-11,
    )


@pytest.mark.parametrize(
    'values',
    [
        (3, 2, 1),
        (1, 1, 1),
        (2, 1, 1),
        (2, 1, 0),
        (1, 1, 0),
        (2, 1, -0.5),
        (1, 1, -0.5),
        (1, 1e-4, 0),
    ],
)
def test_gradcheck_at_special_singular_values(values):
    """Derivatives hold where singular values coincide, vanish or are negative."""
    matrix = from_values(*values, count=2).requires_grad_()
    assert nearest_rotation(matrix)[1].all()
    tiny = min(1e-6, 1e-3 * values[1])
    assert torch.autograd.gradcheck(lambda m: nearest_rotation(m)[0], matrix, eps=tiny, rtol=1e-3)


UNDETERMINED = {
    'zero': torch.zeros(3, 3),
    'rank one': torch.tensor([[1.0, 2.0, 3.0]]) * torch.ones(3, 1),
    'a reflection of what has no preferred axis': -torch.eye(3),
    'a reflection with two equal least axes': torch.diag(torch.tensor([2.0, 1.0, -1.0])),
    'NaN': torch.full((3, 3), torch.nan),
    'infinite': torch.full((3, 3), torch.inf),
}


@pytest.mark.parametrize('name', UNDETERMINED)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_undetermined_rotations_are_flagged(name, dtype):
    """They become the identity and spoil no gradient."""
    matrix = torch.stack((UNDETERMINED[name], matrices(1)[0])).to(dtype).requires_grad_()
    nearest, valid = nearest_rotation(matrix)
    assert valid.tolist() == [False, True]
    assert nearest.dtype == dtype
    torch.testing.assert_close(nearest[0], torch.eye(3, dtype=dtype))
    nearest.square().sum(-1).cumsum(-1).sum().backward()
    nearest_rotation(matrix)[0][:, 0].sum().backward()
    assert matrix.grad.isfinite().all()
    assert (matrix.grad[0] == 0.0).all()
    assert (matrix.grad[1] != 0.0).any()


@pytest.mark.parametrize('batch', BATCHES)
def test_any_batch_shape(batch):
    nearest, valid = nearest_rotation(matrices(1)[0].expand(*batch, 3, 3))
    assert nearest.shape == (*batch, 3, 3)
    assert valid.shape == batch


def test_a_wrong_shape_names_both_shapes():
    with pytest.raises(ValueError, match=r'matrix has shape \(9,\), expected \(\.\.\. 3 3\)'):
        nearest_rotation(torch.zeros(9))
