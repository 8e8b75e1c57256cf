# SPDX-License-Identifier: Apache-2.0
"""SE(3) and SO(3) as groups, over seeds and batch shapes, and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dsac_ros.geometry import rotation, se3

BATCHES = [(), (1,), (3, 1, 2)]
SEEDS = [0, 1, 2]
ANGLES = [0.0, 1e-9, 1e-5, 1e-3, 0.4999, 0.5001, 1.0, 3.0, math.pi - 1e-4, math.pi - 1e-7]


def twists(seed: int, batch: tuple[int, ...] = (), angle: float | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    twist = torch.randn(*batch, 6, generator=generator, dtype=torch.float64)
    if angle is not None:
        axis = torch.nn.functional.normalize(twist[..., 3:], dim=-1)
        twist = torch.cat([twist[..., :3], axis * angle], -1)
    return twist


@pytest.mark.parametrize('batch', BATCHES)
@pytest.mark.parametrize('seed', SEEDS)
def test_group_axioms(seed, batch):
    a, b, c = (se3.exp(twists(seed + k, batch)) for k in (0, 10, 20))
    identity = torch.eye(4, dtype=torch.float64).expand(*batch, 4, 4)
    torch.testing.assert_close(a @ se3.inverse(a), identity)
    torch.testing.assert_close(se3.inverse(a @ b), se3.inverse(b) @ se3.inverse(a))
    torch.testing.assert_close((a @ b) @ c, a @ (b @ c))
    points = torch.randn(
        *batch, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    torch.testing.assert_close(
        se3.transform(a @ b, points), se3.transform(a, se3.transform(b, points))
    )
    assert se3.log(a).shape == (*batch, 6)


@pytest.mark.parametrize('angle', ANGLES)
@pytest.mark.parametrize('seed', SEEDS)
def test_log_undoes_exp_at_every_angle(seed, angle):
    twist = twists(seed, (4,), angle)
    torch.testing.assert_close(se3.log(se3.exp(twist)), twist, atol=1e-8, rtol=0)


@pytest.mark.parametrize('seed', SEEDS)
def test_exp_undoes_log_at_pi(seed):
    motion = se3.exp(twists(seed, (4,), math.pi))
    torch.testing.assert_close(se3.exp(se3.log(motion)), motion, atol=1e-8, rtol=0)


def test_exp_is_the_matrix_exponential():
    twist = twists(3, (7,))
    generator = torch.zeros(7, 4, 4, dtype=torch.float64)
    generator[:, :3, :3] = rotation.skew(twist[:, 3:])
    generator[:, :3, 3] = twist[:, :3]
    torch.testing.assert_close(se3.exp(twist), torch.matrix_exp(generator))


@pytest.mark.parametrize('angle', [0.0, 1e-7, 0.4999, 0.5001, 2.0, math.pi - 1e-3])
def test_gradients(angle):
    twist = twists(1, (2,), angle).requires_grad_()
    assert torch.autograd.gradcheck(se3.exp, twist)
    motion = se3.exp(twists(1, (2,), angle)).detach().requires_grad_()
    assert torch.autograd.gradcheck(se3.log, motion)
    assert torch.autograd.gradcheck(se3.inverse, motion)
    points = torch.randn(
        2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    assert torch.autograd.gradcheck(se3.transform, (motion, points))


def test_jacobian_of_log_after_exp_is_identity_at_zero():
    jacobian = torch.autograd.functional.jacobian(
        lambda t: se3.log(se3.exp(t)), torch.zeros(6, dtype=torch.float64)
    )
    torch.testing.assert_close(jacobian, torch.eye(6, dtype=torch.float64))


@pytest.mark.parametrize('batch', BATCHES)
@pytest.mark.parametrize('seed', SEEDS)
def test_representations_agree_with_scipy(seed, batch):
    vectors = twists(seed, batch)[..., 3:] * 1.5
    matrices = rotation.matrix_from_axis_angle(vectors)
    reference = Rotation.from_rotvec(vectors.reshape(-1, 3).numpy())
    np.testing.assert_allclose(matrices.reshape(-1, 3, 3), reference.as_matrix(), atol=1e-12)
    quaternions = rotation.quaternion_from_matrix(matrices)
    cosines = (quaternions.reshape(-1, 4).numpy() * reference.as_quat()).sum(-1)
    np.testing.assert_allclose(np.abs(cosines), 1.0, atol=1e-12)
    torch.testing.assert_close(rotation.matrix_from_quaternion(3.0 * quaternions), matrices)
    np.testing.assert_allclose(
        rotation.axis_angle_from_matrix(matrices).reshape(-1, 3), reference.as_rotvec(), atol=1e-9
    )


@pytest.mark.parametrize('axis', [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 0), (-1, 1, 1)])
def test_half_turns(axis):
    axis = torch.nn.functional.normalize(torch.tensor(axis, dtype=torch.float64), dim=-1)
    matrix = 2.0 * axis[:, None] * axis - torch.eye(3, dtype=torch.float64)
    vector = rotation.axis_angle_from_matrix(matrix)
    torch.testing.assert_close(vector.norm(), torch.tensor(math.pi, dtype=torch.float64))
    torch.testing.assert_close((vector @ axis).abs() / math.pi, torch.ones_like(vector[0]))


@pytest.mark.parametrize('dtype, tolerance', [(torch.float64, 1e-9), (torch.float32, 2e-6)])
@pytest.mark.parametrize('angle', ANGLES)
def test_pose_error(angle, dtype, tolerance):
    a = se3.exp(twists(5, (2,)))
    turn = se3.exp(twists(6, (2,), angle))
    b = a @ turn
    translation, radians = se3.pose_error(a.to(dtype), b.to(dtype))
    expected = turn[:, :3, 3].norm(dim=-1)
    torch.testing.assert_close(translation.double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        radians.double(), torch.full((2,), angle, dtype=torch.float64), atol=tolerance, rtol=0
    )


def test_identical_poses_have_finite_gradients():
    pose = torch.eye(4, dtype=torch.float64).requires_grad_()
    sum(se3.pose_error(pose, torch.eye(4, dtype=torch.float64))).backward()
    assert torch.isfinite(pose.grad).all()


def test_wrong_shapes_name_both():
    with pytest.raises(ValueError, match=r'motion has shape \(3, 4\), expected \(\.\.\. 4 4\)'):
        se3.log(torch.zeros(3, 4))


@pytest.mark.parametrize(
    ('degrees', 'metres', 'limit', 'same'),
    [(1.0, 0.03, 1.1, True), (1.0, 0.0, 0.9, False), (0.0, 0.05, 1.1, False)],
)
def test_same_view_up_to_an_angle_and_its_displacement(degrees, metres, limit, same):
    start = se3.exp(twists(0))
    moved = start @ se3.exp(torch.tensor([metres, 0, 0, 0, 0, math.radians(degrees)]).double())
    assert se3.same_view(start, moved, math.radians(limit), 2.0) == same
