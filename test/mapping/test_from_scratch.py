# SPDX-License-Identifier: Apache-2.0
"""Recipes learn a whole network for one scene: a wall, in seconds."""

from __future__ import annotations

import contextlib
import copy
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dsac_ros.cli.main import main
from dsac_ros.config import EndToEndConfig, MappingConfig
from dsac_ros.errors import ConfigError, MappingError
from dsac_ros.localizer import Localizer
from dsac_ros.map_container import read_header
from dsac_ros.mapping import dsac_family as from_scratch
from dsac_ros.mapping.data.dataset import prepare
from dsac_ros.mapping.data.samples import Sample
from dsac_ros.mapping.losses.metric_scene import ROOM_M
from dsac_ros.mapping.optim.checkpoint import Checkpoint
from dsac_ros.mapping.recipes import LAST, RECIPES, find_recipe
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.systems import learning
from dsac_ros.types import Camera, Frame, PosedFrame

SIZE_WH = (160, 120)
MATRIX = np.array([[140.0, 0, 79.5], [0, 140, 59.5], [0, 0, 1]])
DISTANCE, PIXELS_PER_METRE = 3.0, 60.0
SMALL = {'minutes': 100.0, 'short_side': 64, 'held_out': 0.0, 'max_rotation': 5.0, 'max_zoom': 1.1}


