# SPDX-License-Identifier: Apache-2.0
"""alignment/: reference images of a wall pull a pose near the right one to it."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from walls import MATRIX, SIZE_WH, depth_at, pose, seen_from, texture

from dsac_ros.alignment import match
from dsac_ros.alignment.align import align, fit
from dsac_ros.alignment.aligner import Aligner
from dsac_ros.alignment.joint import refine_jointly
from dsac_ros.alignment.landmarks import (
    LEVELS,
    PATCH,
    Pyramid,
    landmarks_of,
    select_uniformly,
)
from dsac_ros.alignment.reference_database import ReferenceDatabase, as_input
from dsac_ros.alignment.reference_image import (
    ReferenceImage,
    compressed,
    from_tensors,
    to_tensors,
)
from dsac_ros.alignment.search import SearchConfig
from dsac_ros.alignment.verification import Verification, verify_pose
from dsac_ros.config import RansacConfig
from dsac_ros.geometry.resample import Resamplers, cell_centres
from dsac_ros.metrics import twist_error
from dsac_ros.network.encoder import load_encoder
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.types import SceneCoordinates

WALL = texture(0)
QUERY = pose(0.25, -0.1, 0.3, 4.0)


def reference(where: np.ndarray, wall: np.ndarray = WALL) -> ReferenceImage:
    grid = np.stack(np.meshgrid(np.arange(16, 310, 14), np.arange(16, 230, 14)), -1)
    pixels = grid.reshape(-1, 2)
    return ReferenceImage(
        compressed(seen_from(where, wall)),
        MATRIX,
        np.linalg.inv(where),
        pixels,
        depth_at(pixels, where),
        np.eye(8)[0],
    )


@pytest.fixture(scope='module')
def landmarks():
    return landmarks_of([reference(pose(x)) for x in (-0.4, 0.0, 0.4)])


def aligned(image, start, landmarks):
    return align(
        Pyramid.of(image), torch.from_numpy(MATRIX).float(), torch.from_numpy(start), landmarks
    )


def distance(found, true=QUERY):
    error = twist_error(found.world_from_camera.numpy(), true)
    return np.linalg.norm(error[:3]), np.degrees(np.linalg.norm(error[3:]))


@pytest.mark.parametrize(
    'start', [pose(0.25, -0.1, 0.3, 4.0), pose(0.3, -0.05, 0.2, 4.5), pose(0.05, 0.05, 0.1, 7.0)]
)
def test_a_pose_near_the_right_one_is_pulled_to_it(landmarks, start):
    found = aligned(seen_from(QUERY, WALL), start, landmarks)
    metres, degrees = distance(found)
    assert metres < 0.005 and degrees < 0.1
    assert found.verification.visible_inlier_ratio > 0.8


@pytest.mark.parametrize(
    ('moved', 'fits', 'levels', 'kept'),
    [
        (0.001, [5.0], [3, 2, 1, 0], 0.001),  # the wall is 2 m away: settled
        (0.02, [5.0, 9.0], [3, 2, 1, 0, 0], 0.04),  # it fits better still
        (0.02, [9.0, 5.0], [3, 2, 1, 0, 0], 0.02),
    ],
)
def test_finest_level_repeats_after_a_large_step(
    monkeypatch, landmarks, moved, fits, levels, kept
):
    """A pose that the finest level moved is refined there again, and the better fit is kept."""
    followed = []

    def refine(image, level, landmarks, camera_from_map, matrix):
        followed.append(level)
        found = torch.from_numpy(QUERY.copy())
        found[0, 3] += moved * followed.count(0)
        return found, torch.eye(6)

    scores = iter(fits)
    monkeypatch.setattr('dsac_ros.alignment.align.refine_at_level', refine)
    monkeypatch.setattr(
        'dsac_ros.alignment.align.verify_pose',
        lambda *_: Verification(next(scores), 1.0, 1.0, False),
    )
    found = aligned(seen_from(QUERY, WALL), QUERY, landmarks)
    assert followed == levels
    assert distance(found)[0] == pytest.approx(kept)


@pytest.mark.parametrize(
    'change',
    [
        lambda image: (0.4 * image + 60).astype(np.uint8),
        lambda image: cv2.GaussianBlur(image, (0, 0), 2.0),
        lambda image: np.where(np.arange(image.shape[1]) < 160, 90, image).astype(np.uint8),
    ],
    ids=['dark', 'blurred', 'half covered'],
)
def test_what_robots_meet_does_not_move_the_pose(landmarks, change):
    found = aligned(change(seen_from(QUERY, WALL)), pose(0.3, -0.05, 0.2, 4.5), landmarks)
    metres, degrees = distance(found)
    assert metres < 0.02 and degrees < 0.4
    assert found.verification.visible_inlier_ratio > 0.3


def projected(points: np.ndarray, world_from_camera: np.ndarray) -> np.ndarray:
    camera = (points - world_from_camera[:3, 3]) @ world_from_camera[:3, :3]
    return camera[:, :2] / camera[:, 2:] * MATRIX[0, 0] + MATRIX[:2, 2]


@pytest.mark.parametrize('level', [0, 1, 2])
@pytest.mark.parametrize('copies', [1, 3])
def test_a_near_chance_match_holds_no_wrong_pose(level, copies):
    """A landmark 0.2 m away is found by chance where a wrong pose predicts it, the wall rightly.

    The wall sees little of a step to the side that a turn makes up for, the near landmark all.
    """
    rng = np.random.default_rng(0)
    wall = np.c_[rng.uniform(-1.5, 1.5, 180), rng.uniform(-1, 1, 180), np.full(180, 3.0)]
    near = np.array([[0.02, 0.04, 0.2]]) + 1e-3 * np.arange(copies)[:, None]
    wrong = pose(0.15, turn_deg=-2.8)
    pixels = np.concatenate(
        [projected(wall, pose()) + rng.normal(scale=0.3, size=(180, 2)), projected(near, wrong)]
    )
    points = np.concatenate([wall, near])
    found, *_ = fit(
        torch.from_numpy(points).float(),
        torch.from_numpy(pixels).float(),
        torch.ones(len(points)),
        torch.from_numpy(np.linalg.inv(wrong)).float(),
        torch.from_numpy(MATRIX).float(),
        2.0**level,
    )
    error = twist_error(found.numpy(), pose())
    assert np.linalg.norm(error[:3]) < 0.02 and np.degrees(np.linalg.norm(error[3:])) < 0.4


def matched_features(landmarks, wrong=0.0):
    """Features at landmarks, 1.5 px noisy; a share of them agrees on another place."""
    rng = np.random.default_rng(0)
    points = landmarks.points[rng.choice(len(landmarks), 80, replace=False)].numpy()
    camera_from_map = np.linalg.inv(QUERY)
    camera = points @ camera_from_map[:3, :3].T + camera_from_map[:3, 3]
    pixels = camera[:, :2] / camera[:, 2:] * MATRIX[0, 0] + MATRIX[:2, 2]
    pixels += rng.normal(scale=1.5, size=(80, 2))
    pixels[: int(80 * wrong)] += [25.0, -10.0]
    ones = torch.ones(1, 80)
    return SceneCoordinates(
        torch.from_numpy(points)[None],
        torch.from_numpy(pixels).float()[None],
        ones,
        ones > 0,
        torch.from_numpy(MATRIX)[None],
        (1, 80),
    )


@pytest.mark.parametrize(
    ('image', 'wrong', 'metres'),
    [
        (seen_from(QUERY, WALL), 0.0, 0.005),  # as exact as landmarks alone
        (seen_from(QUERY, WALL), 0.5, 0.005),  # half of the features contradict them
        (seen_from(QUERY, texture(7)), 0.0, 0.03),  # no landmark is where it should be
    ],
    ids=['both', 'wrong features', 'no landmarks'],
)
def test_landmarks_and_features_refine_a_pose_together(landmarks, image, wrong, metres):
    pose_found, covariance = refine_jointly(
        Pyramid.of(image),
        torch.from_numpy(MATRIX).float(),
        torch.from_numpy(pose(0.27, -0.08, 0.28, 4.2)),
        landmarks,
        matched_features(landmarks, wrong),
    )
    error = twist_error(pose_found.numpy(), QUERY)
    assert np.linalg.norm(error[:3]) < metres and np.degrees(np.linalg.norm(error[3:])) < 0.6
    assert np.isfinite(covariance.numpy()).all()


def test_what_a_mask_hides_is_no_misfit(landmarks):
    """The robot's own body covers a third of the image: landmarks behind it say nothing."""
    shown = seen_from(QUERY, WALL)
    shown[160:] = texture(3)[:80, :320]  # of the 240 rows
    valid = np.ones(shown.shape, bool)
    valid[160:] = False
    matrix = torch.from_numpy(MATRIX).float()
    covered, masked = (
        align(Pyramid.of(shown, valid=mask), matrix, torch.from_numpy(QUERY), landmarks)
        for mask in (None, valid)
    )
    assert covered.verification.inlier_ratio < 0.75
    assert masked.verification.inlier_ratio > 0.95
    assert distance(masked)[0] < 0.01
    camera_from_map = torch.from_numpy(np.linalg.inv(QUERY)).float()
    image = Pyramid.of(shown, valid=valid)
    seen = landmarks.take(
        match.visible(landmarks, camera_from_map, matrix, image.size_wh, image.mask)
    )
    pixels = match.predict(seen, camera_from_map, matrix).pixels
    assert len(seen) > 50 and float(pixels[:, 1].max()) < 160 - PATCH


