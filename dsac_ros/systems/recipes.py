# SPDX-License-Identifier: Apache-2.0
"""Everything that `dsac map --recipe` may be: the DSAC family and the other systems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from dsac_ros.config import EndToEndConfig
from dsac_ros.errors import ConfigError, did_you_mean
from dsac_ros.mapping.recipes import RECIPES, Recipe, with_recipe_settings


@dataclass(frozen=True)
class NoSettings:
    """Settings of a system that has none beside those of the mapping."""


@dataclass(frozen=True)
class SystemRecipe:
    """A system beside the DSAC family.

    package: of dsac_ros.systems; its module `learn` maps, its module `system` localizes. settings:
    name of its settings class in the module `config` of the package, '' for none. values: what it
    changes of the defaults of MappingConfig and of its settings. modules: those of an extra that
    it needs.
    """

    name: str
    summary: str
    package: str
    settings: str = ''
    values: Mapping[str, Any] = field(default_factory=dict)
    modules: tuple[str, ...] = ()

    @property
    def settings_class(self) -> type:
        """Settings dataclass of the system."""
        if not self.settings:
            return NoSettings
        config = import_module(f'dsac_ros.systems.{self.package}.config')
        settings: type = getattr(config, self.settings)
        return settings


# Small images, as the papers' 224 px: a pose is a matter of layout, not of detail.
POSENET = {
    'short_side': 240,
    'network_short_side': 120,
    'minutes': 10.0,
    'steps': 1500,
    'passes': 12,
    'learning_rate': 2e-3,
    'max_rotation': 20.0,
}

SYSTEMS = {
    one.name: one
    for one in (
        SystemRecipe('retrieval', 'the pose of the most similar mapping image', 'retrieval'),
        SystemRecipe(
            'relative_pose',
            'essential matrices with mapping images; no training',
            'relative_pose',
            'RelativePoseConfig',
        ),
        SystemRecipe(
            'pixloc',
            'alignment of learned features with reference images; no training',
            'pixloc',
            'PixLocConfig',
            {'reference_images_mb': 3.0},
        ),
        SystemRecipe(
            'sift_sfm',
            'SIFT and structure from motion; needs the extra sfm',
            'sift_sfm',
            'SiftSfmConfig',
            modules=('pycolmap', 'poselib'),
        ),
        SystemRecipe(
            'posenet',
            'PoseNet: regression of the pose, |x| + beta d(q) (2015)',
            'posenet',
            'PoseNetConfig',
            {**POSENET, 'loss': 'weighted'},
        ),
        SystemRecipe(
            'posenet_learned',
            'PoseNet with learned weights of the two losses (2017)',
            'posenet',
            'PoseNetConfig',
            {**POSENET, 'loss': 'learned'},
        ),
        SystemRecipe(
            'posenet_reprojection',
            'the same, then the reprojection loss of scene points (2017)',
            'posenet',
            'PoseNetConfig',
            {**POSENET, 'loss': 'reprojection'},
        ),
    )
}


def find_any(name: str) -> Recipe | SystemRecipe:
    """Return the recipe of that name.

    Raises:
        ConfigError: there is none; the message lists them.
    """
    every: dict[str, Recipe | SystemRecipe] = {**RECIPES, **SYSTEMS}
    if name not in every:
        raise ConfigError(f'unknown recipe {name!r}: {did_you_mean(name, every)}')
    return every[name]


def summaries() -> dict[str, str]:
    """Return the summary of every recipe by its name."""
    every: dict[str, Recipe | SystemRecipe] = {**RECIPES, **SYSTEMS}
    return {name: recipe.summary for name, recipe in every.items()}


def settings_class(name: str) -> type:
    """Return the settings beside MappingConfig of a recipe."""
    recipe = find_any(name)
    return recipe.settings_class if isinstance(recipe, SystemRecipe) else EndToEndConfig


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as named, over those of the recipe among them (`ace` where none is)."""
    recipe = find_any(str(values.get('recipe', 'ace')))
    if isinstance(recipe, SystemRecipe):
        return {**recipe.values, **values}
    return with_recipe_settings(values)


def needs_depth(recipe: Recipe | SystemRecipe) -> bool:
    """Return True if frames without depth cannot be mapped by a recipe."""
    return isinstance(recipe, Recipe) and recipe.needs_depth


def missing_modules(recipe: Recipe | SystemRecipe) -> list[str]:
    """Return the modules of an extra that a recipe needs and that are not installed."""
    needed = recipe.modules if isinstance(recipe, SystemRecipe) else ()
    return [name for name in needed if find_spec(name) is None]
