# SPDX-License-Identifier: Apache-2.0
"""Localization of one image message; every failure is a result with a reason, not an exception."""

from __future__ import annotations

import traceback
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from dsac_ros.corroboration import has_twin
from dsac_ros.decision import refused
from dsac_ros.errors import CameraError
from dsac_ros.geometry.covariance import (
    covariance_at,
    inflated_covariance,
    is_covariance,
    rotated_covariance,
)
from dsac_ros.geometry.half_turn import UPRIGHT_FROM_CAMERA
from dsac_ros.localizer import Localizer
from dsac_ros.nodes.answering_map import answering_frame, answering_system
from dsac_ros.nodes.camera_subscriber import StampedImage
from dsac_ros.nodes.conversions import (
    matrix_from_xyz_rpy,
)
from dsac_ros.nodes.frame_messages import FrameRejected, frame_from_message
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.sample_times import Limits
from dsac_ros.nodes.stamps import StampCheck
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.systems.system import System
from dsac_ros.trace import Trace
from dsac_ros.types import Frame, Localization, Result

#: Results of frames that could not be processed.
BAD_FRAME = (
    Result.NO_CAMERA_INFO,
    Result.BAD_IMAGE,
    Result.STALE,
    Result.ERROR,
    Result.BAD_INTRINSICS,
)


@dataclass(frozen=True)
class DebugView:
    """A processed image and what its pose was made of."""

    frame: Frame
    trace: Trace


@dataclass(frozen=True)
class NodeOutput:
    """The output of the node for one image.

    Attributes:
        localization: result of the localizer.
        stamp: of the image [ns].
        camera_frame: optical frame of the camera.
        map_from_camera: (4, 4) if the pose is accepted.
        map_from_base: (4, 4) if the pose is accepted and TF knows the camera's pose on the robot;
            None while TF may still tell it, otherwise the result is TF_UNAVAILABLE.
        covariance: (6, 6) of the base.
        view: data for the debug outputs.
        published: poses and status are out already, before odometry was known.
        camera: name of the camera in parameter `cameras`; '' for the only one.
        given_camera_frame: camera_frame if a parameter says it, and TF is not asked; else ''.
        map_frame: of the poses, in a map set whose maps have several frames; else ''.
    """

    localization: Localization
    stamp: int
    camera_frame: str
    map_from_camera: np.ndarray | None = None
    map_from_base: np.ndarray | None = None
    covariance: np.ndarray | None = None
    view: DebugView | None = None
    published: bool = False
    camera: str = ''
    given_camera_frame: str = ''
    map_frame: str = ''

    @property
    def lacks_base(self) -> bool:
        """True while an accepted pose waits for TF from the camera to the base."""
        return self.localization.accepted and self.map_from_base is None


