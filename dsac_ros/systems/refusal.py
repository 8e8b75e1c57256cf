# SPDX-License-Identifier: Apache-2.0
"""A map that accepts nothing says so when it is learned, not at the hundredth query."""

from __future__ import annotations

from typing import Any

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.systems.evidence import EvidenceModel, nothing_accepted


def refusal(header: dict[str, Any]) -> str:
    """Return why a map of this header refuses every frame; '' if it may accept some.

    A map of scene coordinates with landmarks may accept by these, whatever its coordinates are
    worth; that of a whole network has none.
    """
    if 'system' in header:
        model = EvidenceModel.from_dict(header.get('acceptance'))
        return '' if model.accepts else nothing_accepted(model)
    by_coordinates = AcceptanceModel.of_header(header)
    if by_coordinates.accepts_alone or 'network' not in header:
        return ''
    kind = 'held-out' if header.get('held_out') else 'mapping'
    if not by_coordinates.right_alone:
        return (
            f'none of the {by_coordinates.checked} {kind} frames that were asked was right in '
            'this map: it accepts nothing; train longer, with a larger --minutes'
        )
    return (
        f'{by_coordinates.right_alone} of {by_coordinates.checked} {kind} frames were right in '
        'this map, and nothing tells those from the others: it accepts nothing; train longer, '
        'with a larger --minutes'
    )
