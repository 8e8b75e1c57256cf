# SPDX-License-Identifier: Apache-2.0
"""Shape checks of several arguments with common dimensions."""

from __future__ import annotations

from typing import Any


def check_shapes(**named: tuple[Any, str]) -> dict[str, int]:
    """Check the shapes of `named`, e.g. `points=(points, 'B N 3')`; return the sizes by letter.

    A letter stands for one size in all arguments, a number for itself, a leading `...` for any
    batch dimensions.

    Raises:
        ValueError: a shape does not match; the message has the expected and the actual one.
    """
    sizes: dict[str, int] = {}
    for name, (array, pattern) in named.items():
        shape, letters = tuple(array.shape), pattern.split()
        if letters[:1] == ['...']:
            letters = letters[1:]
            bound = shape[len(shape) - len(letters) :] if len(shape) >= len(letters) else None
        else:
            bound = shape if len(shape) == len(letters) else None
        if bound is None or any(
            size != (int(letter) if letter.isdigit() else sizes.setdefault(letter, size))
            for letter, size in zip(letters, bound)
        ):
            known = ', '.join(f'{k}={v}' for k, v in sizes.items())
            raise ValueError(
                f'{name} has shape {shape}, expected ({pattern})'
                + (f' with {known}' if known else '')
            )
    return sizes
