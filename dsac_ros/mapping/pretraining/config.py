# SPDX-License-Identifier: Apache-2.0
"""Settings of the pre-training of the encoder."""

from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.config import setting


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the pre-training of the encoder."""

    steps: int = setting(8000, 'gradient steps', low=1)
    pairs: int = setting(5, 'pairs of views per step', low=1)
    crop: int = setting(256, 'side of a view', unit='px', low=64)
    correspondences: int = setting(384, 'points drawn from each pair', low=8)
    objective: str = setting(
        'both', 'what is asked of the descriptors', choices=('contrastive', 'distillation', 'both')
    )
    cells: int = setting(128, 'cells of each view on which SIFT is distilled', low=8)
    temperature: float = setting(0.07, 'of the softmax over candidates', low=1e-3)
    learning_rate: float = setting(1.5e-3, 'peak of the one-cycle schedule', low=1e-6)
    rendered_share: float = setting(
        0.5,
        'share of the pairs from posed frames with depth, where there are any',
        low=0.0,
        high=1.0,
    )
    max_rotation: float = setting(
        0.6, 'largest rotation between two views of a photograph', unit='rad', low=0.0
    )
    max_zoom: float = setting(2.0, 'largest change of scale between two views', low=1.0)
    seed: int = setting(0, 'seed of all draws', low=0)