def test_inliers_in_an_image_corner_confirm_nothing(landmarks):
    """A far patch fits poses that turn about it: they were half a metre and six degrees off."""
    image, matrix = Pyramid.of(seen_from(QUERY, WALL)), torch.from_numpy(MATRIX).float()
    camera_from_map = torch.from_numpy(np.linalg.inv(QUERY)).float()
    seen = landmarks.take(match.visible(landmarks, camera_from_map, matrix, image.size_wh))
    pixels = match.predict(seen, camera_from_map, matrix).pixels
    for wide, confirms in ((0.3, False), (0.8, True)):
        patch = seen.take(
            ((pixels[:, 0] < wide * SIZE_WH[0]) & (pixels[:, 1] < wide * SIZE_WH[1])).nonzero()[
                :, 0
            ]
        )
        found = verify_pose(image, patch, camera_from_map, matrix)
        assert found.score > 0.0 and found.inlier_ratio > 0.9
        assert found.visible_inlier_ratio > 0.5
        assert found.poorly_distributed != confirms


@pytest.mark.parametrize(
    'image',
    [seen_from(QUERY, texture(1)), np.full(SIZE_WH[::-1], 90, np.uint8)],
    ids=['another wall', 'nothing'],
)
def test_another_place_is_not_taken_for_this_one(landmarks, image):
    found = aligned(image, QUERY, landmarks)
    assert found is None or found.verification.visible_inlier_ratio < 0.1


