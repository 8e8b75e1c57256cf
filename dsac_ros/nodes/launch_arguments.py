# SPDX-License-Identifier: Apache-2.0
"""Misspelt arguments of launch files: `ros2 launch` passes over them in silence."""
from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

ALIKE = 0.7


def misspelt(words: Iterable[str], declared: Sequence[str]) -> list[str]:
    """A line for each name:=value whose name is almost that of a declared argument.

    Other names may be those of a launch file that includes this one.

    Args:
        words: the command line of `ros2 launch` after the file.
        declared: the arguments of the launch file.
    """
    names = [word.split(':=', 1)[0] for word in words if ':=' in word]
    close = {name: difflib.get_close_matches(name, declared, 1, ALIKE) for name in names
             if name not in declared}
    return [f'{name}:= is no argument of this launch file and has no effect: {match[0]}:= is one'
            for name, match in close.items() if match]