def wall() -> np.ndarray:
    """A picture full of corners of all sizes (480, 600) uint8."""
    rng = np.random.default_rng(4)
    total = sum(
        cv2.resize(
            rng.normal(size=(480 // cell, 600 // cell)).astype(np.float32),
            (600, 480),
            interpolation=cv2.INTER_CUBIC,
        )
        for cell in (60, 24, 8)
    )
    return (127 + 38 * total).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def frames() -> list[PosedFrame]:
    """Sixteen views of it, by a camera that looks straight ahead and moves."""
    texture, posed = wall(), []
    for index, (x, y, z) in enumerate(
        (x, y, z)
        for x in (-0.9, -0.3, 0.3, 0.9)
        for y, z in ((-0.4, 0.0), (0.0, 0.4), (0.4, 0.8), (0.2, 0))
    ):
        pose = np.eye(4)
        pose[:3, 3] = x, y, z
        scale = PIXELS_PER_METRE * (DISTANCE - z) / MATRIX[0, 0]  # texture px per image px
        warp = np.array(
            [
                [scale, 0, 299.5 + PIXELS_PER_METRE * x - scale * MATRIX[0, 2]],
                [0, scale, 239.5 + PIXELS_PER_METRE * y - scale * MATRIX[1, 2]],
            ]
        )
        image = cv2.warpAffine(
            texture, warp, SIZE_WH, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        depth = np.full(image.shape, DISTANCE - z, np.float32)
        posed.append(
            PosedFrame(Frame(image, Camera(SIZE_WH, MATRIX), name=str(index), depth=depth), pose)
        )
    return posed


def config(recipe, **values):
    return MappingConfig(**{**find_recipe(recipe).settings, **SMALL, **values, 'recipe': recipe})


def learn(frames, config, **options):
    last = RECIPES[config.recipe].end_to_end if config.recipe in RECIPES else None
    return learning.learn(frames, config, last or EndToEndConfig(), device='cpu', **options)


def away(localizer, posed):
    """Distances (N,) [m] of the predicted points from where the wall is seen."""
    scene = localizer.trace(posed.frame).correspondences
    matrix = scene.matrices[0].numpy()
    rays = (scene.pixels[0].numpy() - matrix[:2, 2]) / matrix[0, 0]
    centre = posed.world_from_camera[:3, 3]
    true = centre + (DISTANCE - centre[2]) * np.column_stack([rays, np.ones(len(rays))])
    return np.linalg.norm(scene.points_world[0].numpy() + localizer.map.origin - true, axis=1)


@pytest.mark.slow
def test_the_tiny_network_learns_the_wall(frames, tmp_path):
    """The whole way: the loss falls, the map is written and loaded, its points lie on the wall."""
    said = []
    learned = learn(
        frames,
        config('dsacstar_tiny', steps=150),
        output=tmp_path / 'wall.map',
        progress=said.append,
    )
    localizer = Localizer.load(tmp_path / 'wall.map', 'cpu')
    after = np.median([away(localizer, posed) for posed in frames])
    recipe = find_recipe('dsacstar_tiny')
    blank = from_scratch.new_network(recipe.network, prepare(frames, config('dsacstar_tiny')), 0)
    before = np.median(
        [away(Localizer(replace(localizer.map, network=blank)), posed) for posed in frames]
    )
    assert after < 0.6 * before
    losses = [state.loss for state in said if state.stage == 'training']
    assert len(losses) == 15 and np.isfinite(losses).all()
    header = read_header(tmp_path / 'wall.map')
    assert (header['recipe'], header['network']) == ('dsacstar_tiny', 'dsacstar_tiny')
    assert header['training']['steps'] == 150 and header['id'] == learned.id
    assert not (tmp_path / 'wall.map.checkpoint').exists()


@pytest.mark.parametrize('recipe', ['dsac', 'softam', 'dsacpp', 'dsacstar', 'dsacstar_rgbd'])
def test_the_stages_of_every_recipe_run(frames, tmp_path, monkeypatch, recipe):
    """Each with the tiny network: what differs here is what is asked of it."""
    seen = []
    objectives = from_scratch.Objectives.__call__

    def spied(self, stage, points, sample):
        terms = objectives(self, stage, points, sample)
        seen.append(stage.objective)
        assert torch.isfinite(terms.total) and terms.total.requires_grad
        return terms

    monkeypatch.setattr(from_scratch.Objectives, '__call__', spied)
    monkeypatch.setitem(RECIPES, recipe, replace(find_recipe(recipe), network='dsacstar_tiny'))
    learned = learn(frames[:6], config(recipe, steps=20), output=tmp_path / 'wall.map')
    assert list(dict.fromkeys(seen)) == [s.objective for s in find_recipe(recipe).stages]
    assert len(seen) == 20 == learned.header['training']['steps']


def test_end_to_end_stage_only_augments_the_light(frames):
    """The pose loss is small where points are right, and pulls them back where they are not."""
    recipe, settings = find_recipe('dsacstar'), config('dsacstar')
    data = prepare(frames, settings)
    generator = torch.Generator().manual_seed(0)
    objectives = from_scratch.Objectives(recipe, settings, generator, torch.device('cpu'))
    light = objectives.augmentation(LAST)
    assert (light.max_zoom, light.max_rotation) == (1.0, 0.0)
    assert objectives.augmentation(recipe.stages[0]) == settings
    sample = Sample.of(data.views[0], torch.device('cpu'), generator)
    patches = sample.patches
    rays = (patches.pixels - patches.principal) / patches.focal[:, None]
    in_camera = patches.depth[:, None] * torch.cat([rays, torch.ones(len(rays), 1)], 1)
    right = (in_camera - patches.translation) @ patches.rotation[0]
    _, world_from_camera = sample.to_metric(right, rgbd=False)
    np.testing.assert_allclose(
        world_from_camera[0, :3, 3].numpy(),
        ROOM_M * data.views[0].scene_from_camera[:3, 3],
        atol=1e-5,
    )
    assert objectives(LAST, right, sample).total < 0.01
    wrong = (right + torch.tensor([0.2, 0.0, 0.0])).requires_grad_()
    loss = objectives(LAST, wrong, sample).total
    # 0.2 of the scene's depth is half a metre of a room
    assert loss.item() == pytest.approx(0.2 * ROOM_M, rel=0.05)
    loss.backward()
    assert wrong.grad.sum(0)[0] > 0, 'against the direction in which the points were moved'


def test_an_interrupted_training_goes_on(frames, tmp_path):
    settings, output = config('dsacstar_tiny', steps=30), tmp_path / 'wall.map'

    def interrupt(state):
        if state.fraction > 0.5 and state.stage == 'training':
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(frames, settings, output=output, progress=interrupt)
    assert not output.exists() and (tmp_path / 'wall.map.checkpoint').exists()
    said = []
    learned = learn(frames, settings, output=output, resume=True, progress=said.append)
    fractions = [state.fraction for state in said if state.stage == 'training']
    assert fractions[0] > 0.6 and learned.header['training']['steps'] == 30


@pytest.fixture
def last_stage(frames, monkeypatch):
    """Trains the last stage of DSAC++ on the wall; `steps` says what each step began with."""
    settings = config('dsacpp', steps=100)
    data = prepare(frames, settings)
    recipe = replace(find_recipe('dsacpp'), stages=(LAST,))
    recipe = replace(
        recipe,
        end_to_end=replace(
            recipe.end_to_end, pose_loss='adaptive', hypotheses=16, cells=40, entropy_bits=1.0
        ),
    )
    steps = []

    def spied(self, stage, points, sample, original=from_scratch.Objectives.__call__):
        steps.append({'objectives': copy.deepcopy(self.state_dict())})
        return original(self, stage, points, sample)

    monkeypatch.setattr(from_scratch.Objectives, '__call__', spied)

    def train(checkpoint, best_weights, resume=False, interrupt_at=math.inf):
        network = from_scratch.new_network('dsacstar_tiny', data, int(resume))
        first = {}

        def spied_predicted(seen, network, original=Sample.predicted):
            first.setdefault('network', copy.deepcopy(network.state_dict()))
            return original(seen, network)

        def interrupt(state):
            if state.fraction > interrupt_at:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Sample, 'predicted', spied_predicted)
            with contextlib.suppress(KeyboardInterrupt):
                from_scratch.train_network(
                    network,
                    data.views,
                    recipe,
                    settings,
                    checkpoint,
                    resume,
                    interrupt,
                    best_weights,
                )
        return network, first['network']

    return train, steps, data


def test_an_adaptive_loss_learns_its_log_variances(last_stage, tmp_path):
    train, steps, _ = last_stage
    train(Checkpoint(tmp_path / 'c', ''), from_scratch.BestWeights([]), interrupt_at=0.15)
    first, last = (steps[i]['objectives']['pose_loss']['log_variances'] for i in (0, -1))
    assert (first != last).all()


def test_last_stage_resumes_from_its_checkpoint(last_stage, tmp_path):
    """Weights, sharpness, learned variances and what BestWeights remembers, all of them."""
    train, steps, data = last_stage
    checkpoint = Checkpoint(tmp_path / 'c', '')
    best_weights = from_scratch.BestWeights(data.views[:4])
    network, _ = train(checkpoint, best_weights, interrupt_at=0.15)
    saved = checkpoint.load('cpu')
    assert saved['objectives']['alpha'] != steps[0]['objectives']['alpha']
    steps.clear()
    again = from_scratch.BestWeights(data.views[:4])
    _, first = train(checkpoint, again, resume=True, interrupt_at=0.0)
    assert same(first, network.state_dict())
    assert steps[0]['objectives']['alpha'] == saved['objectives']['alpha']
    assert same(steps[0]['objectives']['pose_loss'], saved['objectives']['pose_loss'])
    assert torch.equal(again.before, best_weights.before)
    assert same(again.weights, best_weights.weights)
    assert not same(again.weights, first), 'those before the last stage are kept'


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_same_seed_gives_the_same_map(frames, tmp_path):
    ids = {
        learn(
            frames[:6], config('dsacstar_tiny', steps=8, seed=seed), output=tmp_path / f'{run}.map'
        ).id
        for run, seed in enumerate((5, 5, 6))
    }
    assert len(ids) == 2


def test_a_gradient_that_is_no_number_is_no_step():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight], 0.1)
    scaler = torch.amp.GradScaler('cpu', enabled=False)
    from_scratch.descend((weight * torch.tensor([torch.nan, 1.0])).sum(), optimizer, scaler, 1.0)
    assert (weight == 1).all()
    from_scratch.descend(weight.sum(), optimizer, scaler, 1.0)
    assert (weight < 1).all()