def test_a_camera_that_looks_away_sees_no_landmark(landmarks):
    assert aligned(seen_from(QUERY, WALL), pose(turn_deg=180.0), landmarks) is None


def test_the_covariance_says_how_far_off_the_pose_is(landmarks):
    rng = np.random.default_rng(0)
    image = seen_from(QUERY, WALL)
    errors, expected = [], []
    for _ in range(8):
        noisy = (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)
        found = aligned(noisy, QUERY, landmarks)
        errors.append(distance(found)[0])
        expected.append(float(found.covariance[:3, :3].trace()) ** 0.5)
    assert 0.2 < np.median(errors) / np.median(expected) < 4.0


@pytest.mark.parametrize(('du', 'dv'), [(0.0, 0.0), (1.3, -0.6), (-2.0, 1.75)])
def test_a_shift_is_found_to_a_fraction_of_a_pixel(landmarks, du, dv):
    seen = landmarks.take(torch.arange(0, 200))
    start = torch.from_numpy(pose(-0.4)).float()
    exact = match.predict(seen, torch.linalg.inv(start), torch.from_numpy(MATRIX).float())
    image = Pyramid.of(seen_from(pose(-0.4), WALL))
    moved = match.Prediction(exact.pixels + torch.tensor([du, dv]), exact.warp)
    scores = match.correlate(image, 0, seen.templates, moved, 3)
    pixels, alike = match.best_match(scores, moved, 0)
    off = (pixels - exact.pixels)[alike > 0.8]
    assert len(off) > 100
    assert off.abs().median() < 0.1 and off.norm(dim=1).quantile(0.9) < 0.4


