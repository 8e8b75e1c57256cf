# SPDX-License-Identifier: Apache-2.0
"""Every representation of a rotation, by name: to the matrix and back."""

import math

import pytest
import torch
from rotations import BATCHES, assert_proper, random_rotations, special_rotations
from scipy.spatial.transform import Rotation

from dsac_ros.geometry.representations import REPRESENTATIONS, Representation

ALL = pytest.mark.parametrize('kind', REPRESENTATIONS.values(), ids=REPRESENTATIONS)
OF_COLUMNS = ('gram_schmidt', 'procrustes', 'kabsch')
OF_AN_AXIS = ('axis_angle', 'log_quaternion')


def vectors(kind, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, kind.dims, generator=generator, dtype=torch.float64)


def test_the_menu_is_complete_and_named_as_its_entries():
    assert set(REPRESENTATIONS) == {
        'quaternion',
        'axis_angle',
        'log_quaternion',
        'euler',
        'gram_schmidt',
        'procrustes',
        'kabsch',
    }
    assert all(isinstance(r, Representation) and r.name == n for n, r in REPRESENTATIONS.items())


@ALL
def test_a_rotation_survives_the_round_trip(kind):
    rotations = torch.cat((random_rotations(200), special_rotations()))
    vector = kind.from_matrix(rotations)
    assert vector.shape == (len(rotations), kind.dims)
    torch.testing.assert_close(kind.to_matrix(vector), rotations, rtol=0.0, atol=1e-8)


@ALL
def test_any_vector_gives_a_proper_rotation(kind):
    assert_proper(kind.to_matrix(3.0 * vectors(kind, 200)))


@pytest.mark.parametrize('name', ['quaternion', 'gram_schmidt', 'procrustes', 'kabsch'])
def test_the_length_of_a_vector_says_nothing(name):
    kind = REPRESENTATIONS[name]
    some = vectors(kind, 50)
    torch.testing.assert_close(kind.to_matrix(7.0 * some), kind.to_matrix(some))


def test_quaternion_and_its_negative_are_one_rotation():
    """The one whose real part is not negative stands for both."""
    kind = REPRESENTATIONS['quaternion']
    some = torch.nn.functional.normalize(vectors(kind, 200), dim=-1)
    torch.testing.assert_close(kind.to_matrix(-some), kind.to_matrix(some))
    named = kind.from_matrix(kind.to_matrix(some))
    assert (named[:, 3] >= 0.0).all()
    torch.testing.assert_close(named, some * some[:, 3:].sign())


def test_angles_stay_in_their_ranges():
    rotations = torch.cat((random_rotations(500), special_rotations()))
    for name, most in (('axis_angle', math.pi), ('log_quaternion', math.pi / 2)):
        assert (REPRESENTATIONS[name].from_matrix(rotations).norm(dim=-1) <= most + 1e-9).all()
    pitch = REPRESENTATIONS['euler'].from_matrix(rotations)[:, 1]
    assert (pitch.abs() <= math.pi / 2 + 1e-9).all()


@ALL
def test_to_matrix_is_differentiable(kind):
    assert torch.autograd.gradcheck(kind.to_matrix, vectors(kind, 3, seed=1).requires_grad_())


@ALL
def test_from_matrix_is_differentiable(kind):
    assert torch.autograd.gradcheck(kind.from_matrix, random_rotations(3, 1).requires_grad_())


@ALL
def test_gradients_are_finite_at_special_rotations(kind):
    """Both conversions are differentiable at the identity and at half turns."""
    rotations = special_rotations().requires_grad_()
    vector = kind.from_matrix(rotations)
    vector.sum().backward()
    assert rotations.grad.isfinite().all()
    leaf = vector.detach().requires_grad_()
    kind.to_matrix(leaf)[:, 0].sum().backward()
    assert leaf.grad.isfinite().all()


@ALL
def test_zero_is_the_identity_with_a_finite_gradient(kind):
    zero = torch.zeros(kind.dims, dtype=torch.float64, requires_grad=True)
    matrix = kind.to_matrix(zero)
    torch.testing.assert_close(matrix, torch.eye(3).double())
    matrix[0].sum().backward()
    assert zero.grad.isfinite().all()


@ALL
def test_nan_is_not_hidden(kind):
    vector = vectors(kind, 2)
    vector[0, 0] = torch.nan
    matrix = kind.to_matrix(vector)
    assert matrix[0].isnan().any()
    assert matrix[1].isfinite().all()


@ALL
@pytest.mark.parametrize('batch', BATCHES)
def test_any_batch_shape_and_dtype(kind, batch):
    vector = torch.ones(*batch, kind.dims) + torch.arange(kind.dims)
    matrix = kind.to_matrix(vector)
    assert matrix.shape == (*batch, 3, 3)
    assert matrix.dtype == torch.float32
    assert kind.from_matrix(matrix).shape == (*batch, kind.dims)
    assert kind.from_matrix(matrix).dtype == torch.float32


