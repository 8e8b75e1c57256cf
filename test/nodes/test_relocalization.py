# SPDX-License-Identifier: Apache-2.0
"""One image to a pose in the map, without a graph."""

from __future__ import annotations

import numpy as np
import pytest
from robot import BASE_FROM_CAMERA, camera_info, texture

from dsac_ros.geometry.covariance import is_covariance
from dsac_ros.nodes import conversions
from dsac_ros.nodes.camera_setup import CameraSetup
from dsac_ros.nodes.camera_subscriber import StampedImage
from dsac_ros.nodes.relocalization import Relocalization, base_covariance
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.transforms import TransformUnavailable
from dsac_ros.trace import Trace
from dsac_ros.types import Localization, Result

NOW = 1_700_000_000_000_000_000


def values(**changed):
    return RelocalizerParameters(**changed)


class FixedTransforms:
    """TF that knows one camera."""

    def optical_frame(self, image_frame, given):
        return given or image_frame

    def lookup(self, target, source, stamp, limits=None):
        if target != 'camera':
            raise TransformUnavailable(f'no transform {target} <- {source}')
        return np.linalg.inv(BASE_FROM_CAMERA)


class FixedLocalizer:
    """Always in the same place, or always broken."""

    def __init__(self, pose=None, covariance=None, refinement=None):
        self.pose, self.covariance, self.refinement = pose, covariance, refinement

    def trace(self, frame):
        if self.pose is None:
            raise RuntimeError('CUDA out of memory')
        return Trace(
            Localization(
                Result.ACCEPTED,
                stamp_ns=frame.stamp_ns,
                world_from_camera=self.pose,
                covariance=self.covariance,
                refinement_covariance=self.refinement,
            )
        )


def stamped_image(frame_id='camera', stamp=NOW, setup=CameraSetup()):
    head = conversions.header(frame_id, stamp)
    return StampedImage(conversions.image_message(texture(0), head), camera_info(), setup=setup)


def answer(localizer, frame_id='camera', setup=CameraSetup(), **changed):
    relocalization = Relocalization(localizer, values(**changed), FixedTransforms())
    return relocalization.process(stamped_image(frame_id, setup=setup), NOW)


POSE = conversions.matrix_from_xyz_rpy([1.0, 2.0, 3.0, 0.1, -0.2, 0.3])


def test_the_base_comes_through_tf():
    found = answer(FixedLocalizer(POSE))
    assert np.allclose(found.map_from_base, POSE @ np.linalg.inv(BASE_FROM_CAMERA))
    assert np.allclose(found.map_from_camera, POSE)


@pytest.mark.parametrize(
    ('info_frame', 'camera_frame', 'reason'),
    [
        (
            'depth',
            '',
            "camera_info is of another camera, its frame_id is 'depth' and that of the "
            "images is 'camera': remap camera_info to that of the images, or set camera_frame to 'depth'",
        ),
        ('depth', 'lens', 'remap camera_info'),
        ('depth', 'depth', ''),
        ('camera', '', ''),
        ('/camera', '', ''),
        ('', '', ''),
    ],
)
def test_camera_info_of_another_camera(info_frame, camera_frame, reason):
    shown = stamped_image(setup=CameraSetup(camera_frame=camera_frame))
    shown.info.header.frame_id = info_frame
    found = Relocalization(FixedLocalizer(POSE), values(base_frame=''), FixedTransforms()).process(
        shown, NOW
    )
    assert reason in found.localization.reason
    assert found.localization.result == (Result.NO_CAMERA_INFO if reason else Result.ACCEPTED)


def test_reason_of_no_camera_info_is_from_the_watch():
    shown = StampedImage(stamped_image().image, None, 'nobody publishes it')
    found = Relocalization(FixedLocalizer(POSE), values(), FixedTransforms()).process(shown, NOW)
    assert found.localization.result == Result.NO_CAMERA_INFO
    assert found.localization.reason == 'nobody publishes it'


def test_without_a_base_frame_the_camera_is_the_base():
    found = answer(FixedLocalizer(POSE), frame_id='unheard of', base_frame='')
    assert np.allclose(found.map_from_base, POSE)


def test_camera_frame_stands_above_the_header():
    found = answer(
        FixedLocalizer(POSE), frame_id='wrong', setup=CameraSetup(camera_frame='camera')
    )
    assert found.localization.accepted and found.camera_frame == 'camera'


def test_alignment_moves_the_scene_into_the_map():
    found = answer(FixedLocalizer(POSE), map_alignment=[10.0, 0, 0, 0, 0, np.pi / 2])
    assert np.allclose(found.map_from_camera[:3, 3], [10.0 - 2.0, 1.0, 3.0])


def test_a_fault_of_ours_is_a_result():
    found = answer(FixedLocalizer())
    assert found.localization.result == Result.ERROR
    assert 'RuntimeError: CUDA out of memory' in found.localization.reason
    assert found.map_from_camera is None


def test_unknown_transform():
    found = answer(FixedLocalizer(POSE), frame_id='nowhere')
    assert found.localization.result == Result.TF_UNAVAILABLE
    assert found.map_from_camera is not None and found.map_from_base is None


def test_covariance_of_the_base_grows_with_the_lever():
    covariance = np.diag([1e-4, 1e-4, 1e-4, 1e-3, 1e-3, 1e-3])
    loose = values(std_xy=0.0, std_z=0.0, std_roll_pitch_deg=0.0, std_yaw_deg=0.0)
    moved = base_covariance(covariance, np.eye(4), np.array([2.0, 0, 0]), loose)
    assert moved[1, 1] == pytest.approx(1e-4 + 4e-3) and moved[0, 0] == pytest.approx(1e-4)
    assert is_covariance(moved)


@pytest.mark.parametrize('covariance', [None, np.full((6, 6), np.nan), -np.eye(6) * 1e3])
def test_a_covariance_that_is_none_gives_the_floors(covariance):
    safe = base_covariance(covariance, np.eye(4), np.zeros(3), values())
    assert is_covariance(safe)
    assert np.allclose(np.sqrt(np.diag(safe)), [0.05, 0.05, 0.05, *np.radians([1, 1, 1])])


@pytest.mark.parametrize(
    ('mode', 'sigma'), [('calibrated', 0.4), ('gauss_newton', 0.1), ('constant', 0.05)]
)
def test_covariance_mode(mode, sigma):
    localizer = FixedLocalizer(POSE, 0.16 * np.eye(6), 0.01 * np.eye(6))
    found = answer(localizer, base_frame='', covariance_mode=mode)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(sigma)


def test_constant_covariance():
    constant = base_covariance(
        np.eye(6), np.eye(4), np.ones(3), values(covariance_mode='constant', std_xy=0.2)
    )
    assert np.sqrt(constant[0, 0]) == pytest.approx(0.2) and constant[0, 4] == 0.0
