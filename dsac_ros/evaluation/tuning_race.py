# SPDX-License-Identifier: Apache-2.0
"""What end-to-end training gives: one head, fine-tuned in several ways, on the same queries."""
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
from dsac_ros.mapping import buffer, dataset
from dsac_ros.mapping.encoder_tuning import make_learner
from dsac_ros.mapping.fine_tuning import fine_tune
from dsac_ros.metrics import evaluate
from dsac_ros.network.encoder import Encoder
from dsac_ros.types import PosedFrame

# What is changed of the settings, by the name of the row.
VARIANTS: dict[str, dict[str, Any]] = {
    'dsac': {}, 'softam': {'selection': 'softam'}, 'argmax': {'selection': 'argmax'},
    'fixed alpha': {'entropy_bits': 0.0}, 'implicit': {'gradient': 'implicit'},
    'uncertainty': {'score': 'uncertainty'}, 'encoder': {'finetune_encoder': True},
    'rgbd': {'rgbd': True}}
EVERY_POSE = AcceptConfig(min_inlier_ratio=0.0, min_inliers=0, min_spread=0.0, min_agreement=0.0)
PASSES = 1


@dataclass(frozen=True)
class Row:
    """One way of training, and the queries' report with and without their depth.

    told is what `fine_tune` says of itself, empty for the head as it was.
    """

    training: str
    told: dict[str, Any]
    rgb: dict[str, Any]
    rgbd: dict[str, Any] | None


def tuning_race(known: Map, frames: Sequence[PosedFrame], queries: Sequence[PosedFrame],
                config: EndToEndConfig, device: str,
                progress: Callable[[str], None] = lambda name: None) -> Iterator[Row]:
    """Fine-tune a map in every way of VARIANTS; queries are answered without landmarks.

    frames are those that the map was learned from; with depth where the variant 'rgbd' is to have
    some. Each variant starts from the same weights and draws.
    """
    if 'network' in known.header:
        raise ConfigError(f'the map holds a whole network ({known.header["network"]}), expected a '
                          'head on the shared encoder: a map of the recipe ace')
    settings = MappingConfig(**known.header['provenance']['config'])
    settings = replace(settings, passes=PASSES, depth='auto')
    data = dataset.prepare(frames, settings, len(frames),
                           units=(known.origin, known.header['scale']))
    encoder = known.network.encoder.to(device)
    assert isinstance(encoder, Encoder)
    generator = torch.Generator().manual_seed(settings.seed)
    patches = buffer.fill(encoder, data.views, settings, generator, device)
    yield measured('before', {}, known, queries, device)
    measurable = any(view.depth is not None for view in data.views)
    for name, change in VARIANTS.items():
        if change.get('rgbd') and not measurable:
            continue
        progress(name)
        network = copy.deepcopy(known.network).to(device)
        changed = replace(config, **change)
        learner = make_learner(network, patches, data, settings, changed, device)
        told = fine_tune(learner, changed, settings.seed)
        network.requires_grad_(False)
        yield measured(name, told, replace(known, network=network), queries, device)


def measured(name: str, told: dict[str, Any], known: Map, queries: Sequence[PosedFrame],
             device: str) -> Row:
    """The row of one head."""
    localizer = Localizer(replace(known, reference_images=()), device, accept=EVERY_POSE)

    def report(frames: Sequence[PosedFrame]) -> dict[str, Any]:
        found, references = localize_posed_frames(localizer, frames)
        return evaluate(found, references).as_dict()
    blind = [replace(one, frame=replace(one.frame, depth=None)) for one in queries]
    with_depth = all(one.frame.depth is not None for one in queries)
    return Row(name, told, report(blind), report(queries) if with_depth else None)
