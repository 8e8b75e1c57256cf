# SPDX-License-Identifier: Apache-2.0
"""Posed frames to a map, by whichever recipe the settings name."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from dsac_ros.config import EndToEndConfig, MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.map_container import StoredMap
from dsac_ros.map_file import Map
from dsac_ros.mapping.ace import learn_map
from dsac_ros.mapping.dsac_family import learn_from_scratch
from dsac_ros.systems.recipes import SystemRecipe, find_any
from dsac_ros.types import PosedFrame


def learn(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    own: Any,
    *,
    finetune: bool = False,
    base_map: Map | None = None,
    **options: Any,
) -> StoredMap:
    """Learn a scene by `config.recipe`; the options are those of `ace.learn_map`.

    Args:
        frames: posed frames of the scene.
        config: settings of the mapping.
        own: settings of the recipe: EndToEndConfig of the DSAC family, whose last stage is
            end-to-end; otherwise those of its system.
        finetune: end `ace`, which has no such stage, end-to-end as well.
        base_map: map of the recipe `ace` to update.
        **options: device, output, total, map_frame, progress, resume.

    Raises:
        MappingError: the frames cannot be learned from.
    """
    recipe = find_any(config.recipe)
    is_whole = isinstance(recipe, SystemRecipe) or bool(recipe.network)
    if base_map and (is_whole or 'network' in base_map.header):
        raise MappingError(
            'only a map of the recipe ace can be updated, and only by that recipe; '
            'learn all frames together'
        )
    if isinstance(recipe, SystemRecipe):
        module = import_module(f'dsac_ros.systems.{recipe.package}.learn')
        learned: StoredMap = module.learn(frames, config, own, **options)
        return learned
    if recipe.network:
        assert isinstance(own, EndToEndConfig)
        return learn_from_scratch(frames, config, own, **options)
    return learn_map(
        frames, config, base_map=base_map, end_to_end=own if finetune else None, **options
    )
