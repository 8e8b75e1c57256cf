# SPDX-License-Identifier: Apache-2.0
"""One image message to a pose in the map: every way it can fail becomes a result, not an error."""
from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from dsac_ros.errors import CameraError, ImageError
from dsac_ros.geometry.camera import check_image_matches
from dsac_ros.geometry.covariance import (
    covariance_at,
    inflated_covariance,
    is_covariance,
    rotated_covariance,
)
from dsac_ros.geometry.half_turn import UPRIGHT_FROM_CAMERA, upright
from dsac_ros.localizer import Localizer
from dsac_ros.nodes.conversions import (
    camera_from_info,
    image_from_message,
    matrix_from_xyz_rpy,
)
from dsac_ros.nodes.intake import Shot
from dsac_ros.nodes.paths import user_path
from dsac_ros.nodes.relocalizer_parameters import accept_config, ransac_config
from dsac_ros.nodes.sample_times import Limits
from dsac_ros.nodes.stamps import StampCheck
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable
from dsac_ros.sources.camera_info import frame_difference
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.types import Camera, Frame, Localization, Result

#: Results that say that the frame itself was of no use.
BAD_FRAME = (Result.NO_CAMERA_INFO, Result.BAD_IMAGE, Result.STALE, Result.ERROR,
             Result.BAD_INTRINSICS)


class Refused(Exception):
    """The frame cannot be localized; carries the result beside the reason."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.result = result


@dataclass(frozen=True)
class Answer:
    """What became of one image.

    map_from_camera and map_from_base (4, 4) stand only where the pose is trusted; the latter is
    None when TF could not say where the camera sits on the robot (result TF_UNAVAILABLE).
    covariance (6, 6) is that of the base. view holds what debug outputs draw: the frame, the
    scene coordinates and the estimate.
    """

    localization: Localization
    stamp: int
    camera_frame: str
    map_from_camera: np.ndarray | None = None
    map_from_base: np.ndarray | None = None
    covariance: np.ndarray | None = None
    view: tuple | None = None


def load_localizer(path: str, values: SimpleNamespace) -> Localizer:
    """The localizer that the parameters describe; DsacError when the map cannot be used."""
    localizer = Localizer.load(user_path(path), device=values.device,
                               ransac=ransac_config(values), accept=accept_config(values))
    if values.warmup:
        localizer.warm_up()
        side = int(localizer.map.header['short_side'])
        size_wh = (side * 4 // 3, side)
        centre = [(size - 1) / 2 for size in size_wh]
        camera = Camera(size_wh, np.array([[side, 0, centre[0]], [0, side, centre[1]],
                                           [0, 0, 1.0]]))
        noise = np.random.default_rng(0).integers(0, 255, (side, size_wh[0]), dtype=np.uint8)
        localizer.localize(Frame(noise, camera))
    return localizer


class Relocalization:
    """Holds the localizer in use; `answer` runs in the worker thread."""

    def __init__(self, localizer: Localizer, values: SimpleNamespace, transforms: Transforms,
                 rectified: bool) -> None:
        self.localizer, self.values = localizer, values
        self._transforms, self._rectified = transforms, rectified
        self._stamps = StampCheck()

    def answer(self, shot: Shot, now: int) -> Answer:
        """Everything about one image; `now` [ns] is the time of the node's clock."""
        values, localizer = self.values, self.localizer
        stamp = stamp_ns(shot.image.header.stamp)
        camera_frame = values.camera_frame or shot.image.header.frame_id
        view = None
        try:
            reason = self._stamps.reason_against(stamp, now, values.max_image_age)
            if reason:
                raise Refused(Result.STALE, reason)
            frame = frame_from_shot(shot, self._rectified, values.rotate_180,
                                    values.camera_frame)
            trace = localizer.trace(frame)
            localization = trace.localization
            view = (frame, trace.correspondences, trace.estimate)
        except Refused as refusal:
            localization = Localization(refusal.result, str(refusal), stamp)
        except Exception as error:   # a fault of ours must not end the robot's eyes
            localization = Localization(Result.ERROR, f'{type(error).__name__}: {error}; '
                                        f'{traceback.format_exc(limit=-1).splitlines()[1]}', stamp)
        answer = Answer(localization, stamp, camera_frame, view=view)
        return self._with_poses(answer, values) if localization.accepted else answer

    def _with_poses(self, answer: Answer, values: SimpleNamespace) -> Answer:
        """The accepted pose carried to the map frame and to the base of the robot."""
        map_from_world = matrix_from_xyz_rpy(values.map_alignment)
        map_from_camera = map_from_world @ answer.localization.world_from_camera
        if values.rotate_180:
            map_from_camera = map_from_camera @ UPRIGHT_FROM_CAMERA
        answer = replace(answer, map_from_camera=map_from_camera)
        camera_from_base = np.eye(4)
        if values.base_frame:
            try:
                camera_frame = self._transforms.optical(answer.camera_frame, values.camera_frame)
                camera_from_base = self._transforms.lookup(
                    camera_frame, values.base_frame, answer.stamp,
                    Limits(values.tf_lookup_timeout, 'tf_lookup_timeout'))
            except TransformUnavailable as error:
                localization = replace(answer.localization, result=Result.TF_UNAVAILABLE,
                                       reason=str(error))
                return replace(answer, localization=localization)
        map_from_base = map_from_camera @ camera_from_base
        covariance = base_covariance(answer.localization.covariance, map_from_world,
                                     map_from_base[:3, 3] - map_from_camera[:3, 3], values)
        return replace(answer, map_from_base=map_from_base, covariance=covariance)


