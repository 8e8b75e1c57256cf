# SPDX-License-Identifier: Apache-2.0
"""Choice of the compute device and of the number format of networks and descriptors."""

from __future__ import annotations

import torch

from dsac_ros.errors import ConfigError

#: Names in torch of the CPU instructions that multiply bfloat16: AMX and AVX-512 BF16.
BFLOAT16 = ('_is_amx_tile_supported', '_is_avx512_bf16_supported')
#: Name of a precision -> number format; auto is the fastest of the device.
PRECISIONS = {'auto': None, 'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
_chosen: dict[str, torch.dtype | None] = {'dtype': None}


def choose_device(device: str) -> str:
    """Resolve auto to cuda if available, else cpu.

    Raises:
        ConfigError: the device does not exist.
    """
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
    count = torch.cuda.device_count()
    if (chosen.index or 0) >= count:
        raise ConfigError(
            f'device {device!r} is not available: torch {torch.__version__} finds '
            f'{count} of its kind; use cpu or install a CUDA build'
        )
    return device


def set_precision(precision: str, device: torch.device | str) -> None:
    """Choose the number format of this process, before a map is loaded.

    As with torch's own switches of precision, all networks and descriptors that are made from now
    on have it; points, poses and everything else keep theirs.

    Args:
        precision: one of PRECISIONS.
        device: that computes.

    Raises:
        ConfigError: the device has no fast form of it.
    """
    if precision == 'fp16' and torch.device(choose_device(str(device))).type == 'cpu':
        raise ConfigError('precision is fp16, which needs a GPU: use bf16, fp32 or auto on a CPU')
    _chosen['dtype'] = PRECISIONS[precision]


def fastest_dtype(device: torch.device | str) -> torch.dtype:
    """Return the number format that was chosen, else the fastest one of the device."""
    if (chosen := _chosen['dtype']) is not None:
        return chosen
    if torch.device(device).type == 'cuda':
        return torch.float16
    # missing in older versions of torch
    fast = any(getattr(torch.cpu, name, bool)() for name in BFLOAT16)
    return torch.bfloat16 if fast else torch.float32


def in_half(device: torch.device | str) -> torch.autocast:
    """Return an autocast context to half precision if that is faster, or was chosen."""
    dtype, kind = fastest_dtype(device), torch.device(device).type
    if dtype == torch.float32:
        return torch.autocast(kind, enabled=False)
    return torch.autocast(kind, dtype)


def in_bfloat16(device: torch.device | str) -> torch.autocast:
    """Return an autocast context for training: the range of float32 needs no gradient scaling."""
    if torch.device(device).type == 'cuda':
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.autocast('cuda', torch.bfloat16, enabled=fast)
    return in_half(device)
