# SPDX-License-Identifier: Apache-2.0
"""Distillation: the teacher describes the place it is asked for; relations are what is taught."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from dsac_ros.geometry.resample import cell_centres
from dsac_ros.mapping.pretraining.distillation import (
    distillation_loss,
    relational_loss,
    root_sift_at,
)


def picture(seed: int = 0) -> np.ndarray:
    """Texture (128, 128) that no two places share."""
    coarse = np.random.default_rng(seed).integers(0, 255, (32, 32), dtype=np.uint8)
    return cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC)


def test_teacher_descriptors_move_with_the_image():
    image = picture()
    pixels = cell_centres((128, 128))
    pixels = pixels[((pixels > 48) & (pixels < 80)).all(1)]
    moved = np.roll(image, (6, 10), axis=(0, 1))
    here, there = root_sift_at(image, pixels), root_sift_at(moved, pixels + [10, 6])
    assert np.allclose(np.linalg.norm(here, axis=1), 1.0, atol=1e-5)
    # all entries are positive: even those of different places are close to parallel
    assert (here * there).sum(1).min() > 0.99 > (here * root_sift_at(moved, pixels)).sum(1).max()


def test_a_view_without_gradient_is_described_by_zeros():
    flat = np.full((64, 64), 90, np.uint8)
    assert not root_sift_at(flat, cell_centres((64, 64))).any()


def test_relational_loss_ignores_rotation_and_scale():
    """Relations that agree cost nothing, whatever the channels mean."""
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(64, 16, generator=generator)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=generator))[0]
    same = (teacher - teacher.mean(0)) @ turn * 3.0
    other = torch.randn(64, 16, generator=generator)
    assert relational_loss(same, teacher, 0.07) < 1e-4
    assert relational_loss(other, teacher, 0.07) > 1.0


def test_loss_is_least_for_the_teachers_descriptors():
    """Descriptors of other cells cost more."""
    views = [picture(1), picture(2)]
    taught = torch.from_numpy(np.stack([root_sift_at(v, cell_centres((128, 128))) for v in views]))
    taught = taught - taught.mean((0, 1))
    grids = taught.transpose(1, 2).reshape(2, 128, 16, 16)

    def loss(descriptors: torch.Tensor) -> float:
        return distillation_loss(
            descriptors, views, 64, 0.07, torch.Generator().manual_seed(0)
        ).item()

    assert loss(grids) < 0.01 < 0.1 < loss(grids.flip(3))
