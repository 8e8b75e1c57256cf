# SPDX-License-Identifier: Apache-2.0
"""Which device to compute on."""
from __future__ import annotations

import torch

from dsac_ros.errors import ConfigError

#: What torch calls the instructions by which a CPU multiplies bfloat16: AMX, and AVX-512 BF16.
BFLOAT16 = ('_is_amx_tile_supported', '_is_avx512_bf16_supported')


def choose_device(device: str) -> str:
    """auto -> cuda where there is one, else cpu; ConfigError for a device that is not there."""
    if device == 'auto':
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    unknown = ConfigError(f'no such device: {device!r}, expected auto, cpu, cuda or cuda:1')
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise unknown from None
    if chosen.type == 'cpu':
        return 'cpu'
    if chosen.type != 'cuda':
        raise unknown
    there = torch.cuda.device_count()
    if (chosen.index or 0) >= there:
        raise ConfigError(f'device {device!r} was asked for, torch {torch.__version__} sees '
                          f'{there} of its kind; use cpu or install a CUDA build')
    return device


def in_half(device: torch.device | str) -> torch.autocast:
    """A context of half precision where the device multiplies matrices faster in it."""
    if torch.device(device).type == 'cuda':
        return torch.autocast('cuda', torch.float16)
    return in_bfloat16(device)


def fastest_dtype(device: torch.device | str) -> torch.dtype:
    """Return the type of numbers in which the device multiplies matrices fastest."""
    context = in_half(device)
    return context.fast_dtype if context._enabled else torch.float32


def in_bfloat16(device: torch.device | str) -> torch.autocast:
    """The same for training: the exponents of float32, so that no gradient has to be scaled."""
    kind = torch.device(device).type
    if kind == 'cuda':
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        fast = any(getattr(torch.cpu, name, bool)() for name in BFLOAT16)  # older ones do not tell
    return torch.autocast(kind, torch.bfloat16, enabled=fast)
