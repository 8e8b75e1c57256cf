# SPDX-License-Identifier: Apache-2.0
"""Description of the machine that numbers were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> dict[str, str]:
    """Return CPU, GPU, and the versions of Python and torch."""
    import torch

    return {
        'cpu': f'{cpu_model()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads',
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else 'none',
        'python': platform.python_version(),
        'torch': torch.__version__,
    }


def cpu_model() -> str:
    """Return the model of the CPU, where the system tells it, and its architecture."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        lines = []
    models = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return f'{models[0]} ({platform.machine()})' if models else platform.machine()
