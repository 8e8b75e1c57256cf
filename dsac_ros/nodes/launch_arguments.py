# SPDX-License-Identifier: Apache-2.0
"""Detection of misspelled launch arguments, which `ros2 launch` ignores silently."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

MIN_SIMILARITY = 0.7


def misspelled(words: Iterable[str], declared: Sequence[str]) -> list[str]:
    """Return a warning for each name:=value whose name resembles a declared argument.

    Other unknown names may belong to a launch file that includes this one.

    Args:
        words: the command line of `ros2 launch` after the file.
        declared: the arguments of the launch file.
    """
    names = [word.split(':=', 1)[0] for word in words if ':=' in word]
    close = {
        name: difflib.get_close_matches(name, declared, 1, MIN_SIMILARITY)
        for name in names
        if name not in declared
    }
    return [
        f'{name}:= is no argument of this launch file and has no effect: {match[0]}:= is one'
        for name, match in close.items()
        if match
    ]
