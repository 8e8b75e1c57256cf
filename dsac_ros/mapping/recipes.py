# SPDX-License-Identifier: Apache-2.0
"""How the systems of the DSAC family learn a scene, by name: networks, stages and objectives.

`ace` trains a small head on the shipped encoder. The others train a whole network for the scene,
as their papers do, in stages; docs/recipes.md says what differs between them and from the papers.
"""
from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dsac_ros.errors import ConfigError

END_TO_END = 'end_to_end'


@dataclass(frozen=True)
class Stage:
    """A part of the schedule.

    objective: a name of `objectives`, or END_TO_END; share of the time (or steps) of the whole;
    rate: the peak of its learning rate, as a share of the recipe's.
    """

    objective: str
    share: float
    rate: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """One way to learn a scene.

    network: a name of `network.convolutional`; '' for a head on the shipped encoder. settings:
    what it changes of MappingConfig's defaults. needs_depth: whether frames without are refused.
    """

    name: str
    summary: str
    network: str = ''
    stages: tuple[Stage, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs_depth: bool = False

    def stage_at(self, progress: float) -> tuple[Stage, float]:
        """The stage at `progress` in [0, 1) of the schedule, and how much of it is done."""
        begin = 0.0
        for stage in self.stages[:-1]:
            if progress < begin + stage.share:
                return stage, (progress - begin) / stage.share
            begin += stage.share
        last = self.stages[-1]
        return last, min(1.0, (progress - begin) / last.share)


# DSAC*: rotated by up to 30 degrees; 1 million steps of one image each. The papers' rate of 1e-4,
# constant over those, is the peak of a cycle where minutes must do.
WHOLE = {'steps': 1_000_000, 'learning_rate': 1e-3, 'max_rotation': 30.0}

RECIPES = {recipe.name: recipe for recipe in (
    Recipe('ace', 'a head on the shipped encoder, on shuffled patches (the default)'),
    Recipe('dsacstar', 'DSAC*: the full network (28 MB in the paper)', 'dsacstar',
           (Stage('guided', 1.0),), WHOLE),
    Recipe('dsacstar_tiny', 'DSAC*: the tiny network (4 MB in the paper)', 'dsacstar_tiny',
           (Stage('guided', 1.0),), WHOLE),
    Recipe('dsacpp', 'DSAC++', 'dsacpp',
           (Stage('coordinates', 0.3), Stage('reprojection', 0.7)), WHOLE),
)}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; a ConfigError lists them where there is none."""
    if name not in RECIPES:
        close = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f'did you mean {close[0]!r}?' if close else f'known: {", ".join(RECIPES)}'
        raise ConfigError(f'unknown recipe {name!r}: {hint}')
    return RECIPES[name]


def with_recipe_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as named, over those of the recipe among them (`ace` where none is named)."""
    return {**find_recipe(str(values.get('recipe', 'ace'))).settings, **values}