def test_recipes_with_depth_refuse_frames_without_it(frames, tmp_path):
    with pytest.raises(MappingError, match=r'the recipe dsac starts from depth and no frame has'):
        learn(frames, config('dsac', depth='off'), output=tmp_path / 'wall.map')


@pytest.mark.parametrize(
    ('depth', 'measured', 'objective'),
    [('auto', False, 'heuristic'), ('off', False, 'guided'), ('auto', True, 'guided')],
)
def test_depth_by_tracks_where_none_is_measured(
    frames, tmp_path, monkeypatch, depth, measured, objective
):
    """Unless it is off; what a sensor measured is never replaced."""
    seen = {}

    def train_network(network, views, recipe, *others):
        seen.update(views=views, recipe=recipe)
        raise KeyboardInterrupt

    monkeypatch.setattr(from_scratch, 'train_network', train_network)
    if not measured:
        frames = [replace(one, frame=replace(one.frame, depth=None)) for one in frames]
    with pytest.raises(KeyboardInterrupt):
        learn(frames, config('dsacstar', depth=depth), output=tmp_path / 'wall.map')
    assert seen['recipe'].stages[1].objective == objective
    if depth == 'off':
        assert all(view.depth is None for view in seen['views'])
        return
    data = prepare(frames, config('dsacstar', depth=depth))
    for view, posed in zip(seen['views'], frames, strict=True):
        shown = data.scale * np.median(view.depth)
        assert shown == pytest.approx(DISTANCE - posed.world_from_camera[2, 3], rel=0.02)


