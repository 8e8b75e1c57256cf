# SPDX-License-Identifier: Apache-2.0
"""The networks of DSAC++ and DSAC*, trained entirely for one scene, without a shared encoder.

Fully convolutional, stride 8, no normalisation layers. Like any scene network they consist of an
encoder (with spatial context) and a head (1x1 convolutions per cell), split where ACE, section
3.1, splits DSAC*. They take gray images, DSAC++ too, and predict no uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils import convert_conv2d_weight_memory_format

from dsac_ros.network.scene_network import SceneNetwork

MEAN, DEVIATION = 0.4, 0.25  # of gray levels in [0, 1], DSAC*


@dataclass(frozen=True)
class ConvolutionalConfig:
    """Architecture of one of the networks.

    Attributes:
        stem: channels and stride of each 3x3 convolution.
        blocks: channels of each residual block (3x3, 1x1, 3x3).
        residual: the head begins with a residual block of three 1x1 convolutions.
        hidden: channels of its further layers.
    """

    stem: tuple[tuple[int, int], ...]
    blocks: tuple[int, ...] = ()
    residual: bool = False
    hidden: tuple[int, ...] = ()


NETWORKS = {
    # Brachmann and Rother, CVPR 2018: 26 million parameters, two thirds of them in one layer
    'dsacpp': ConvolutionalConfig(
        stem=((64, 1), (128, 2), (128, 2), (256, 1), (256, 2), (512, 1), (512, 1), (512, 1)),
        hidden=(4096, 4096),
    ),
    # Brachmann and Rother, TPAMI 2021: 28 MB and 4 MB in single precision
    'dsacstar': ConvolutionalConfig(
        stem=((32, 1), (64, 2), (128, 2), (256, 2)),
        blocks=(256, 512),
        residual=True,
        hidden=(512, 512),
    ),
    'dsacstar_tiny': ConvolutionalConfig(
        stem=((32, 1), (64, 2), (128, 2), (128, 2)),
        blocks=(128, 128),
        residual=True,
        hidden=(128, 128),
    ),
}


class ResidualBlock(nn.Module):
    """x + three rectified convolutions, 3x3, 1x1 and 3x3; x by a 1x1 one where channels change."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.Conv2d(outputs, outputs, 1),
                nn.Conv2d(outputs, outputs, 3, padding=1),
            ]
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = relu(layer(y), inplace=True)
        shortcut: Tensor = self.skip(x)
        return shortcut + y


class ConvolutionalEncoder(nn.Module):
    """Images (B, 1, H, W) in [0, 1], H and W multiples of 8 -> features (B, C, H/8, W/8)."""

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__()
        inputs = (1, *(channels for channels, _ in config.stem))
        self.stem = nn.ModuleList(
            nn.Conv2d(before, channels, 3, stride, padding=1)
            for before, (channels, stride) in zip(inputs, config.stem)
        )
        widths = (inputs[-1], *config.blocks)
        self.blocks = nn.ModuleList(map(ResidualBlock, widths, widths[1:]))
        self.channels = widths[-1]
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        x = ((images - MEAN) / DEVIATION).contiguous(memory_format=torch.channels_last)
        for layer in self.stem:
            x = relu(layer(x), inplace=True)
        for block in self.blocks:
            x = block(x)
        return x


class Block(nn.Module):
    """x + three rectified layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = relu(layer(y), inplace=True)
        return x + y


class ConvolutionalHead(nn.Module):
    """Features (..., C) -> points (..., 3) in scene units, sigma (..., 1) [px], which is 1."""

    def __init__(self, channels: int, config: ConvolutionalConfig) -> None:
        super().__init__()
        self.block = Block(channels) if config.residual else nn.Identity()
        widths = (channels, *config.hidden)
        self.layers = nn.ModuleList(map(nn.Linear, widths, config.hidden))
        self.point = nn.Linear(widths[-1], 3)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.block(features)
        for layer in self.layers:
            x = relu(layer(x), inplace=True)
        with torch.autocast(x.device.type, enabled=False):  # millimetres need all digits
            points = self.point(x.float())
        return points, torch.ones_like(points[..., :1])


def draw_weights(network: WholeNetwork) -> None:
    """Draw first weights that pass signals and gradients on at full strength through many layers.

    He et al., ICCV 2015, for rectified layers; torch's own lose a factor of 2.4 in each. The last
    layer keeps its small ones: at first all points are near the middle of the scene.
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer is not network.head.point:
            nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


class WholeNetwork(SceneNetwork):
    """One of NETWORKS for a scene of unit `scale` [m]; the map contains all of its weights."""

    encoder: ConvolutionalEncoder
    head: ConvolutionalHead

    def __init__(self, name: str, scale: float) -> None:
        config = NETWORKS[name]
        encoder = ConvolutionalEncoder(config)
        super().__init__(encoder, ConvolutionalHead(encoder.channels, config), scale)
        self.name = name
