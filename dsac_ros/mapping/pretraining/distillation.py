# SPDX-License-Identifier: Apache-2.0
"""Distillation of the encoder: what looks alike to SIFT shall look alike to it.

The teacher sees a view as it is, the encoder sees it blurred, noisy and in another light. What is
passed on are relations (Park et al., Relational Knowledge Distillation, CVPR 2019), not numbers:
neither the length of a descriptor nor what its channels mean is prescribed.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, normalize, softmax

from dsac_ros.geometry.resample import cell_centres

KEYPOINT = 6.0  # size of the teacher's keypoints; SIFT describes a window six times as wide [px]
SHRINK = 0.5  # of the teacher's view: its window is 72 px of the encoder's, as fast as one of 36


def root_sift_at(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Upright RootSIFT (N, 128) of an image (H, W) uint8 at pixels (N, 2); unit length.

    Arandjelovic and Zisserman, CVPR 2012. A window without any gradient gives zeros.
    """
    small = cv2.resize(image, None, fx=SHRINK, fy=SHRINK, interpolation=cv2.INTER_AREA)
    places = (pixels + 0.5) * SHRINK - 0.5
    keypoints = [cv2.KeyPoint(float(u), float(v), KEYPOINT, 0.0) for u, v in places]
    descriptors = cv2.SIFT_create().compute(small, keypoints)[1]  # type: ignore[attr-defined]
    return np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-7))


def distillation_loss(
    descriptors: Tensor,
    views: Sequence[np.ndarray],
    cells: int,
    temperature: float,
    generator: torch.Generator,
) -> Tensor:
    """Descriptors (B, C, h, w) of changed views, the B views (8 h, 8 w) uint8 unchanged -> loss.

    On `cells` cells drawn from each view.
    """
    student, teacher = [], []
    for grid, view in zip(descriptors.flatten(2), views):
        chosen = torch.randperm(grid.shape[1], generator=generator)[:cells]
        student.append(grid[:, chosen].T)
        teacher.append(root_sift_at(view, cell_centres(view.shape[::-1])[chosen.numpy()]))
    taught = torch.from_numpy(np.concatenate(teacher)).to(descriptors)
    return relational_loss(torch.cat(student), taught, temperature)


def relational_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence of who resembles whom, student (N, C) from teacher (N, D).

    Each row is a distribution over all other rows: the softmax of the cosines. The teacher's mean
    is taken off first, since RootSIFT has no negative entries and all of its cosines are high.
    """
    own = torch.eye(len(student), dtype=torch.bool, device=student.device)
    taught, learned = (
        (normalize(x, dim=1) @ normalize(x, dim=1).T / temperature).masked_fill(own, -1e4)
        for x in (teacher - teacher.mean(0), student)
    )
    return kl_div(log_softmax(learned, 1), softmax(taught, 1), reduction='batchmean')
