# SPDX-License-Identifier: Apache-2.0
"""Compilation of a function of this package by torch.compile."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from dsac_ros.errors import ConfigError

T = TypeVar('T')


def compiled(function: Callable[..., T]) -> Callable[..., T]:
    """Compile a function, once for each combination of tensor shapes, at its first call.

    Raises:
        ConfigError: at the first call, if no compiler is available.
    """
    program = torch.compile(function, dynamic=False, fullgraph=True)

    @functools.wraps(function)
    def run(*arguments: object) -> T:
        try:
            with warnings.catch_warnings():
                # Constants of this package that are kept from call to call become a part of the
                # program; PyTorch warns of every one, and of its own workings.
                warnings.simplefilter('ignore')
                return program(*arguments)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), 'no reason')
            raise ConfigError(
                f'RANSAC cannot be compiled ({reason}), expected a C++ compiler '
                '(sudo apt install g++) and, on a GPU, Triton; compiled=false does '
                'without'
            ) from None

    return run