class Relocalization:
    """Holds the current localizer; `process` runs in the worker thread."""

    def __init__(
        self,
        localizer: System,
        values: RelocalizerParameters,
        transforms: Transforms,
    ) -> None:
        self.localizer, self.values = localizer, values
        self._transforms = transforms
        # Of each camera: their images come in any order.
        self._stamps: defaultdict[str, StampCheck] = defaultdict(StampCheck)

    def forget_stamps(self) -> None:
        """Accept stamps older than the last: time jumped back."""
        self._stamps.clear()

    def process(self, stamped_image: StampedImage, now: int) -> NodeOutput:
        """Localize one image; `now` [ns] is the time of the node's clock."""
        values, localizer = self.values, self.localizer
        stamp = stamp_ns(stamped_image.image.header.stamp)
        setup = stamped_image.setup
        camera_frame = setup.camera_frame or stamped_image.image.header.frame_id
        view = None
        try:
            reason = self._stamps[setup.name].reason_against(stamp, now, values.max_image_age)
            if reason:
                raise FrameRejected(Result.STALE, reason)
            frame = frame_from_message(stamped_image, values.rotate_180)
            trace = localizer.trace(frame)
            localization = trace.localization
            view = DebugView(frame, trace)
        except FrameRejected as rejection:
            localization = Localization(rejection.result, str(rejection), stamp)
        except CameraError as error:  # a lens model that leaves no image
            localization = Localization(Result.NO_CAMERA_INFO, str(error), stamp)
        except Exception as error:  # an internal error must not stop the node
            localization = Localization(
                Result.ERROR,
                f'{type(error).__name__}: {error}; '
                f'{traceback.format_exc(limit=-1).splitlines()[1]}',
                stamp,
            )
        output = NodeOutput(
            localization,
            stamp,
            camera_frame,
            view=view,
            camera=setup.name,
            given_camera_frame=setup.camera_frame,
            map_frame=answering_frame(localizer, localization, values.map_frame),
        )
        return self.placed(output) if localization.accepted else output

    def without_twin(self, output: NodeOutput) -> NodeOutput:
        """Refuse an accepted pose as AMBIGUOUS if another place of the map fits its image, too."""
        found = output.localization
        assert output.view is not None and found.world_from_camera is not None
        localizer = answering_system(self.localizer, found)
        if not isinstance(localizer, Localizer) or not has_twin(
            localizer, output.view.frame, found.world_from_camera
        ):
            return output
        reason = 'another place of the map fits the image as well, and nothing else tells which'
        return replace(
            output,
            localization=refused(found, Result.AMBIGUOUS, reason),
            map_from_camera=None,
            map_from_base=None,
            covariance=None,
        )

    def placed(self, output: NodeOutput) -> NodeOutput:
        """Transform an accepted pose to the map frame and to the robot base."""
        map_from_camera = self._in_map(output.localization.world_from_camera)
        return self.with_base(replace(output, map_from_camera=map_from_camera))

    def with_base(self, output: NodeOutput, is_last: bool = False) -> NodeOutput:
        """Add the pose of the base to an accepted output, without waiting for TF.

        Args:
            output: lacks the base.
            is_last: TF that is still on its way is not waited for any more.

        Returns:
            The output with the base; as it was if TF may still come; or with TF_UNAVAILABLE.
        """
        values = self.values
        try:
            camera_from_base = self.camera_from_base(
                output, Limits(values.tf_lookup_timeout, 'tf_lookup_timeout', waits=False)
            )
        except TransformUnavailable as error:
            if error.may_come and not is_last:
                return output
            localization = replace(
                output.localization, result=Result.TF_UNAVAILABLE, reason=str(error)
            )
            return replace(output, localization=localization)
        map_from_base = output.map_from_camera @ camera_from_base
        found = output.localization
        is_raw = values.covariance_mode == 'gauss_newton'
        covariance = base_covariance(
            found.refinement_covariance if is_raw else found.covariance,
            self.map_from_world,
            map_from_base[:3, 3] - output.map_from_camera[:3, 3],
            values,
        )
        return replace(output, map_from_base=map_from_base, covariance=covariance)

    @property
    def map_from_world(self) -> np.ndarray:
        """Pose (4, 4) of the map's own world in the map frame: parameter map_alignment."""
        return matrix_from_xyz_rpy(self.values.map_alignment)

    def map_from_camera(self, output: NodeOutput) -> np.ndarray | None:
        """Return the pose (4, 4) of the camera, of a refused image the best guess; or None."""
        if output.map_from_camera is not None or output.localization.world_from_camera is None:
            return output.map_from_camera
        return self._in_map(output.localization.world_from_camera)

    def candidate_poses(self, output: NodeOutput) -> list[np.ndarray]:
        """Return map_from_base (4, 4) of the poses that were compared, the best first.

        None where TF does not know the camera on the robot now; nothing is waited for.
        """
        try:
            camera_from_base = self.camera_from_base(output, Limits())
        except TransformUnavailable:
            return []
        candidates = () if output.view is None else output.view.trace.candidates
        return [self._in_map(pose) @ camera_from_base for pose in candidates]

    def _in_map(self, world_from_camera: np.ndarray) -> np.ndarray:
        """Move a pose (4, 4) to the map frame, and to the camera as it is mounted."""
        placed = self.map_from_world @ world_from_camera
        return placed @ UPRIGHT_FROM_CAMERA if self.values.rotate_180 else placed

    def camera_from_base(self, output: NodeOutput, limits: Limits = Limits()) -> np.ndarray:
        """Return the pose (4, 4) of the base in the camera at the stamp of an output.

        Raises:
            TransformUnavailable: TF does not know it.
        """
        values = self.values
        if not values.base_frame:
            return np.eye(4)
        camera_frame = self._transforms.optical_frame(
            output.camera_frame, output.given_camera_frame
        )
        return self._transforms.lookup(camera_frame, values.base_frame, output.stamp, limits)


def base_covariance(
    covariance: np.ndarray | None,
    map_from_world: np.ndarray,
    lever_map: np.ndarray,
    values: RelocalizerParameters,
) -> np.ndarray:
    """Return the covariance (6, 6) of the base in the map: rotated, moved by the lever, inflated.

    A matrix that is not positive semidefinite is replaced by the minimum standard deviations.
    """
    angles = np.radians([values.std_roll_pitch_deg, values.std_roll_pitch_deg, values.std_yaw_deg])
    floors = np.array([values.std_xy, values.std_xy, values.std_z, *angles])
    constant = np.diag(np.maximum(floors, 1e-6) ** 2)
    if values.covariance_mode == 'constant' or covariance is None:
        return constant
    turned = rotated_covariance(covariance, map_from_world[:3, :3])
    inflated = inflated_covariance(
        covariance_at(turned, lever_map), values.covariance_scale, floors
    )
    return inflated if is_covariance(inflated) else constant
