# SPDX-License-Identifier: Apache-2.0
"""Divergence of a visual pose from the pose that another localizer publishes on TF."""

from __future__ import annotations

import math

import numpy as np

from dsac_ros.metrics import twist_error
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable

UNKNOWN = (math.nan, math.nan)


def divergence(
    map_from_base: np.ndarray | None, tf_map_from_base: np.ndarray | None
) -> tuple[float, float]:
    """Return the distance [m] and the angle [rad] between two poses (4, 4) of the base.

    Args:
        map_from_base: by the image.
        tf_map_from_base: by TF at the stamp of the image; None if unknown, or if it is ours.

    Returns:
        NaN where either is unknown.
    """
    if map_from_base is None or tf_map_from_base is None:
        return UNKNOWN
    twist = twist_error(map_from_base, tf_map_from_base)
    return float(np.linalg.norm(twist[:3])), float(np.linalg.norm(twist[3:]))


def divergence_from_tf(
    output: NodeOutput, transforms: Transforms, values: RelocalizerParameters, is_own: bool
) -> tuple[float, float]:
    """Return `divergence` of an image's pose from TF as it is known now; waits for nothing.

    Args:
        output: of the image.
        transforms: TF.
        values: parameters with the frames.
        is_own: TF's map -> base goes through a transform of this node, and so says nothing.
    """
    if output.map_from_base is None or is_own or not values.base_frame:
        return UNKNOWN
    try:
        by_tf = transforms.lookup(values.map_frame, values.base_frame, output.stamp)
    except TransformUnavailable:
        return UNKNOWN
    return divergence(output.map_from_base, by_tf)
