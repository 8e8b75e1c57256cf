# SPDX-License-Identifier: Apache-2.0
"""Outputs whose result changes after the localization of their image."""

from __future__ import annotations

from dataclasses import replace

from dsac_ros.decision import refused
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.types import Localization, Result


def jump_rejected(output: NodeOutput, reason: str) -> NodeOutput:
    """Return an accepted output without its poses, for the reason that the correction gave."""
    localization = refused(output.localization, Result.JUMP_REJECTED, reason)
    return replace(
        output,
        localization=localization,
        map_from_camera=None,
        map_from_base=None,
        covariance=None,
    )


def voided(output: NodeOutput) -> NodeOutput:
    """Return an output without its pose, which refers to a frame or a clock that is gone."""
    reason = 'map, alignment or clock were replaced while the image was processed'
    localization = Localization(Result.STALE, reason, output.localization.stamp_ns)
    return NodeOutput(localization, output.stamp, output.camera_frame, camera=output.camera)


def out_of_map(output: NodeOutput) -> NodeOutput:
    """Return an output with too few inliers as one of a place that the map does not know."""
    found = output.localization
    if found.result not in (Result.LOW_INLIERS, Result.LOW_SPREAD):
        return output
    return replace(output, localization=replace(found, result=Result.OUT_OF_MAP))
