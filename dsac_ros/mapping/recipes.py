# SPDX-License-Identifier: Apache-2.0
"""Recipes of the DSAC family by name: networks, stages and objectives.

`ace` trains a small head on the shipped encoder. The others train a whole network for the scene,
as their papers do, in stages; docs/recipes.md says what differs between them and from the papers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dsac_ros.config import EndToEndConfig
from dsac_ros.errors import ConfigError, did_you_mean

END_TO_END = 'end_to_end'


@dataclass(frozen=True)
class Stage:
    """A part of the schedule.

    objective: a name of `objectives`, or END_TO_END. share of the time (or steps) of the whole.
    rate: the peak of its learning rate, as a share of the recipe's. max_gradient: where the length
    of the gradient is cut.
    """

    objective: str
    share: float
    rate: float = 1.0
    max_gradient: float = math.inf


@dataclass(frozen=True)
class Recipe:
    """One way to learn a scene.

    network: a name of `network.convolutional`; '' for a head on the shipped encoder. end_to_end
    and pose_loss (settings of `geometry.pose_losses`): how the last stage differentiates RANSAC.
    settings: what it changes of MappingConfig's defaults. needs_depth: whether frames without are
    refused.
    """

    name: str
    summary: str
    network: str = ''
    stages: tuple[Stage, ...] = ()
    end_to_end: EndToEndConfig | None = None
    pose_loss: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs_depth: bool = False

    def with_approximate_depth(self) -> Recipe:
        """The recipe for depth that starts a point off and does not say where it ends."""
        stages = tuple(
            replace(stage, objective='heuristic') if stage.objective == 'guided' else stage
            for stage in self.stages
        )
        return replace(self, stages=stages)

    def stage_at(self, progress: float) -> tuple[Stage, float]:
        """The stage at `progress` in [0, 1) of the schedule, and how much of it is done."""
        begin = 0.0
        for stage in self.stages[:-1]:
            if progress < begin + stage.share:
                return stage, (progress - begin) / stage.share
            begin += stage.share
        last = self.stages[-1]
        return last, min(1.0, (progress - begin) / last.share)


# RANSAC's gradients have heavy tails: short steps, none of them long.
LAST = Stage(END_TO_END, 0.1, rate=0.01, max_gradient=1.0)
DSAC = (Stage('coordinates', 0.9), LAST)
DSACPP = (Stage('coordinates', 0.4), Stage('reprojection', 0.5), LAST)
DSACSTAR = (Stage('coordinates', 0.3), Stage('guided', 0.6), LAST)
DSACSTAR_RGBD = (Stage('coordinates', 0.9), LAST)

# DSAC and DSAC++ choose among 256 hypotheses, DSAC* among 64. DSAC's derivatives are finite
# differences through the whole refinement: what implicit differentiation has in closed form.
OF_DSAC = EndToEndConfig(hypotheses=256, gradient='implicit', alpha=100.0, entropy_bits=0.0)
OF_SOFTAM = replace(OF_DSAC, selection='softam', mean_rotation='axis_angle')
OF_DSACPP = EndToEndConfig(hypotheses=256, alpha=100.0, entropy_bits=6.0)
OF_DSACSTAR = EndToEndConfig(hypotheses=64, alpha=100.0, entropy_bits=0.0, pose_loss='weighted')
OF_DSACSTAR_RGBD = replace(OF_DSACSTAR, rgbd=True)
# 1 per degree and 100 per metre, in the units of the loss: metres and radians
DEGREES_AND_CM = {'distance': 'angular', 'rotation_weight': math.degrees(1.0) / 100.0}

# Up to 30 degrees of rotation and 1 million steps of one image each: DSAC*. The papers' rate of
# 1e-4, constant over those, becomes the peak of a cycle ten times as high where minutes must do.
# Their 480 px take sixteen times as long as these 120, which show a room well enough: on a GPU,
# with hours, 480 are worth it.
WHOLE = {
    'minutes': 10.0,
    'steps': 1_000_000,
    'learning_rate': 1e-3,
    'max_rotation': 30.0,
    'short_side': 120,
}

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe('ace', 'a head on the shipped encoder, on shuffled patches (the default)'),
        Recipe(
            'dsacstar',
            'DSAC*, full network: start, guided reprojection, end-to-end',
            'dsacstar',
            DSACSTAR,
            OF_DSACSTAR,
            DEGREES_AND_CM,
            WHOLE,
        ),
        Recipe(
            'dsacstar_tiny',
            'the same with the tiny network, a seventh of the size',
            'dsacstar_tiny',
            DSACSTAR,
            OF_DSACSTAR,
            DEGREES_AND_CM,
            WHOLE,
        ),
        Recipe(
            'dsacstar_rgbd',
            'DSAC* from RGB-D: measured points, end-to-end; needs depth',
            'dsacstar',
            DSACSTAR_RGBD,
            OF_DSACSTAR_RGBD,
            DEGREES_AND_CM,
            WHOLE,
            needs_depth=True,
        ),
        Recipe(
            'dsacpp',
            'DSAC++: start, reprojection, end-to-end with entropy control',
            'dsacpp',
            DSACPP,
            OF_DSACPP,
            settings=WHOLE,
        ),
        Recipe(
            'dsac',
            'DSAC: measured points, end-to-end with probabilistic choice; needs depth',
            'dsacpp',
            DSAC,
            OF_DSAC,
            settings=WHOLE,
            needs_depth=True,
        ),
        Recipe(
            'softam',
            'DSAC with the mean of all hypotheses in place of a choice; needs depth',
            'dsacpp',
            DSAC,
            OF_SOFTAM,
            settings=WHOLE,
            needs_depth=True,
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; a ConfigError lists them where there is none."""
    if name not in RECIPES:
        raise ConfigError(f'unknown recipe {name!r}: {did_you_mean(name, RECIPES)}')
    return RECIPES[name]


def with_recipe_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as named, over those of the recipe among them (`ace` where none is named).

    Of MappingConfig and, where the recipe ends end-to-end, of EndToEndConfig.
    """
    recipe = find_recipe(str(values.get('recipe', 'ace')))
    last = asdict(recipe.end_to_end) if recipe.end_to_end else {}
    return {**last, **recipe.settings, **values}
