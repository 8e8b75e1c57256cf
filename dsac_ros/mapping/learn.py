# SPDX-License-Identifier: Apache-2.0
"""Posed frames to a map, by whichever recipe the settings name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dsac_ros.config import EndToEndConfig, MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.map_file import Map
from dsac_ros.mapping.ace import learn_map
from dsac_ros.mapping.dsac_family import learn_from_scratch
from dsac_ros.mapping.recipes import find_recipe
from dsac_ros.types import PosedFrame


def learn(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    end_to_end: EndToEndConfig,
    *,
    finetune: bool = False,
    base_map: Map | None = None,
    **options: Any,
) -> Map:
    """Learn a scene by `config.recipe`; the options are those of `ace.learn_map`.

    The last stage of a recipe is end-to-end; for `ace`, which has none, finetune adds one.
    """
    if not find_recipe(config.recipe).network and not (base_map and 'network' in base_map.header):
        return learn_map(
            frames,
            config,
            base_map=base_map,
            end_to_end=end_to_end if finetune else None,
            **options,
        )
    if base_map:
        raise MappingError(
            'only a map of the recipe ace can be updated, and only by that recipe; '
            'learn all frames together'
        )
    return learn_from_scratch(frames, config, end_to_end, **options)
