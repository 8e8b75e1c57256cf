# SPDX-License-Identifier: Apache-2.0
"""Any number of leading dimensions, made one and given back: inside there are B images."""
from __future__ import annotations

from dataclasses import fields, replace
from typing import TypeVar

from torch import Tensor

from dsac_ros.types import SceneCoordinates

T = TypeVar('T')
# Of the fields of SceneCoordinates what follows the leading dimensions.
OWN_DIMENSIONS = {'points_world': 2, 'pixels': 2, 'sigma_px': 1, 'valid': 1, 'matrices': 2,
                  'depth': 1}


def flat(scene: SceneCoordinates) -> SceneCoordinates:
    """The images of all leading dimensions, in order, as one batch."""
    return replace(scene, **{
        name: values.reshape(-1, *values.shape[values.dim() - own:])
        for name, own in OWN_DIMENSIONS.items()
        if (values := getattr(scene, name)) is not None})


def unflat(result: T, leading: tuple[int, ...]) -> T:
    """Every tensor (B, ...) of a dataclass with the leading dimensions in place of B."""
    return replace(result, **{
        one.name: values.reshape((*leading, *values.shape[1:])) for one in fields(result)
        if isinstance(values := getattr(result, one.name), Tensor)})