@ALL
def test_a_wrong_shape_names_both_shapes(kind):
    with pytest.raises(ValueError, match=rf'has shape \(2,\), expected \(\.\.\. {kind.dims}\)'):
        kind.to_matrix(torch.zeros(2))
    with pytest.raises(ValueError, match=r'has shape \(3,\), expected \(\.\.\. 3 3\)'):
        kind.from_matrix(torch.zeros(3))


@pytest.mark.parametrize('name', OF_COLUMNS)
def test_rotating_columns_or_points_rotates_the_result(name):
    kind = REPRESENTATIONS[name]
    turn, vector = random_rotations(50, 2), vectors(kind, 50)
    if name == 'procrustes':
        turned = (turn @ vector.unflatten(-1, (3, 3))).flatten(-2)
    else:
        turned = (vector.unflatten(-1, (-1, 3)) @ turn.mT).flatten(-2)
    torch.testing.assert_close(kind.to_matrix(turned), turn @ kind.to_matrix(vector))


@pytest.mark.parametrize('name', OF_AN_AXIS)
def test_rotating_the_axis_conjugates_the_rotation(name):
    kind = REPRESENTATIONS[name]
    turn, axis = random_rotations(50, 2), vectors(kind, 50)
    turned = (turn @ axis[..., None]).squeeze(-1)
    torch.testing.assert_close(kind.to_matrix(turned), turn @ kind.to_matrix(axis) @ turn.mT)


def test_a_log_quaternion_is_half_of_axis_angle():
    rotations = random_rotations(50)
    torch.testing.assert_close(
        2.0 * REPRESENTATIONS['log_quaternion'].from_matrix(rotations),
        REPRESENTATIONS['axis_angle'].from_matrix(rotations),
    )


def test_log_inverts_exp_up_to_a_half_turn():
    kind = REPRESENTATIONS['log_quaternion']
    half = (
        torch.nn.functional.normalize(vectors(kind, 50), dim=-1)
        * torch.linspace(0.0, math.pi / 2 - 1e-6, 50, dtype=torch.float64)[:, None]
    )
    torch.testing.assert_close(kind.from_matrix(kind.to_matrix(half)), half, rtol=0.0, atol=1e-9)


def test_euler_angles_are_those_of_the_reference():
    angles = vectors(REPRESENTATIONS['euler'], 50)
    expected = Rotation.from_euler('xyz', angles.numpy()).as_matrix()
    torch.testing.assert_close(
        REPRESENTATIONS['euler'].to_matrix(angles), torch.from_numpy(expected)
    )


@pytest.mark.parametrize('pitch', [math.pi / 2, -math.pi / 2])
@pytest.mark.parametrize('short_of', [0.0, 1e-12, 1e-8, 1e-5])
def test_euler_angles_survive_gimbal_lock(pitch, short_of):
    kind = REPRESENTATIONS['euler']
    angles = torch.tensor([0.4, pitch * (1.0 - short_of), -1.1], dtype=torch.float64)
    rotation = kind.to_matrix(angles)
    torch.testing.assert_close(
        kind.to_matrix(kind.from_matrix(rotation)), rotation, rtol=0.0, atol=1e-14
    )


@pytest.mark.parametrize(
    'vector', [(0, 0, 0, 1, 0, 0), (1, 2, 3, 0, 0, 0), (1, 2, 3, 2, 4, 6), (1, 2, 3, -1, -2, -3)]
)
def test_degenerate_columns_give_the_identity(vector):
    """Columns that span no plane have a gradient of zero."""
    columns = torch.tensor(vector, dtype=torch.float64, requires_grad=True)
    matrix = REPRESENTATIONS['gram_schmidt'].to_matrix(columns)
    torch.testing.assert_close(matrix, torch.eye(3).double())
    matrix.cumsum(-1).sum().backward()
    assert (columns.grad == 0.0).all()


def test_gram_schmidt_keeps_first_direction_and_plane():
    columns = vectors(REPRESENTATIONS['gram_schmidt'], 50)
    matrix = REPRESENTATIONS['gram_schmidt'].to_matrix(columns)
    a, b = columns[:, :3], columns[:, 3:]
    torch.testing.assert_close(matrix[..., 0], torch.nn.functional.normalize(a, dim=-1))
    assert (matrix[..., 2] * b).sum(-1).abs().max() < 1e-12
    assert ((matrix[..., 1] * b).sum(-1) > 0.0).all()


def test_translating_hallucinated_points_has_no_effect():
    kind = REPRESENTATIONS['kabsch']
    points = vectors(kind, 50)
    moved = (points.unflatten(-1, (4, 3)) + torch.tensor([5.0, -3.0, 2.0])).flatten(-2)
    torch.testing.assert_close(kind.to_matrix(moved), kind.to_matrix(points))
