# SPDX-License-Identifier: Apache-2.0
"""The feature buffer: augmentation keeps the geometry, rows stay together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dsac_ros.config import MappingConfig
from dsac_ros.geometry.resample import cell_centres
from dsac_ros.mapping.data import buffer
from dsac_ros.mapping.data.view import View
from dsac_ros.network.encoder import Encoder, EncoderConfig

CONFIG = MappingConfig(max_zoom=1.5, max_rotation=20.0, passes=2, patches_per_image=30)
SMALL = EncoderConfig(stem=(4, 8, 8), dilations=(1, 1), descriptor=16)


def dotted_view(pixel: tuple[int, int]) -> View:
    """A black image with one bright blob, seen by a camera somewhere."""
    image = np.zeros((240, 320), np.uint8)
    u, v = pixel
    image[v - 2 : v + 3, u - 2 : u + 3] = 255
    pose = np.eye(4)
    pose[:3, 3] = [1.0, -2.0, 0.5]
    matrix = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])
    depth = np.full((240, 320), 2.0, np.float32)
    return View(image, np.ones((240, 320), bool), matrix, pose, depth)


@pytest.mark.parametrize('pixel', [(160, 120), (220, 100), (90, 160)])
def test_augmentation_changes_image_and_camera_alike(pixel):
    """A point is seen in the augmented image where the augmented camera projects it."""
    view = dotted_view(pixel)
    ray = np.linalg.inv(view.matrix) @ [*pixel, 1.0]
    point = view.scene_from_camera @ [*(2.0 * ray), 1.0]
    generator = torch.Generator().manual_seed(1)
    for _ in range(10):
        changed = buffer.augmented(view, CONFIG, generator)
        seen = np.linalg.inv(changed.scene_from_camera) @ point
        u, v = (changed.matrix @ (seen[:3] / seen[2]))[:2]
        bright = changed.image.astype(float) - np.median(changed.image)
        bright[bright < 0.5 * bright.max()] = 0
        rows, columns = np.indices(bright.shape)
        found = (columns * bright).sum() / bright.sum(), (rows * bright).sum() / bright.sum()
        np.testing.assert_allclose(found, (u, v), atol=1.5)
        assert changed.image.shape[0] % 8 == 0 and changed.image.shape[1] % 8 == 0


def test_filling_keeps_each_patch_with_its_image():
    views = [dotted_view((160, 120)), dotted_view((80, 80))]
    generator = torch.Generator().manual_seed(0)
    shares = []
    filled = buffer.fill(Encoder(SMALL).eval(), views, CONFIG, generator, 'cpu', shares.append)
    assert len(filled) == 2 * 2 * 30 and shares[-1] == 1.0
    descriptors, patches = filled.batch(torch.tensor([0, 45, 100]))
    assert descriptors.shape == (3, 16) and descriptors.dtype == torch.float32
    torch.testing.assert_close(patches.depth, torch.full((3,), 2.0))
    # a point on the patch's ray projects back onto its pixel
    ray = torch.cat(
        [(patches.pixels - patches.principal) / patches.focal[:, None], torch.ones(3, 1)], 1
    )
    scene = (patches.rotation.mT @ (2 * ray - patches.translation)[..., None])[..., 0]
    again = (patches.rotation @ scene[..., None])[..., 0] + patches.translation
    torch.testing.assert_close(again, 2 * ray, atol=1e-4, rtol=1e-4)


def test_same_seed_same_buffer():
    views = [dotted_view((160, 120))]
    encoder = Encoder(SMALL).eval()
    first, second = (
        buffer.fill(encoder, views, CONFIG, torch.Generator().manual_seed(7), 'cpu')
        for _ in range(2)
    )
    torch.testing.assert_close(first.descriptors, second.descriptors)
    torch.testing.assert_close(first.pixels, second.pixels)


def test_a_cell_with_more_to_see_is_drawn_more_often():
    image = np.full((64, 64), 128, np.uint8)
    image[:, 32:] += np.random.default_rng(0).integers(0, 100, (64, 32), dtype=np.uint8)
    view = View(image, np.ones((64, 64), bool), np.eye(3), np.eye(4), None)
    generator = torch.Generator().manual_seed(0)
    drawn = np.concatenate([buffer.patch_cells(view, 8, generator) for _ in range(200)])
    textured = np.mean(drawn % 8 >= 4)
    # weights are 0.3 and 1.7: 0.85 of the first draw, less as the textured ones are used up
    assert 0.78 < textured < 0.85
    assert len(np.unique(drawn)) == 64  # the bare half is not left out


def test_low_memory_takes_fewer_patches_and_warns(monkeypatch, caplog):
    monkeypatch.setattr(buffer, 'available_memory', lambda: 2e4)
    encoder = Encoder(SMALL).eval()
    config = replace(CONFIG, patches_per_image=256)
    filled = buffer.fill(
        encoder, [dotted_view((320, 240))], config, torch.Generator().manual_seed(0), 'cpu'
    )
    assert len(filled) == 64 * CONFIG.passes
    assert 'memory is short' in caplog.text


def test_patches_come_only_from_cells_inside_the_mask():
    mask = np.zeros((32, 48), bool)
    mask[8:24, 16:40] = True
    view = View(np.zeros((32, 48), np.uint8), mask, np.eye(3), np.eye(4), None)
    cells = buffer.patch_cells(view, 100, torch.Generator().manual_seed(0))
    centres = cell_centres((48, 32))[np.sort(cells)]
    assert len(cells) == 6
    assert centres[:, 0].min() == 19.5 and centres[:, 1].max() == 19.5