@pytest.mark.parametrize('size_wh', [(64, 48), (40, 72), (8, 8)])
def test_pyramid_levels_are_read_independently(size_wh):
    """Patches of a level equal those that cv2 reads from the image of that level alone."""
    gray = np.random.default_rng(0).integers(0, 256, size_wh[::-1]).astype(np.uint8)
    pixels = torch.tensor([[3.2, 4.7], [-5.0, 2.0], [size_wh[0] + 9.0, size_wh[1] - 1.0]])
    warp = torch.tensor([[1.1, 0.2], [-0.3, 0.9]]).expand(3, 2, 2)
    alone = gray
    for number in range(LEVELS):
        read = Pyramid.of(gray).patches(torch.full((3,), number), pixels, warp, 2)
        steps = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), -1) @ warp[0].numpy().T
        where = (pixels.numpy()[:, None, None] + steps + 0.5) / 2**number - 0.5
        expected = cv2.remap(
            alone.astype(np.float32),
            where.reshape(-1, 1, 2).astype(np.float32),
            None,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        np.testing.assert_allclose(read.numpy().ravel(), expected.ravel(), atol=5.0)
        alone = cv2.resize(
            alone,
            tuple(max(1, side // 2) for side in alone.shape[::-1]),
            interpolation=cv2.INTER_AREA,
        )


def test_correlation_is_that_of_numpy():
    generator = torch.Generator().manual_seed(0)
    windows = 50 * torch.rand(4, PATCH + 4, PATCH + 4, generator=generator)
    templates = 50 * torch.rand(4, PATCH, PATCH, generator=generator)
    scores = match.correlation(windows, templates)
    part = windows[2, 1 : 1 + PATCH, 3 : 3 + PATCH].numpy()
    truth = np.corrcoef(part.ravel(), templates[2].numpy().ravel())[0, 1]
    # a little less, for the noise that every image is taken to have
    assert scores[2, 1, 3] == pytest.approx(truth, rel=0.05)


def test_points_are_taken_from_all_over_the_image():
    generator = torch.Generator().manual_seed(0)
    crowd = torch.rand(1000, 2, generator=generator) * 40
    few = torch.rand(50, 2, generator=generator) * torch.tensor([320.0, 240])
    chosen = select_uniformly(torch.cat([crowd, few]), torch.ones(1050), SIZE_WH, 96)
    assert (chosen >= 1000).sum() > 30 and (chosen < 1000).sum() <= 4
    assert len(chosen.unique()) == len(chosen)


def test_of_one_place_the_better_points_come_first():
    pixels = torch.full((20, 2), 7.0)
    chosen = select_uniformly(pixels, torch.arange(20.0), SIZE_WH, 48 * 3)
    assert sorted(chosen.tolist()) == [17, 18, 19]


def test_reference_images_survive_the_map_file():
    before = [reference(pose(x)) for x in (0.0, 0.5)]
    after = from_tensors(to_tensors(before))
    assert len(after) == 2 and from_tensors({}) == [] and to_tensors([]) == {}
    for a, b in zip(before, after):
        assert np.abs(a.image.astype(int) - b.image).mean() < 4
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_allclose(a.depth, b.depth, rtol=1e-6)
        np.testing.assert_allclose(a.camera_from_map, b.camera_from_map)
        np.testing.assert_allclose(a.global_descriptor, b.global_descriptor)


def test_retrieval_finds_where_an_image_was_taken():
    encoder, _ = load_encoder()
    walls = {0.0: WALL, 10.0: texture(1), 20.0: texture(2)}
    references = []
    for offset, wall in walls.items():
        shown = reference(pose(), wall)
        moved = shown.camera_from_map.copy()
        moved[0, 3] -= offset
        references.append(
            ReferenceImage(
                shown.webp, MATRIX, moved, shown.pixels, shown.depth, np.ones(256, np.float32) / 16
            )
        )
    # the network sees images of half the size
    resamplers = Resamplers.to_focal(MATRIX[0, 0] / 2, 64, 480)
    landmarks = landmarks_of(references)
    database = ReferenceDatabase(references, landmarks, encoder, resamplers)
    query = seen_from(pose(0.2, 0.1, 0.2), walls[10.0])
    with torch.no_grad():
        half = resamplers(references[0].camera)
        seen = as_input(half(query), 'cpu')
        descriptors = encoder(seen)
    cells = (cell_centres(half.size_wh) - half.matrix[:2, 2]) * 2 + MATRIX[:2, 2]
    apart, together = database.retrieve(
        seen,
        descriptors,
        torch.from_numpy(cells).float(),
        torch.from_numpy(MATRIX),
        torch.ones(len(cells)) > 0,
    )
    estimate = estimate_pose(together, RansacConfig())
    error = np.linalg.norm(estimate.world_from_camera[0, :3, 3].numpy() - [10.2, 0.1, 0.2])
    assert error < 0.3
    each = estimate_pose(apart, RansacConfig())
    best = each.only(int(each.inlier_count.argmax()))
    assert apart.points_world.shape[0] == 3 and best.found.shape == (1,)
    assert np.linalg.norm(best.world_from_camera[0, :3, 3].numpy() - [10.2, 0.1, 0.2]) < 0.3
    aligned = []
    found = Aligner(landmarks, 2.0).search(
        Pyramid.of(query), torch.from_numpy(MATRIX).float(), [estimate], aligned
    )
    assert aligned == [found]
    assert found.verification.visible_inlier_ratio > SearchConfig.accepted_ratio
    assert np.linalg.norm(found.world_from_camera[:3, 3].numpy() - [10.2, 0.1, 0.2]) < 0.01
