# SPDX-License-Identifier: Apache-2.0
"""Any number of leading dimensions, made one and given back: inside there are B images."""
from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

from torch import Tensor

from dsac_ros.types import SceneCoordinates

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar('T', bound='DataclassInstance')
# Of the fields of SceneCoordinates what follows the leading dimensions.
OWN_DIMENSIONS = {'points_world': 2, 'pixels': 2, 'sigma_px': 1, 'valid': 1, 'matrices': 2,
                  'depth': 1}


def flat(scene: SceneCoordinates) -> SceneCoordinates:
    """The images of all leading dimensions, in order, as one batch."""
    count = math.prod(scene.valid.shape[:-1])  # which an image without cells does not tell
    return replace(scene, **{
        name: values.reshape(count, *values.shape[values.dim() - own:])
        for name, own in OWN_DIMENSIONS.items()
        if (values := getattr(scene, name)) is not None})


def unflat(result: T, leading: tuple[int, ...]) -> T:
    """Every tensor (B, ...) of a dataclass with the leading dimensions in place of B."""
    return replace(result, **{
        one.name: values.reshape((*leading, *values.shape[1:])) for one in fields(result)
        if isinstance(values := getattr(result, one.name), Tensor)})


def one_invalid_cell(scene: SceneCoordinates) -> SceneCoordinates:
    """A scene without cells as one whose only cell is not valid: nothing to find there either."""
    cell, point = scene.sigma_px.new_zeros(len(scene.valid), 1), scene.points_world
    return replace(scene, points_world=point.new_zeros(len(point), 1, 3), sigma_px=cell,
                   pixels=scene.pixels.new_zeros(len(point), 1, 2), valid=cell > 0.0, depth=None)
