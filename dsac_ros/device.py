# SPDX-License-Identifier: Apache-2.0
"""Choice of the compute device and of its fastest number format."""
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


def fastest_dtype(device: torch.device | str) -> torch.dtype:
    """Return the type of numbers in which the device multiplies matrices fastest."""
    if torch.device(device).type == 'cuda':
        return torch.float16
    # older versions of torch do not tell
    fast = any(getattr(torch.cpu, name, bool)() for name in BFLOAT16)
    return torch.bfloat16 if fast else torch.float32


def in_half(device: torch.device | str) -> torch.autocast:
    """Return a context of half precision where the device multiplies matrices faster in it."""
    dtype, kind = fastest_dtype(device), torch.device(device).type
    if dtype == torch.float32:
        return torch.autocast(kind, enabled=False)
    return torch.autocast(kind, dtype)


def in_bfloat16(device: torch.device | str) -> torch.autocast:
    """Return the same for training: exponents of float32, so that no gradient is scaled."""
    if torch.device(device).type == 'cuda':
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.autocast('cuda', torch.bfloat16, enabled=fast)
    return in_half(device)
