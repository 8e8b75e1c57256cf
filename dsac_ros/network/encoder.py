# SPDX-License-Identifier: Apache-2.0
"""The scene-agnostic encoder: a gray image to one descriptor per 8x8 cell.

Pre-trained once (`dsac pretrain`) and shared by every map, except those with an encoder tuned
end to end. Plain convolutions with bias: batch normalisation of the training is folded into them
before the weights are saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils import convert_conv2d_weight_memory_format

from dsac_ros.config import setting
from dsac_ros.errors import MapError


@dataclass(frozen=True)
class EncoderConfig:
    """Widths of the encoder; the receptive field follows from the dilations."""

    stem: tuple[int, ...] = setting((32, 64, 128), 'channels at stride 2, 4 and 8')
    dilations: tuple[int, ...] = setting(
        (1, 1, 1, 2, 1, 2), 'of the 3x3 convolutions at stride 8, two to a residual block'
    )
    descriptor: int = setting(256, 'channels of a descriptor', low=8)


class ConvUnit(nn.Sequential):
    """3x3 convolution, with batch normalisation during pre-training."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1, norm: bool = False
    ) -> None:
        conv = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=not norm)
        super().__init__(conv, *([nn.BatchNorm2d(outputs)] if norm else []))


class Residual(nn.Module):
    """x + conv(relu(conv(x))), rectified."""

    def __init__(self, channels: int, dilations: tuple[int, int], norm: bool) -> None:
        super().__init__()
        first, second = dilations
        self.first = ConvUnit(channels, channels, dilation=first, norm=norm)
        self.second = ConvUnit(channels, channels, dilation=second, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.first(x), inplace=True)
        return relu(self.second(y).add_(x), inplace=True)


class Encoder(nn.Module):
    """Images (B, 1, H, W) in [0, 1], H and W multiples of 8 -> descriptors (B, C, H/8, W/8)."""

    def __init__(self, config: EncoderConfig = EncoderConfig(), norm: bool = False) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth = config.stem
        self.stem = nn.ModuleList(
            [
                ConvUnit(1, half, stride=2, norm=norm),
                ConvUnit(half, quarter, stride=2, norm=norm),
                ConvUnit(quarter, quarter, norm=norm),
                ConvUnit(quarter, eighth, stride=2, norm=norm),
            ]
        )
        pairs = zip(config.dilations[::2], config.dilations[1::2])
        self.blocks = nn.ModuleList([Residual(eighth, pair, norm) for pair in pairs])
        self.project = nn.Conv2d(eighth, config.descriptor, 1)
        # the memory format of the images, to avoid conversions
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        x = standardise(images).contiguous(memory_format=torch.channels_last)
        for unit in self.stem:
            x = relu(unit(x), inplace=True)  # in place: bound by memory bandwidth on a CPU
        for block in self.blocks:
            x = block(x)
        x = self.project(x)
        # length sqrt(C): every channel has about unit variance, independent of contrast
        descriptors: Tensor = x * (x.shape[1] / (x.square().sum(1, keepdim=True) + 1e-6)).sqrt()
        return descriptors


def standardise(images: Tensor) -> Tensor:
    """Normalise each image to zero mean and unit variance, to cancel exposure and gain."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) / (images - mean).square().mean((1, 2, 3), keepdim=True).add(
        1e-4
    ).sqrt()


def folded(encoder: Encoder) -> Encoder:
    """Return an equivalent encoder with batch normalisation folded into the convolutions."""
    plain = Encoder(encoder.config, norm=False)
    targets = [m for m in plain.modules() if isinstance(m, ConvUnit)]
    sources = [m for m in encoder.modules() if isinstance(m, ConvUnit)]
    with torch.no_grad():
        for target, source in zip(targets, sources):
            if len(source) == 1:
                target.load_state_dict(source.state_dict())
                continue
            (new, *_), (conv, norm) = target, source
            assert isinstance(new, nn.Conv2d) and isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None and norm.running_var is not None
            assert new.bias is not None
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            new.weight.copy_(conv.weight * gain[:, None, None, None])
            new.bias.copy_(norm.bias - norm.running_mean * gain)
        plain.project.load_state_dict(encoder.project.state_dict())
    return plain.eval()


def load_encoder(name: str = 'encoder') -> tuple[Encoder, str]:
    """Load the encoder shipped with the package.

    Returns:
        The encoder and its id, the first 16 digits of its hash.

    Raises:
        MapError: the package has no encoder of that name.
    """
    import hashlib

    from safetensors.torch import load

    path = files('dsac_ros.network') / 'weights' / f'{name}.safetensors'
    if not path.is_file():
        raise MapError(f'no encoder {name!r} in this package (expected {path}); reinstall it')
    data = path.read_bytes()
    encoder = Encoder()
    encoder.load_state_dict({key: value.float() for key, value in load(data).items()})
    encoder.requires_grad_(False)
    return encoder.eval(), hashlib.sha256(data).hexdigest()[:16]
