# SPDX-License-Identifier: Apache-2.0
"""PoseNet: its losses, the views it learns from, and a wall that it learns."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from walls import DISTANCE, MATRIX, SIZE_WH, depth_at, pose, seen_from, texture

from dsac_ros.config import MappingConfig
from dsac_ros.errors import MappingError, SourceError
from dsac_ros.geometry import se3
from dsac_ros.geometry.representations import REPRESENTATIONS
from dsac_ros.map_container import read_container, read_header
from dsac_ros.mapping.data.dataset import Dataset
from dsac_ros.mapping.data.view import View
from dsac_ros.metrics import twist_error
from dsac_ros.systems.learning import learn
from dsac_ros.systems.loading import load_localizer
from dsac_ros.systems.posenet.config import PoseNetConfig
from dsac_ros.systems.posenet.left_out_region import smaller_region
from dsac_ros.systems.posenet.losses import pose_losses, scene_reprojection, stage_at, stages_of
from dsac_ros.systems.posenet.network import PoseRegression, pooled, spread
from dsac_ros.systems.posenet.novelty import closeness, codes_of
from dsac_ros.systems.posenet.scene_points import (
    measured,
    point_source,
    points_of_views,
    read_colmap_points,
    visible,
)
from dsac_ros.systems.posenet.synthesis import Pinhole, moved_view, random_vector
from dsac_ros.systems.recipes import POSENET
from dsac_ros.types import Frame, PosedFrame

CAMERA = Pinhole(MATRIX, SIZE_WH)


def poses_near(count, seed=0, size=0.3):
    """Random poses (count, 4, 4) near the identity."""
    generator = torch.Generator().manual_seed(seed)
    return se3.exp(size * torch.randn(count, 6, generator=generator, dtype=torch.float64))


def view_at(place, depth=True):
    """The wall as a camera sees it, with its depth."""
    grid = np.stack(np.meshgrid(*map(np.arange, SIZE_WH)), -1).reshape(-1, 2)
    z = depth_at(grid.astype(float), place).reshape(SIZE_WH[::-1]).astype(np.float32)
    mask = np.ones(SIZE_WH[::-1], bool)
    return View(seen_from(place, texture(0)), mask, MATRIX, place, z if depth else None)


# losses


def test_reprojection_of_the_true_pose_is_zero():
    poses, points = poses_near(3), torch.rand(3, 5, 3, dtype=torch.float64) + 1
    assert scene_reprojection(poses, poses, points, torch.ones(3)).abs().max() < 1e-9


def test_reprojection_is_the_l1_norm_in_pixels():
    true, moved = torch.eye(4)[None], torch.eye(4)[None].clone()
    moved[0, :2, 3] = torch.tensor([0.1, -0.2])
    points = torch.tensor([[[0.0, 0.0, 2.0], [1.0, 1.0, 4.0]]])
    found = scene_reprojection(moved, true, points, torch.tensor([500.0]))
    assert found.item() == pytest.approx(500 * (0.3 / 2 + 0.3 / 4) / 2)


def test_gradient_of_the_reprojection_loss():
    true, points = poses_near(2), torch.rand(2, 4, 3, dtype=torch.float64) + 1
    twists = 0.1 * torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator())
    focal = torch.tensor([300.0, 400.0], dtype=torch.float64)

    def loss(twist):
        return scene_reprojection(true @ se3.exp(twist), true, points, focal)

    assert torch.autograd.gradcheck(loss, twists.requires_grad_())


def test_a_point_behind_the_camera_costs_a_finite_sum():
    behind = torch.eye(4)[None].clone()
    behind[0, 2, 3] = 9.0
    points = torch.tensor([[[0.5, 0.5, 2.0]]])
    found = scene_reprojection(behind, torch.eye(4)[None], points, torch.ones(1))
    assert found.isfinite().all() and found > 1


def test_2015_adds_beta_times_the_rotation():
    config = PoseNetConfig(rotation_weight=7.0)
    true, turned = torch.eye(4)[None].double(), torch.eye(4)[None].double()
    angle = 0.4
    turned[0, :3, :3] = torch.from_numpy(pose(turn_deg=math.degrees(angle))[:3, :3])
    turned[0, 0, 3] = 0.5
    found = pose_losses(config)['weighted'](turned, true)
    assert found.item() == pytest.approx(0.5 + 7.0 * 2 * math.sin(angle / 4))


def test_learned_weights_end_at_the_log_of_the_errors():
    losses = pose_losses(PoseNetConfig())
    optimizer = torch.optim.Adam(losses.parameters(), 0.05)
    estimated = torch.eye(4)[None].clone()
    estimated[0, 0, 3] = 0.2
    for _ in range(300):
        optimizer.zero_grad()
        losses['learned'](estimated, torch.eye(4)[None]).sum().backward()
        optimizer.step()
    assert losses['learned'].log_variances[0].item() == pytest.approx(math.log(0.2), abs=0.01)


@pytest.mark.parametrize('loss', ['weighted', 'learned', 'reprojection'])
@pytest.mark.parametrize('tuned', [False, True])
def test_stages_fill_the_schedule(loss, tuned):
    stages = stages_of(PoseNetConfig(loss=loss, finetune_encoder=tuned))
    assert sum(stage.share for stage in stages) == pytest.approx(1.0)
    assert stages[-1].loss == loss and stages[-1].encoder == tuned
    assert (stages[0].loss == 'learned') == (loss != 'weighted')
    begun = [stage_at(stages, done)[0] for done in np.linspace(0, 0.999, 100)]
    assert tuple(dict.fromkeys(begun)) == stages


def test_without_pretraining_only_reprojection_is_left():
    (stage,) = stages_of(PoseNetConfig(loss='reprojection', pretraining=0.0))
    assert (stage.loss, stage.share) == ('reprojection', 1.0)


# network


def test_pooling_keeps_the_layout_and_the_mask():
    descriptors = torch.zeros(1, 2, 8, 8)
    descriptors[0, 0, :, :4], descriptors[0, 1, :, 4:] = 1.0, 2.0
    mask = torch.ones(1, 64, 64, dtype=torch.bool)
    mask[0, :32] = False
    found = pooled(descriptors, mask, 2)
    np.testing.assert_allclose(found[0, 0], [[0, 0], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(found[0, 1], [[0, 0], [0, 2]], atol=1e-6)


@pytest.mark.parametrize('name', list(REPRESENTATIONS))
def test_training_starts_near_the_mean_pose(name):
    torch.manual_seed(0)
    config = PoseNetConfig(representation=name, grid=2, channels=4, hidden=16)
    network = PoseRegression(8, config)
    poses = poses_near(50).float() @ torch.from_numpy(pose(1, 2, 3, 40)).float()
    network.start_at(poses)
    metres, angle = se3.pose_error(network(torch.zeros(1, 8, 2, 2))[0], poses.mean(0))
    assert metres < 0.1 and network(torch.zeros(1, 8, 2, 2)).isfinite().all()
    assert angle < 0.2


def test_samples_under_dropout_repeat_and_differ():
    torch.manual_seed(0)
    network = PoseRegression(8, PoseNetConfig(grid=2, channels=4, hidden=16))
    features = torch.randn(1, 8, 2, 2)
    first, second = (network.samples(features, 16) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert first.std(0)[:3, 3].min() > 0
    torch.testing.assert_close(network(features), network(features))


def test_spread_is_the_covariance_of_the_draws():
    generator = torch.Generator().manual_seed(3)
    sigma = torch.tensor([0.1, 0.2, 0.3, 0.01, 0.02, 0.03], dtype=torch.float64)
    twists = sigma * torch.randn(4000, 6, generator=generator, dtype=torch.float64)
    mean = torch.from_numpy(pose(1, 2, 3, 30))
    draws = mean.expand(4000, 4, 4).clone()
    draws[:, :3, :3] = se3.exp(twists)[:, :3, :3] @ mean[:3, :3]
    draws[:, :3, 3] += twists[:, :3]
    np.testing.assert_allclose(spread(draws, mean), torch.diag(sigma**2), atol=0.06 * 0.3**2)


def test_codes_keep_the_distances():
    features = torch.randn(6, 32, 4, 4, generator=torch.Generator().manual_seed(1))
    exact = (features.flatten(1)[:1] - features.flatten(1)[1:]).square().mean(1).sqrt().min()
    codes = codes_of(features)
    assert closeness(codes[:1], codes[1:]) == pytest.approx(1 / exact.item(), rel=0.1)
    assert closeness(codes[:1], codes) >= 100


# views


def test_a_turned_view_is_what_a_turned_camera_sees():
    place, turned = pose(0.2, 0.1, 0.3, 5), pose(0.2, 0.1, 0.3, 14)
    rotation = place[:3, :3].T @ turned[:3, :3]
    found = moved_view(view_at(place, depth=False), CAMERA, rotation, np.zeros(3))
    np.testing.assert_allclose(found.scene_from_camera, turned, atol=1e-12)
    assert_shows(found, turned, 4.0)


def test_a_moved_view_is_what_a_moved_camera_sees():
    place, moved = pose(0, 0, 0, 12), pose(0.3, 0.2, 0.4, 4)
    relative = np.linalg.inv(place) @ moved
    found = moved_view(view_at(place), CAMERA, relative[:3, :3], relative[:3, 3])
    np.testing.assert_allclose(found.scene_from_camera, moved, atol=1e-12)
    assert_shows(found, moved, 8.0)


def assert_shows(view, place, grey):
    """Compare most of a view with the wall as it is seen from its place."""
    difference = np.abs(view.image.astype(float) - seen_from(place, texture(0)))[view.mask]
    assert view.mask.mean() > 0.6 and np.median(difference) < grey


def test_random_vectors_have_all_lengths():
    generator = torch.Generator().manual_seed(0)
    lengths = [np.linalg.norm(random_vector(0.4, generator)) for _ in range(200)]
    assert 0.18 < np.mean(lengths) < 0.22 and max(lengths) <= 0.4


# scene points


def dataset_of(views):
    return Dataset(views, [], np.zeros(3), 1.0, ([0, 0, 0], [1, 1, 1]))


def test_measured_points_lie_on_the_wall():
    points = measured(view_at(pose(0.2, 0.1, 0.3, 10)))
    assert len(points) == 40 * 30
    np.testing.assert_allclose(points[:, 2], DISTANCE, atol=1e-2)


def test_hidden_points_are_not_seen():
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 30), np.linspace(-0.8, 0.8, 24)), -1)
    near, far = (
        np.dstack([scale * grid, np.full(grid.shape[:2], 3.0 * scale)]) for scale in (1, 2)
    )
    points = np.concatenate([near.reshape(-1, 3), far.reshape(-1, 3)])
    seen = visible(points, view_at(np.eye(4), depth=False))
    assert len(seen) > 50 and (seen[:, 2] == 3.0).all()


def test_points_of_a_colmap_model(tmp_path):
    expected = np.array([[1.0, 2.0, 3.0], [-4.0, 5.5, 6.0]])
    rows = [
        struct.pack('<Q3d3Bd', k + 1, *point, 1, 2, 3, 0.5)
        + struct.pack('<Q', k)
        + struct.pack('<ii', 1, 2) * k
        for k, point in enumerate(expected)
    ]
    (tmp_path / 'points3D.bin').write_bytes(struct.pack('<Q', 2) + b''.join(rows))
    np.testing.assert_array_equal(read_colmap_points(tmp_path), expected)
    (tmp_path / 'points3D.bin').unlink()
    lines = ['# comment', '1 1 2 3 9 9 9 0.5 1 2', '2 -4 5.5 6 9 9 9 0.5', '']
    (tmp_path / 'points3D.txt').write_text('\n'.join(lines))
    np.testing.assert_array_equal(read_colmap_points(tmp_path), expected)


def test_half_a_colmap_model_is_refused(tmp_path):
    with pytest.raises(MappingError, match=r'no points3D\.bin'):
        read_colmap_points(tmp_path)
    (tmp_path / 'points3D.bin').write_bytes(struct.pack('<Q', 9) + b'short')
    with pytest.raises(SourceError, match='export the model again'):
        read_colmap_points(tmp_path)


def test_a_source_of_points_that_is_not_there():
    data = dataset_of([view_at(np.eye(4), depth=False)])
    with pytest.raises(MappingError, match='no frame has depth'):
        point_source(data, PoseNetConfig(scene_points='depth'))
    with pytest.raises(MappingError, match='colmap_model=FOLDER'):
        point_source(data, PoseNetConfig(scene_points='colmap'))
    with pytest.raises(MappingError, match='no frame shows'):
        points_of_views(data, 'depth', None, 0)
    assert point_source(data, PoseNetConfig()) == 'tracks'
    assert point_source(data, PoseNetConfig(colmap_model='model')) == 'colmap'
    assert point_source(dataset_of([view_at(np.eye(4))]), PoseNetConfig()) == 'depth'


def test_the_smaller_region_is_left_out():
    centres = np.concatenate([np.random.default_rng(0).normal(size=(30, 3)), np.full((9, 3), 9.0)])
    np.testing.assert_array_equal(smaller_region(centres), np.arange(39) >= 30)


# a map


@pytest.fixture(scope='module')
def config():
    values = {**POSENET, 'steps': 300, 'network_short_side': 120, 'held_out': 0.25}
    return MappingConfig(recipe='posenet_learned', **values)


def learned(frames, config, own, path, **options):
    return learn(frames, config, own, device='cpu', output=path, total=len(frames), **options)


@pytest.fixture(scope='module')
def measured_frames(wall_frames):
    """The frames of the wall with depth."""
    return [
        PosedFrame(
            replace(one.frame, depth=view_at(one.world_from_camera).depth), one.world_from_camera
        )
        for one in wall_frames
    ]


@pytest.fixture(scope='module')
def wall_map(measured_frames, config, tmp_path_factory):
    path = tmp_path_factory.mktemp('maps') / 'wall.map'
    learned(measured_frames, config, PoseNetConfig(), path)
    return path


def errors_m(path, queries):
    system = load_localizer(path, 'cpu')
    found = [system.localize(one.frame).world_from_camera for one in queries]
    return [np.linalg.norm(a[:3, 3] - b.world_from_camera[:3, 3]) for a, b in zip(found, queries)]


def test_it_learns_the_wall(wall_map, wall_frames, wall_queries):
    centres = np.stack([one.world_from_camera[:3, 3] for one in wall_frames])
    learned_frames = wall_frames[::5]
    mean = np.linalg.norm(centres[::5] - centres.mean(0), axis=1)
    assert np.median(errors_m(wall_map, learned_frames)) < 0.5 * np.median(mean)
    assert np.median(errors_m(wall_map, wall_queries)) < 0.15 * DISTANCE
    assert wall_map.stat().st_size < 1.5e6


def test_its_covariance_is_one(wall_map, wall_queries):
    found = load_localizer(wall_map, 'cpu').localize(wall_queries[0].frame)
    assert np.linalg.eigvalsh(found.covariance).min() > 0
    assert 0 <= found.confidence <= 1


def test_another_place_is_refused(wall_map, wall_queries):
    camera = wall_queries[0].frame.camera
    other = Frame(seen_from(pose(0.1, 0.1, 0, 3), texture(7)), camera)
    found = load_localizer(wall_map, 'cpu').localize(other)
    assert not found.accepted and found.world_from_camera is not None
    assert 'closeness to the nearest mapping image' in found.reason or 'nothing' in found.reason


def test_a_tuned_encoder_is_in_the_map(wall_frames, wall_queries, config, tmp_path):
    own = PoseNetConfig(finetune_encoder=True)
    brief = replace(config, steps=40, passes=2)
    learned(wall_frames, brief, own, tmp_path / 'a.map')
    header, tensors = read_container(tmp_path / 'a.map')
    assert header['encoder_id'] == 'own'
    assert any(name.startswith('encoder.') for name in tensors)
    assert all(np.isfinite(errors_m(tmp_path / 'a.map', wall_queries)))


def test_reprojection_learns_from_measured_points(measured_frames, wall_queries, config, tmp_path):
    own = PoseNetConfig(loss='reprojection')
    learned(measured_frames, replace(config, passes=4), own, tmp_path / 'a.map')
    assert read_header(tmp_path / 'a.map')['training']['near'] > 0.2
    assert np.median(errors_m(tmp_path / 'a.map', wall_queries)) < 0.5


def test_an_interrupted_training_goes_on(wall_frames, config, tmp_path):
    def interrupting(state):
        if state.stage == 'training' and state.fraction > 0.4:
            raise KeyboardInterrupt

    brief, path = replace(config, steps=60, passes=1), tmp_path / 'a.map'
    with pytest.raises(KeyboardInterrupt):
        learned(wall_frames, brief, PoseNetConfig(), path, progress=interrupting)
    assert not path.exists() and path.with_name('a.map.checkpoint').exists()
    found = learned(wall_frames, brief, PoseNetConfig(), path, resume=True)
    assert found.header['training']['steps'] == 60
    assert not path.with_name('a.map.checkpoint').exists()


def test_a_single_pose_error_is_what_it_says(wall_map, wall_queries):
    system = load_localizer(wall_map, 'cpu')
    trace = system.trace(wall_queries[2].frame)
    assert len(trace.candidates) == 1 + PoseNetConfig().samples
    error = twist_error(trace.localization.world_from_camera, trace.candidates[0])
    np.testing.assert_allclose(error, 0, atol=1e-12)