def frame_from_shot(shot: Shot, rectified: bool, half_turn: bool, camera_frame: str) -> Frame:
    """The frame in the messages, or Refused with the reason.

    camera_frame is the parameter: the optical frame of the camera, '' where the image says it.
    """
    if shot.info is None:
        raise Refused(Result.NO_CAMERA_INFO, shot.no_info)
    reason = other_camera(shot.info.header.frame_id, shot.image.header.frame_id, camera_frame)
    if reason:
        raise Refused(Result.NO_CAMERA_INFO, reason)
    try:
        image = image_from_message(shot.image)
    except ImageError as error:
        raise Refused(Result.BAD_IMAGE, str(error)) from None
    try:
        camera = camera_from_info(shot.info, image, rectified)
    except CameraError as error:
        raise Refused(Result.NO_CAMERA_INFO, str(error)) from None
    try:
        check_image_matches(camera, image)
    except CameraError as error:
        raise Refused(Result.BAD_IMAGE, str(error)) from None
    frame = Frame(image, camera, stamp_ns(shot.image.header.stamp))
    return upright(frame) if half_turn else frame


def other_camera(info_frame: str, image_frame: str, camera_frame: str) -> str:
    """Why a camera_info is not that of the image, by their frames; '' where it may be."""
    difference = frame_difference(info_frame, image_frame)
    if not difference or info_frame.lstrip('/') == camera_frame:
        return ''
    return (f'camera_info is of another camera, {difference}: remap camera_info to that of the '
            f'images, or set camera_frame to {info_frame} if both are of one camera')


def base_covariance(covariance: np.ndarray | None, map_from_world: np.ndarray,
                    lever_map: np.ndarray, values: Any) -> np.ndarray:
    """Covariance (6, 6) of the base in the map: rotated, carried along the lever, inflated.

    What is not positive semidefinite by then is replaced by the floors: never zero, never false.
    """
    angles = np.radians([values.std_roll_pitch_deg, values.std_roll_pitch_deg, values.std_yaw_deg])
    floors = np.array([values.std_xy, values.std_xy, values.std_z, *angles])
    constant = np.diag(np.maximum(floors, 1e-6) ** 2)
    if values.covariance_mode == 'constant' or covariance is None:
        return constant
    turned = rotated_covariance(covariance, map_from_world[:3, :3])
    inflated = inflated_covariance(covariance_at(turned, lever_map), values.covariance_scale,
                                   floors)
    return inflated if is_covariance(inflated) else constant
