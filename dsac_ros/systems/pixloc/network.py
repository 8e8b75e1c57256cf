# SPDX-License-Identifier: Apache-2.0
"""Features and confidences of an image at three levels, for alignment.

A U-Net: its contracting half is the shared encoder, frozen, and its expanding half is learned end
to end from poses (Sarlin et al., "Back to the Feature", CVPR 2021, sec. 3.1).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, pad, relu

from dsac_ros.errors import MapError
from dsac_ros.network.encoder import Encoder, load_encoder, standardise

STRIDES = (8, 4, 2)  # of the levels, coarse to fine [px]
CHANNELS = (64, 48, 32)  # of their features
SKIPS = (128, 64, 32)  # channels of the encoder at these strides
WEIGHTS = 'pixloc.safetensors'
#: Damping factors are 10 to the power of numbers in this range (supplement, sec. A).
LEAST_DAMPING, MOST_DAMPING = -6.0, 5.0
START_DAMPING, START_SCALE = -2.0, 0.3


@dataclass(frozen=True)
class Level:
    """Features of B images on a grid with this stride.

    features (B, C, h, w) of unit length; confidence (B, 1, h, w) in [0, 1]. Cell j lies at the
    pixel stride * j + (stride - 1) / 2.
    """

    features: Tensor
    confidence: Tensor
    stride: int


class Expansion(nn.Module):
    """Levels out of the encoder's activations, and the two learned priors of the alignment.

    damping (levels, 6): logits of the damping factors of a step, translation first; log_scale
    (levels,): logarithm of the residual beyond which a point counts less.
    """

    def __init__(self) -> None:
        super().__init__()
        before = (0, *CHANNELS[:-1])
        self.units = nn.ModuleList(
            nn.Conv2d(skip + coarser, channels, 3, padding=1)
            for skip, coarser, channels in zip(SKIPS, before, CHANNELS)
        )
        self.heads = nn.ModuleList(nn.Conv2d(channels, channels + 1, 1) for channels in CHANNELS)
        share = (START_DAMPING - LEAST_DAMPING) / (MOST_DAMPING - LEAST_DAMPING)
        start = torch.tensor(share).logit()
        self.damping = nn.Parameter(start.expand(len(STRIDES), 6).clone())
        self.log_scale = nn.Parameter(torch.tensor(START_SCALE).log().expand(len(STRIDES)).clone())

    def forward(self, skips: tuple[Tensor, ...]) -> list[Level]:
        """Activations of the encoder, coarse to fine -> levels, coarse to fine."""
        levels: list[Level] = []
        x: Tensor | None = None
        for skip, unit, head, stride in zip(skips, self.units, self.heads, STRIDES):
            if x is not None:
                x = interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)
                skip = torch.cat([skip, x.to(skip.dtype)], 1)
            x = relu(unit(skip))
            out = head(x).float()
            levels.append(Level(normalize(out[:, :-1], dim=1), out[:, -1:].sigmoid(), stride))
        return levels

    def damping_factors(self, level: int) -> Tensor:
        """Return the damping factors (6,) of a level."""
        share = self.damping[level].sigmoid()
        factors: Tensor = 10.0 ** (LEAST_DAMPING + (MOST_DAMPING - LEAST_DAMPING) * share)
        return factors


class FeatureNetwork(nn.Module):
    """Images (B, 1, H, W) in [0, 1] -> levels, coarse to fine."""

    def __init__(self, encoder: Encoder, expansion: Expansion) -> None:
        super().__init__()
        self.encoder, self.expansion = encoder.requires_grad_(False).eval(), expansion

    def forward(self, images: Tensor) -> list[Level]:
        """Extract features; sides that are no multiples of 8 are padded by their border."""
        height, width = images.shape[2:]
        images = pad(images, (0, -width % 8, 0, -height % 8), mode='replicate')
        levels: list[Level] = self.expansion(self.activations(images))
        return levels

    def activations(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the encoder's activations at the strides of the levels."""
        with torch.no_grad():
            x = standardise(images).contiguous(memory_format=torch.channels_last)
            half, down, quarter, eighth = self.encoder.stem
            fine = relu(half(x))
            middle = relu(quarter(relu(down(fine))))
            coarse = relu(eighth(middle))
            for block in self.encoder.blocks:
                coarse = block(coarse)
        return coarse, middle, fine


def load_network() -> tuple[FeatureNetwork, str]:
    """Load the network shipped with the package.

    Returns:
        The network and its id, the first 16 digits of the hash of both halves.

    Raises:
        MapError: the package has no weights of it.
    """
    from safetensors.torch import load

    encoder, encoder_id = load_encoder()
    path = files('dsac_ros.systems.pixloc') / 'weights' / WEIGHTS
    if not path.is_file():
        raise MapError(f'no weights of PixLoc in this package (expected {path}); reinstall it')
    data = path.read_bytes()
    expansion = Expansion()
    expansion.load_state_dict({key: value.float() for key, value in load(data).items()})
    network = FeatureNetwork(encoder, expansion.requires_grad_(False)).eval()
    return network, hashlib.sha256(encoder_id.encode() + data).hexdigest()[:16]
