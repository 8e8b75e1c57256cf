# SPDX-License-Identifier: Apache-2.0
"""Comparison of variants of end-to-end training on one map and the same queries."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from dsac_ros.config import AcceptConfig, EndToEndConfig, MappingConfig
from dsac_ros.errors import ConfigError
from dsac_ros.evaluation.localizing import localize_posed_frames
from dsac_ros.localizer import Localizer
from dsac_ros.map_file import Map
from dsac_ros.mapping.data import buffer, dataset
from dsac_ros.mapping.encoder_tuning import make_learner
from dsac_ros.mapping.end_to_end import fine_tune
from dsac_ros.metrics import evaluate
from dsac_ros.network.encoder import Encoder
from dsac_ros.types import PosedFrame

# Name of the variant -> changed settings.
VARIANTS: dict[str, dict[str, Any]] = {
    'dsac': {},
    'softam': {'selection': 'softam'},
    'argmax': {'selection': 'argmax'},
    'fixed alpha': {'entropy_bits': 0.0},
    'implicit': {'gradient': 'implicit'},
    'uncertainty': {'score': 'uncertainty'},
    'encoder': {'finetune_encoder': True},
    'rgbd': {'rgbd': True},
}
EVERY_POSE = AcceptConfig(min_inlier_ratio=0.0, min_inliers=0, min_spread=0.0, min_agreement=0.0)
PASSES = 1


@dataclass(frozen=True)
class VariantResult:
    """Results of one training variant on the queries, with and without their depth.

    training_summary is the result of `fine_tune`, empty for the untrained head.
    """

    training: str
    training_summary: dict[str, Any]
    rgb: dict[str, Any]
    rgbd: dict[str, Any] | None


def compare_variants(
    base_map: Map,
    frames: Sequence[PosedFrame],
    queries: Sequence[PosedFrame],
    config: EndToEndConfig,
    device: str,
    progress: Callable[[str], None] = lambda name: None,
) -> Iterator[VariantResult]:
    """Fine-tune a map by every variant in VARIANTS; localize queries without landmarks.

    Each variant starts from the same weights and random samples.

    Args:
        base_map: to fine-tune.
        frames: that the map was learned from; with depth for the variant 'rgbd'.
        queries: to evaluate.
        config: of the end-to-end training, before the change of each variant.
        device: to compute on.
        progress: called with the name of each variant.
    """
    if 'network' in base_map.header:
        raise ConfigError(
            f'the map holds a whole network ({base_map.header["network"]}), expected a '
            'head on the shared encoder: a map of the recipe ace'
        )
    settings = MappingConfig(**base_map.header['provenance']['config'])
    settings = replace(settings, passes=PASSES, depth='auto')
    data = dataset.prepare(
        frames, settings, len(frames), units=(base_map.origin, base_map.header['scale'])
    )
    encoder = base_map.network.encoder.to(device)
    assert isinstance(encoder, Encoder)
    generator = torch.Generator().manual_seed(settings.seed)
    patches = buffer.fill(encoder, data.views, settings, generator, device)
    yield evaluate_variant('before', {}, base_map, queries, device)
    measurable = any(view.depth is not None for view in data.views)
    for name, change in VARIANTS.items():
        if change.get('rgbd') and not measurable:
            continue
        progress(name)
        network = copy.deepcopy(base_map.network).to(device)
        changed = replace(config, **change)
        learner = make_learner(network, patches, data, settings, changed, device)
        training_summary = fine_tune(learner, changed, settings.seed)
        network.requires_grad_(False)
        yield evaluate_variant(
            name, training_summary, replace(base_map, network=network), queries, device
        )


def evaluate_variant(
    name: str,
    training_summary: dict[str, Any],
    base_map: Map,
    queries: Sequence[PosedFrame],
    device: str,
) -> VariantResult:
    """Evaluate one head on the queries."""
    localizer = Localizer(replace(base_map, reference_images=()), device, accept=EVERY_POSE)

    def report(frames: Sequence[PosedFrame]) -> dict[str, Any]:
        found, references = localize_posed_frames(localizer, frames)
        return evaluate(found, references).as_dict()

    blind = [replace(one, frame=replace(one.frame, depth=None)) for one in queries]
    with_depth = all(one.frame.depth is not None for one in queries)
    return VariantResult(
        name, training_summary, report(blind), report(queries) if with_depth else None
    )
