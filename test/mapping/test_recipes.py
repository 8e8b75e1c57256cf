# SPDX-License-Identifier: Apache-2.0
"""The recipes by which a scene is learned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsac_ros.cli.settings import split_settings
from dsac_ros.config import EndToEndConfig, MappingConfig
from dsac_ros.errors import ConfigError
from dsac_ros.geometry.pose_losses import PoseLossConfig, make_pose_loss
from dsac_ros.mapping.losses.objectives import OBJECTIVES
from dsac_ros.mapping.recipes import (
    END_TO_END,
    RECIPES,
    find_recipe,
    with_recipe_settings,
)
from dsac_ros.network.convolutional import NETWORKS

WHOLE = [recipe for recipe in RECIPES.values() if recipe.network]
DOCS = Path(__file__).resolve().parents[2] / 'docs' / 'recipes.md'


@pytest.mark.parametrize('recipe', WHOLE, ids=lambda recipe: recipe.name)
def test_recipes_name_known_parts_and_fill_their_time(recipe):
    assert recipe.network in NETWORKS
    assert {stage.objective for stage in recipe.stages} <= {*OBJECTIVES, END_TO_END}
    assert sum(stage.share for stage in recipe.stages) == pytest.approx(1.0)
    split_settings(with_recipe_settings({'recipe': recipe.name}), MappingConfig, EndToEndConfig)
    make_pose_loss(PoseLossConfig(loss=recipe.end_to_end.pose_loss, **recipe.pose_loss))


def test_stages_follow_each_other():
    recipe = find_recipe('dsacpp')
    seen = [recipe.stage_at(progress / 1000) for progress in range(1000)]
    names = list(dict.fromkeys(stage.objective for stage, _ in seen))
    assert names == [stage.objective for stage in recipe.stages]
    for stage in recipe.stages:
        shares = [share for other, share in seen if other == stage]
        assert shares == sorted(shares)
        assert shares[0] < 0.02 and 0.98 < shares[-1] <= 1.0


@pytest.mark.parametrize('name', ['dsacstar', 'dsacpp'])
def test_approximate_depth_is_no_measurement(name):
    recipe = find_recipe(name)
    changed = [stage.objective for stage in recipe.with_approximate_depth().stages]
    assert 'guided' not in changed
    assert [('guided' if one == 'heuristic' else one) for one in changed] == [
        stage.objective for stage in recipe.stages
    ]


def test_the_default_changes_nothing():
    assert with_recipe_settings({'minutes': 3.0}) == {'minutes': 3.0}
    assert MappingConfig().recipe == 'ace' and not find_recipe('ace').network


def test_what_is_named_stands_above_the_recipe():
    values = with_recipe_settings(
        {'recipe': 'dsacstar', 'max_rotation': 5.0, 'selection': 'argmax'}
    )
    assert values['max_rotation'] == 5.0 and values['selection'] == 'argmax'
    assert values['hypotheses'] == 64
    assert values['steps'] == 1_000_000


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('dsacstra', "unknown recipe 'dsacstra': did you mean 'dsacstar'?"),
        ('posenet', "unknown recipe 'posenet': known: ace, dsacstar"),
        ('', "unknown recipe '': known: ace"),
    ],
)
def test_an_unknown_recipe_lists_those_there_are(name, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        find_recipe(name)


@pytest.mark.parametrize('name', RECIPES)
def test_every_recipe_is_documented(name):
    assert f'| `{name}` |' in DOCS.read_text(encoding='utf-8')
