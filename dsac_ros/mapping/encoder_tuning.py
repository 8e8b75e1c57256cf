# SPDX-License-Identifier: Apache-2.0
"""The encoder learns end to end, too: for one map, which carries an encoder of its own then."""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.config import EndToEndConfig, MappingConfig
from dsac_ros.geometry.resample import STRIDE
from dsac_ros.mapping.data.buffer import FeatureBuffer, augmented
from dsac_ros.mapping.data.dataset import Dataset
from dsac_ros.mapping.data.samples import Sample
from dsac_ros.mapping.end_to_end import MIN_CELLS, HeadLearner, Learner, Validator
from dsac_ros.network.scene_network import SceneNetwork
from dsac_ros.types import SceneCoordinates


def make_learner(
    network: SceneNetwork,
    patches: FeatureBuffer,
    data: Dataset,
    config: MappingConfig,
    end_to_end: EndToEndConfig,
    device: str,
) -> Learner:
    """Return the learner that settings ask for: the head on the buffer, or the whole network."""
    if end_to_end.finetune_encoder:
        return NetworkLearner(network, data, config, device)
    head = network.head.requires_grad_(True)
    return HeadLearner(head, patches, Validator.of(network.encoder, data.held_out, device))


class NetworkLearner:
    """Encoder and head learn together, from the views themselves, augmented anew every time."""

    def __init__(
        self, network: SceneNetwork, data: Dataset, config: MappingConfig, device: str
    ) -> None:
        """Both parts of the network are asked for their gradients here."""
        self.module = network.requires_grad_(True)
        self.data, self.config, self.device = data, config, torch.device(device)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.validation_views = len(data.held_out)
        self.usable = [
            index
            for index, view in enumerate(data.views)
            if view.mask.sum() >= MIN_CELLS * STRIDE**2
        ]

    def cost(self, rgbd: bool) -> Tensor:
        """See `Validator`."""
        validator = Validator.of(self.module.encoder, self.data.held_out, str(self.device))
        return validator(self.module.head, rgbd)

    def scene(self, image: int, rgbd: bool) -> tuple[SceneCoordinates, Tensor]:
        """See `Learner`."""
        view = augmented(self.data.views[image], self.config, self.generator)
        seen = Sample.of(view, self.device, self.generator)
        points, sigma = seen.predicted(self.module)
        return seen.to_metric(points, rgbd, sigma)
