# SPDX-License-Identifier: Apache-2.0
"""Distances between rotations are metrics, and stand in the order that their formulas say."""

import math

import pytest
import torch
from rotations import BATCHES, random_rotations, special_rotations

from dsac_ros.geometry.distances import DISTANCES, angle_axis, angular, chordal, quaternion
from dsac_ros.geometry.rotation import matrix_from_axis_angle

ALL = pytest.mark.parametrize('distance', DISTANCES.values(), ids=DISTANCES)
BI_INVARIANT = pytest.mark.parametrize('distance', [angular, quaternion, chordal])


def triples(count=300):
    return (random_rotations(count, seed) for seed in (0, 1, 2))


@ALL
def test_axioms_of_a_metric(distance):
    a, b, c = triples()
    assert (distance(a, b) > 1e-3).all()
    torch.testing.assert_close(distance(a, b), distance(b, a))
    assert (distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12).all()
    itself = torch.cat((a, special_rotations()))
    assert distance(itself, itself).max() < 1e-15


@BI_INVARIANT
def test_turning_both_on_either_side_changes_nothing(distance):
    a, b, turn = triples()
    for other in (distance(turn @ a, turn @ b), distance(a @ turn, b @ turn)):
        torch.testing.assert_close(other, distance(a, b), rtol=0.0, atol=1e-12)


def test_angle_axis_distance_depends_on_the_world_axes():
    """Rotating the world changes it; renaming the axes of both rotations does not."""
    a, b, turn = triples()
    assert (angle_axis(turn @ a, turn @ b) - angle_axis(a, b)).abs().max() > 0.1
    torch.testing.assert_close(
        angle_axis(turn @ a @ turn.mT, turn @ b @ turn.mT), angle_axis(a, b)
    )


@pytest.mark.parametrize('angle', [0.0, 1e-9, 1e-4, 0.3, 2.0, math.pi - 1e-9, math.pi])
def test_each_is_its_function_of_the_angle(angle):
    axis = torch.nn.functional.normalize(random_rotations(20)[:, 0], dim=-1)
    a = random_rotations(20, 1)
    b = a @ matrix_from_axis_angle(angle * axis)
    expected = {
        angular: angle,
        quaternion: 2.0 * math.sin(angle / 4.0),
        chordal: 2.0 * 2.0**0.5 * math.sin(angle / 2.0),
    }
    for distance, value in expected.items():
        torch.testing.assert_close(
            distance(a, b), torch.full((20,), value, dtype=a.dtype), rtol=0.0, atol=1e-14
        )
    identity = torch.eye(3).double().expand_as(a)
    torch.testing.assert_close(
        angle_axis(identity, matrix_from_axis_angle(angle * axis)),
        torch.full((20,), angle, dtype=a.dtype),
        rtol=0.0,
        atol=1e-14,
    )


def test_their_order():
    a, b, _ = triples()
    theta = angular(a, b)
    assert (2.0 * quaternion(a, b) <= theta).all()
    assert (chordal(a, b) <= 2.0**0.5 * theta).all()
    assert (theta <= angle_axis(a, b) + 1e-12).all()
    assert (angle_axis(a, b) <= 2.0 * math.pi).all()
    assert (2.0**0.5 * quaternion(a, b) <= chordal(a, b)).all()


@ALL
def test_gradcheck(distance):
    a, b, _ = triples(3)
    assert torch.autograd.gradcheck(distance, (a.requires_grad_(), b.requires_grad_()))


@ALL
@pytest.mark.parametrize('angle', [0.0, 1e-9, math.pi - 1e-9, math.pi])
def test_gradients_are_finite_at_zero_and_half_turns(distance, angle):
    a = special_rotations().requires_grad_()
    b = (a @ matrix_from_axis_angle(torch.tensor([0.0, 0.0, angle]).double())).detach()
    distance(a, b).sum().backward()
    assert a.grad.isfinite().all()


@ALL
@pytest.mark.parametrize('batch', BATCHES)
def test_any_batch_shape(distance, batch):
    a, b = (r[0].float().expand(*batch, 3, 3) for r in list(triples(1))[:2])
    assert distance(a, b).shape == batch
    assert distance(a, b).dtype == torch.float32


@ALL
def test_a_wrong_shape_names_both_shapes(distance):
    with pytest.raises(ValueError, match=r'b has shape \(4, 4\), expected \(\.\.\. 3 3\)'):
        distance(torch.eye(3), torch.eye(4))
