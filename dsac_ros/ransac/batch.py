# SPDX-License-Identifier: Apache-2.0
"""Flatten any number of leading dimensions to one batch dimension B, and restore them."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

from torch import Tensor

from dsac_ros.types import SceneCoordinates

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar('T', bound='DataclassInstance')
# Number of trailing dimensions of each field of SceneCoordinates.
TRAILING_DIMENSIONS = {
    'points_world': 2,
    'pixels': 2,
    'sigma_px': 1,
    'valid': 1,
    'matrices': 2,
    'depth': 1,
}


def flatten_batch(scene: SceneCoordinates) -> SceneCoordinates:
    """Flatten the leading dimensions of all fields to one batch dimension, in order."""
    count = math.prod(scene.valid.shape[:-1])  # -1 would be ambiguous without cells
    return replace(
        scene,
        **{
            name: values.reshape(count, *values.shape[values.dim() - trailing :])
            for name, trailing in TRAILING_DIMENSIONS.items()
            if (values := getattr(scene, name)) is not None
        },
    )


def unflatten_batch(result: T, leading: tuple[int, ...]) -> T:
    """Replace the batch dimension of every tensor (B, ...) of a dataclass by `leading`."""
    return replace(
        result,
        **{
            one.name: values.reshape((*leading, *values.shape[1:]))
            for one in fields(result)
            if isinstance(values := getattr(result, one.name), Tensor)
        },
    )


def one_invalid_cell(scene: SceneCoordinates) -> SceneCoordinates:
    """Replace the cells of an empty scene by one invalid cell, which gives no pose either."""
    cell, point = scene.sigma_px.new_zeros(len(scene.valid), 1), scene.points_world
    return replace(
        scene,
        points_world=point.new_zeros(len(point), 1, 3),
        sigma_px=cell,
        pixels=scene.pixels.new_zeros(len(point), 1, 2),
        valid=cell > 0.0,
        depth=None,
    )