def test_an_unknown_recipe_and_an_update_are_refused(frames, tmp_path):
    options = {'output': tmp_path / 'wall.map'}
    with pytest.raises(ConfigError, match="unknown recipe 'dsacstra': did you mean 'dsacstar'"):
        learn(frames, replace(config('ace'), recipe='dsacstra'), **options)
    known = learn(frames[:6], config('dsacstar_tiny', steps=2), **options)
    for recipe in ('ace', 'dsacstar_tiny'):
        with pytest.raises(MappingError, match='only a map of the recipe ace can be updated'):
            learn(frames, config(recipe), base_map=known, **options)


def test_checkpoints_are_of_one_recipe(frames, tmp_path):
    """The objective is part of a training, of the same network too."""
    data = prepare(frames, config('dsacstar'))
    prints = {
        from_scratch.fingerprint(data, config(name))
        for name in ('dsacstar', 'dsacstar_rgbd', 'dsacstar_tiny')
    }
    assert len(prints) == 3
    with pytest.raises(MappingError, match='no checkpoint'):
        Checkpoint(tmp_path / 'none', prints.pop()).load('cpu')


def test_the_command_line_names_recipe_and_network(frames, tmp_path, capsys):
    with FolderWriter(tmp_path / 'frames') as folder:
        for posed in frames[:6]:
            folder.write(posed.frame, posed.world_from_camera)
    words = [
        'map',
        str(tmp_path / 'frames'),
        '-o',
        str(tmp_path / 'wall.map'),
        '--device',
        'cpu',
        '--progress',
        'off',
        '--set',
        'short_side=64',
    ]
    assert main([*words, '--recipe', 'dsacstra']) == 1
    error = capsys.readouterr().err
    assert error == "dsac: error: unknown recipe 'dsacstra': did you mean 'dsacstar'?\n"
    assert main([*words, '--recipe', 'dsacstar_tiny', '--set', 'steps=5']) == 0
    assert main(['inspect', str(tmp_path / 'wall.map')]) == 0
    shown = capsys.readouterr().out
    assert 'recipe          dsacstar_tiny' in shown and 'network         dsacstar_tiny' in shown
    image = next((tmp_path / 'frames' / 'rgb').iterdir())
    assert (
        main(
            [
                'localize',
                str(tmp_path / 'wall.map'),
                str(image),
                '--focal',
                '140',
                '--device',
                'cpu',
                '--progress',
                'off',
            ]
        )
        == 0
    )


@pytest.mark.parametrize('after, kept', [(2.0, False), (0.5, True)])
def test_last_stage_is_undone_without_held_out_gain(frames, monkeypatch, after, kept):
    data = prepare(frames, config('dsacstar_tiny'))
    network = from_scratch.new_network('dsacstar_tiny', data, 0)
    best_weights = from_scratch.BestWeights(data.views[:4])
    costs = iter([torch.zeros(4), torch.full((4,), after).log()])
    monkeypatch.setattr(best_weights, 'cost', lambda network: next(costs))
    best_weights.remember(network)
    before = network.head.point.bias.clone()
    with torch.no_grad():
        network.head.point.bias += 1.0
    assert best_weights.verdict(network) == {
        'end_to_end': {'before': 1.0, 'after': min(1.0, after)}
    }
    assert torch.equal(network.head.point.bias, before) != kept


def test_a_map_records_an_unvalidated_last_stage(frames):
    data = prepare(frames, config('dsacstar_tiny'))
    network = from_scratch.new_network('dsacstar_tiny', data, 0)
    best_weights = from_scratch.BestWeights(data.views[:3])
    best_weights.remember(network)
    assert best_weights.verdict(network) == {
        'end_to_end': {'not_validated': '3 held-out frames, expected at least 4'}
    }


def test_a_network_is_judged_by_held_out_poses(frames):
    data = prepare(frames, config('dsacstar_tiny'))
    network = from_scratch.new_network('dsacstar_tiny', data, 0)
    cost = from_scratch.BestWeights(data.views[:4]).cost(network)
    assert (cost > np.log(10.0)).all()  # one point everywhere tells no pose
