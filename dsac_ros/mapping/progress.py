# SPDX-License-Identifier: Apache-2.0
"""What a long training says of itself while it runs."""
from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    fraction is of the stage; seconds_left of the whole, NaN if not known yet; loss and valid
    (share of patches with a valid coordinate) only while training.
    """

    stage: str
    fraction: float
    seconds_left: float = math.nan
    loss: float = math.nan
    valid: float = math.nan
