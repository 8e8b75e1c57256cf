# SPDX-License-Identifier: Apache-2.0
"""localizer.py: what goes into a localization, and what comes out where there is none."""

from __future__ import annotations

import copy
import re
from dataclasses import replace

import numpy as np
import pytest

from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.corroboration import has_twin
from dsac_ros.geometry.resample import MAX_RESAMPLERS
from dsac_ros.localizer import Localizer
from dsac_ros.map_file import load_map
from dsac_ros.metrics import twist_error
from dsac_ros.types import Camera, Result

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def localizer(tiny_map):
    return Localizer(load_map(tiny_map.map), 'cpu')


def test_a_covered_lens_is_a_reason_and_no_pose(localizer, tiny_map):
    frame = tiny_map.queries[0].frame
    found = localizer.localize(
        replace(frame, image=np.full_like(frame.image, 40), stamp_ns=5, name='covered')
    )
    assert found.result is Result.BAD_IMAGE and 'no contrast' in found.reason
    assert found.world_from_camera is None and found.covariance is None
    assert (found.stamp_ns, found.name) == (5, 'covered')


def test_what_the_mask_hides_is_no_correspondence(localizer, tiny_map):
    frame = tiny_map.queries[0].frame
    height, width = frame.image.shape[:2]
    mask = np.ones((height, width), bool)
    mask[:, : width // 2] = False
    whole, half = (localizer.trace(f).correspondences for f in (frame, replace(frame, mask=mask)))
    assert whole.valid.all()
    grid = half.valid.reshape(half.grid_hw)
    columns = half.grid_hw[1] // 2
    assert not grid[:, :columns].any() and grid[:, columns:].all()


def test_what_stands_behind_the_mask_is_not_used(localizer, tiny_map):
    """The robot's own body in the picture: any body gives the same pose, and a good one."""
    posed = tiny_map.queries[0]
    frame = posed.frame
    mask = np.ones(frame.image.shape[:2], bool)
    mask[-frame.image.shape[0] // 4 :] = False
    rng = np.random.default_rng(0)
    found = []
    for body in (0, 255, rng.integers(0, 255, frame.image[~mask].shape)):
        image = frame.image.copy()
        image[~mask] = body
        found.append(localizer.localize(replace(frame, image=image, mask=mask)))
    assert found[0].accepted, found[0].reason
    for other in found[1:]:
        assert np.array_equal(other.world_from_camera, found[0].world_from_camera)
        assert other.statistics == found[0].statistics
    free = localizer.localize(frame).statistics.visible_inlier_ratio
    assert found[0].statistics.visible_inlier_ratio > 0.9 * free


@pytest.mark.parametrize(
    ('rows', 'reason'),
    [(1, 'the mask leaves 0.'), (120, 'no contrast')],
    ids=['all hidden', 'all but a bare wall'],
)
def test_a_mask_that_leaves_nothing_is_a_reason(localizer, tiny_map, rows, reason):
    frame = tiny_map.queries[0].frame
    mask = np.zeros(frame.image.shape[:2], bool)
    mask[:rows] = True
    image = frame.image.copy()
    image[mask] = 90
    found = localizer.localize(replace(frame, image=image, mask=mask))
    assert found.result is Result.BAD_IMAGE and reason in found.reason


def test_a_far_focal_length_is_named_in_a_refusal(tiny_map):
    """Binning that camera_info does not know of: twice the focal length at the same size."""
    strict = Localizer(load_map(tiny_map.map), 'cpu', accept=AcceptConfig(min_inliers=10**6))
    strict.acceptance = replace(
        strict.acceptance, min_visible_inlier_ratio=1.0, min_feature_inliers=10**6
    )
    frame = tiny_map.queries[0].frame
    low, _ = strict.map.header['focal_range_px']
    assert 'is camera_info right' not in strict.localize(frame).reason
    camera = frame.camera
    matrix = camera.matrix * [[2.0, 1, 1], [1, 2.0, 1], [1, 1, 1]]
    reason = strict.localize(replace(frame, camera=replace(camera, matrix=matrix))).reason
    given = matrix[0, 0] * strict.map.header['short_side'] / min(camera.size_wh)
    assert f'learned with f = {low:.0f}' in reason and f'this camera has {given:.0f} px' in reason


def test_depth_takes_part_where_the_frame_has_it(localizer, tiny_map):
    frame = tiny_map.queries[0].frame
    depth = np.zeros(frame.image.shape[:2], np.float32)
    depth[:120] = 1.5
    scene = localizer.trace(replace(frame, depth=depth)).correspondences
    measured = scene.depth.reshape(scene.grid_hw)
    rows = scene.grid_hw[0] // 2
    assert (measured[:rows] == 1.5).all() and not measured[rows:].any()
    assert localizer.trace(replace(frame, depth=None)).correspondences.depth is None


def test_a_world_pose_guess_becomes_a_hypothesis(tiny_map):
    """One hypothesis alone would hardly ever do; the guess is one more."""
    few = Localizer(
        replace(load_map(tiny_map.map), reference_images=(), points=None),
        'cpu',
        RansacConfig(hypotheses=1, screened=1, rescored=1, refined=1),
    )
    errors = np.array(
        [
            [
                np.linalg.norm(twist_error(found.world_from_camera, truth)[:3])
                if found.world_from_camera is not None
                else np.inf
                for found in (few.localize(frame), few.localize(frame, truth))
            ]
            for frame, truth in ((p.frame, p.world_from_camera) for p in tiny_map.queries)
        ]
    )
    # a quarter of a metre is what so short a training is good for
    assert np.median(errors[:, 1]) < 0.4 and errors[:, 0].max() > 0.5, errors
    assert few.map.origin.any()


def test_new_settings_share_what_is_cached(localizer):
    changed = localizer.with_settings(RansacConfig(hypotheses=123), AcceptConfig(min_inliers=77))
    assert changed.database is localizer.database and changed.map is localizer.map
    assert changed.budgets.full.hypotheses == 123 > changed.budgets.screening.hypotheses
    assert localizer.budgets.full == RansacConfig()
    assert localizer.acceptance != changed.acceptance
    assert changed.acceptance.min_inliers == 77


def test_retrieval_answers_without_scene_coordinates(localizer, tiny_map):
    """A head that puts every cell in the same point leaves RANSAC without a pose."""
    network = copy.deepcopy(localizer.network)
    for part in (network.head.experts.point.weight, network.head.experts.point.bias):
        part.zero_()
    blind = Localizer(replace(localizer.map, network=network), 'cpu')
    found = [blind.trace(posed.frame) for posed in tiny_map.queries]
    assert not any(one.estimate.found[0] for one in found)
    right = [
        np.linalg.norm(twist_error(one.world_from_camera, posed.world_from_camera)[:3]) < 0.1
        for one, posed in zip((trace.localization for trace in found), tiny_map.queries)
        if one.accepted
    ]
    assert len(right) >= len(found) // 2 and all(right)


def test_features_answer_where_landmarks_do_not_verify(localizer, tiny_map):
    """And where they may not either, the scene coordinates are what is judged."""
    hard = {'min_visible_inlier_ratio': 1.0, 'min_inliers': 10**6}
    by_features = localizer.with_settings(RansacConfig(), AcceptConfig(**hard))
    found = [by_features.localize(posed.frame) for posed in tiny_map.queries]
    right = [
        np.linalg.norm(twist_error(one.world_from_camera, posed.world_from_camera)[:3]) < 0.3
        for one, posed in zip(found, tiny_map.queries)
        if one.accepted
    ]
    assert len(right) >= len(found) // 2 and all(right)
    assert all(one.accepted == (one.statistics.feature_inliers >= 12) for one in found)
    nothing = localizer.with_settings(
        RansacConfig(), AcceptConfig(**hard, min_feature_inliers=10**6)
    )
    refused = nothing.localize(tiny_map.queries[0].frame)
    assert refused.result is Result.LOW_INLIERS and 'features' in refused.reason
    alone = Localizer(replace(localizer.map, reference_images=(), points=None), 'cpu')
    assert (
        refused.statistics.inlier_count
        == alone.localize(tiny_map.queries[0].frame).statistics.inlier_count
    )


def test_few_features_refine_a_landmark_verified_pose(localizer, tiny_map, monkeypatch):
    """Features too few to verify a pose make one precise that landmarks verify."""
    header = localizer.map.header
    asking = Localizer(
        replace(
            localizer.map,
            header={
                **header,
                'acceptance': {
                    **header['acceptance'],
                    'clear_ratio': 2.0,
                    'min_feature_inliers': 10**6,
                },
            },
        ),
        'cpu',
    )
    refined, jointly = [], asking.aligner.refine_jointly

    def recorded(*arguments):
        refined.append(arguments)
        return jointly(*arguments)

    monkeypatch.setattr(asking.aligner, 'refine_jointly', recorded)
    errors = [
        np.linalg.norm(twist_error(found.world_from_camera, posed.world_from_camera)[:3])
        for posed in tiny_map.queries
        if (found := asking.localize(posed.frame)).accepted
    ]
    assert len(refined) >= len(tiny_map.queries) // 2
    assert len(errors) >= len(refined) and max(errors) < 0.1


def test_corner_landmarks_need_scene_coordinates(localizer, tiny_map, monkeypatch):
    """Landmarks in a corner count only beside scene coordinates that are accepted."""
    frame, truth = tiny_map.queries[1].frame, tiny_map.queries[1].world_from_camera
    search = localizer.aligner.search

    def in_a_corner(*arguments):
        found = search(*arguments)
        return (
            None
            if found is None
            else replace(found, verification=replace(found.verification, poorly_distributed=True))
        )

    monkeypatch.setattr(localizer.aligner, 'search', in_a_corner)
    monkeypatch.setattr('dsac_ros.decision.SAME_VIEW', 0.5)  # a minute's map is coarse
    trusting = AcceptConfig(
        min_inlier_ratio=0.0,
        min_inliers=0,
        min_spread=0.0,
        min_agreement=0.0,
        min_feature_inliers=10**6,
        max_position_sigma=0.0,
    )
    doubting = AcceptConfig(min_inlier_ratio=1.0, min_feature_inliers=10**6)
    alone = Localizer(
        replace(localizer.map, reference_images=(), points=None), 'cpu', accept=trusting
    )
    near, refused = (
        localizer.with_settings(RansacConfig(), accept).localize(frame)
        for accept in (trusting, doubting)
    )
    assert near.accepted and near.statistics.visible_inlier_ratio == 0.0
    errors = [
        np.linalg.norm(twist_error(found.world_from_camera, truth)[:3])
        for found in (near, alone.localize(frame))
    ]
    assert errors[0] < 0.5 * errors[1], 'the aligned pose is the better one'
    assert refused.result is Result.LOW_INLIERS


def test_no_retrieval_beyond_the_allowed_latency(localizer, tiny_map):
    hard = {'min_visible_inlier_ratio': 1.0, 'min_inliers': 10**6, 'min_feature_inliers': 10**6}
    frame = replace(
        tiny_map.queries[0].frame,
        image=np.random.default_rng(0).integers(
            0, 255, tiny_map.queries[0].frame.image.shape, dtype=np.uint8
        ),
    )
    patient, hasty = (
        localizer.with_settings(
            RansacConfig(), AcceptConfig(max_latency_ms=allowed, **hard)
        ).localize(frame)
        for allowed in (0.0, 0.001)
    )
    assert 'retrieval' in patient.timings_ms and 'retrieval' not in hasty.timings_ms
    assert not patient.accepted and not hasty.accepted


def test_a_position_that_is_not_determined_is_refused(localizer, tiny_map):
    frame = tiny_map.queries[0].frame
    strict = localizer.with_settings(RansacConfig(), AcceptConfig(max_position_sigma=1e-6))
    usual, refused = localizer.localize(frame), strict.localize(frame)
    assert usual.accepted and refused.result is Result.POSITION_UNDETERMINED
    assert 'the rotation is x y z w = ' in refused.reason
    np.testing.assert_array_equal(refused.world_from_camera, usual.world_from_camera)


def test_features_alone_localize_when_asked_first(localizer, tiny_map):
    acceptance = {**localizer.map.header['acceptance'], 'features_first': True}
    first = Localizer(
        replace(localizer.map, header={**localizer.map.header, 'acceptance': acceptance}), 'cpu'
    )
    traces = [first.trace(posed.frame) for posed in tiny_map.queries]
    by_features = [one for one in traces if 'network' not in one.localization.timings_ms]
    assert len(by_features) >= len(traces) // 2
    for one in by_features:
        found, scene, estimate = one.localization, one.correspondences, one.estimate
        assert found.accepted
        assert found.statistics.inlier_count == 0 < found.statistics.feature_inliers
        assert scene.valid.sum() >= estimate.inliers.sum() > 0.5 * found.statistics.feature_inliers
    scene, estimate = first.scene_coordinates(tiny_map.queries[0].frame)
    assert scene.grid_hw[0] > 1 and bool(estimate.found)


def with_focal(frame, factor):
    matrix = frame.camera.matrix * np.array([[factor, 1, 1], [1, factor, 1], [1, 1, 1]])
    return replace(frame, camera=replace(frame.camera, matrix=matrix))


@pytest.mark.parametrize('factor', (0.5, 2.0))
def test_a_wrong_focal_length_is_refused(tiny_map, factor):
    localizer = Localizer(load_map(tiny_map.map), 'cpu')
    found = [
        localizer.localize(with_focal(posed.frame, factor)) for posed in tiny_map.queries[::2]
    ]
    given = factor * tiny_map.queries[0].frame.camera.matrix[0, 0]
    refused = [one for one in found if one.result is Result.BAD_INTRINSICS]
    assert refused and not any(one.accepted for one in found)
    assert all(f'the calibration says {given:.0f} px' in one.reason for one in refused)
    fitted = np.median([float(re.search(r'f = (\d+) px', one.reason)[1]) for one in refused])
    assert fitted == pytest.approx(given / factor, rel=0.1)


def test_the_right_focal_length_is_not_refused(tiny_map):
    tested, untested = (
        Localizer(load_map(tiny_map.map), 'cpu', accept=accept)
        for accept in (AcceptConfig(), AcceptConfig(max_focal_error=0.0))
    )
    found = [
        [one.localize(posed.frame).result for posed in tiny_map.queries[::2]]
        for one in (tested, untested)
    ]
    assert found[0] == found[1] and Result.ACCEPTED in found[0]


def test_cameras_come_and_go_without_end(localizer, tiny_map):
    frame = tiny_map.queries[0].frame
    for k in range(MAX_RESAMPLERS + 3):
        matrix = frame.camera.matrix.copy()
        matrix[0, 0] += 0.01 * k
        localizer.localize(replace(frame, camera=Camera(frame.camera.size_wh, matrix)))
    assert len(localizer.resamplers) == MAX_RESAMPLERS


def test_candidates_begin_with_the_answer(localizer, tiny_map):
    posed = tiny_map.queries[0]
    trace = localizer.trace(posed.frame)
    assert len(trace.candidates) > 1  # the answer, and what was aligned or found before
    np.testing.assert_array_equal(trace.candidates[0], trace.localization.world_from_camera)
    for candidate in trace.candidates:
        assert np.linalg.norm(twist_error(candidate, posed.world_from_camera)[:3]) < 0.5


def test_a_refused_frame_still_has_candidates(tiny_map):
    strict = Localizer(
        load_map(tiny_map.map),
        'cpu',
        accept=AcceptConfig(
            min_visible_inlier_ratio=1.1, min_feature_inliers=10_000, min_inlier_ratio=1.1
        ),
    )
    trace = strict.trace(tiny_map.queries[0].frame)
    assert not trace.localization.accepted and trace.candidates
    assert trace.localization.confidence <= 0.5
    usual = Localizer(load_map(tiny_map.map), 'cpu').localize(tiny_map.queries[0].frame)
    assert usual.accepted and usual.confidence > 0.8


@pytest.fixture(scope='module')
def twin(tiny_map):
    """The map of a place whose views are all said to have a twin."""
    loaded = load_map(tiny_map.map)
    views = range(int(loaded.points.view.max()) + 1)
    return Localizer(replace(loaded, header={**loaded.header, 'twin_views': list(views)}), 'cpu')


def test_a_place_with_a_twin_is_ambiguous(twin, tiny_map):
    found = [twin.localize(query.frame) for query in tiny_map.queries]
    assert {one.result for one in found} >= {Result.AMBIGUOUS}
    assert not any(one.accepted for one in found)
    told = next(one for one in found if one.result is Result.AMBIGUOUS)
    assert 'twin' in told.reason and told.confidence <= 0.5
    asked = twin.with_settings(RansacConfig(), AcceptConfig(refuse_twins=False))
    assert any(asked.localize(query.frame).accepted for query in tiny_map.queries)


def test_a_guess_tells_twins_apart(twin, localizer, tiny_map):
    accepted = [q for q in tiny_map.queries if localizer.localize(q.frame).accepted]
    assert accepted
    for query in accepted:
        assert twin.localize(query.frame, query.world_from_camera).accepted
        elsewhere = query.world_from_camera.copy()
        elsewhere[:3, 3] += 9.0 * twin.depth
        assert twin.localize(query.frame, elsewhere).result is Result.AMBIGUOUS


def test_the_recovery_hears_of_twins(twin, localizer, tiny_map):
    query = next(q for q in tiny_map.queries if localizer.localize(q.frame).accepted)
    pose = localizer.localize(query.frame).world_from_camera
    assert has_twin(twin, query.frame, pose)
    assert not has_twin(localizer, query.frame, pose)


def test_a_place_of_its_own_has_no_twin(localizer):
    assert localizer.map.header['twin_views'] == []
