# SPDX-License-Identifier: Apache-2.0
"""Recipes learn a whole network for one scene: a wall, in seconds."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dsac_ros.cli.main import main
from dsac_ros.config import MappingConfig
from dsac_ros.errors import ConfigError, MappingError
from dsac_ros.localizer import Localizer
from dsac_ros.map_file import load_map, read_header
from dsac_ros.mapping import from_scratch
from dsac_ros.mapping.dataset import View
from dsac_ros.mapping.learning import learn
from dsac_ros.mapping.recipes import with_recipe_settings
from dsac_ros.types import Camera, Frame, PosedFrame

SIZE_WH = (160, 120)
MATRIX = np.array([[140.0, 0, 79.5], [0, 140, 59.5], [0, 0, 1]])
DISTANCE, PIXELS_PER_METRE = 3.0, 60.0
SMALL = {'minutes': 100.0, 'short_side': 64, 'held_out': 0.0, 'max_rotation': 5.0, 'max_zoom': 1.1}


def wall() -> np.ndarray:
    """A picture full of corners of all sizes (480, 600) uint8."""
    rng = np.random.default_rng(4)
    total = sum(cv2.resize(rng.normal(size=(480 // cell, 600 // cell)).astype(np.float32),
                           (600, 480), interpolation=cv2.INTER_CUBIC) for cell in (60, 24, 8))
    return (127 + 38 * total).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def frames() -> list[PosedFrame]:
    """Sixteen views of it, by a camera that looks straight ahead and moves sideways."""
    texture, posed = wall(), []
    for index, (x, y, z) in enumerate((x, y, z) for x in (-0.9, -0.3, 0.3, 0.9)
                                      for y, z in ((-0.4, 0.0), (0.0, 0.4), (0.4, 0.8), (0.2, 0))):
        pose = np.eye(4)
        pose[:3, 3] = x, y, z
        scale = PIXELS_PER_METRE * (DISTANCE - z) / MATRIX[0, 0]  # texture px per image px
        warp = np.array([[scale, 0, 299.5 + PIXELS_PER_METRE * x - scale * MATRIX[0, 2]],
                         [0, scale, 239.5 + PIXELS_PER_METRE * y - scale * MATRIX[1, 2]]])
        image = cv2.warpAffine(texture, warp, SIZE_WH,
                               flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        depth = np.full(image.shape, DISTANCE - z, np.float32)
        posed.append(PosedFrame(Frame(image, Camera(SIZE_WH, MATRIX), name=str(index),
                                      depth=depth), pose))
    return posed


def config(recipe, **values):
    return MappingConfig(**with_recipe_settings({**SMALL, **values, 'recipe': recipe}))


def test_what_is_learned_is_seen_again(frames, tmp_path):
    """The whole way of the tiny network: the loss falls, the map is written, poses come back."""
    said = []
    learned = learn(frames, config('dsacstar_tiny', steps=300), device='cpu',
                    output=tmp_path / 'wall.map', progress=said.append)
    losses = [state.loss for state in said if state.stage == 'training']
    assert np.median(losses[-5:]) < 0.3 * np.median(losses[:3])
    localizer = Localizer.load(tmp_path / 'wall.map', 'cpu')
    errors = [np.linalg.norm(localizer.localize(posed.frame).world_from_camera[:3, 3]
                             - posed.world_from_camera[:3, 3]) for posed in frames]
    print(losses[:3], losses[-5:], errors)
    assert np.median(errors) < 0.3
    header = read_header(tmp_path / 'wall.map')
    assert (header['recipe'], header['network']) == ('dsacstar_tiny', 'dsacstar_tiny')
    assert header['training']['steps'] == 300 and header['id'] == learned.id
    assert not (tmp_path / 'wall.map.checkpoint').exists()
