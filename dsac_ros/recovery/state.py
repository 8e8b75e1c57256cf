# SPDX-License-Identifier: Apache-2.0
"""All that the recovery remembers, and the condition that it publishes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from dsac_ros.recovery.config import RecoveryConfig
from dsac_ros.recovery.events import VisualFix


class Condition(Enum):
    """State of the relocalizer, by the names of RelocalizationStatus."""

    LOST = 1
    COLLECTING = 2
    LOCALIZED = 3
    DEGRADED = 4
    KIDNAPPED = 5
    GAVE_UP = 6


class Policy(Enum):
    """When seeds are sent."""

    NEVER = 'never'
    ON_REQUEST = 'on_request'
    AUTO = 'auto'


@dataclass(frozen=True)
class State:
    """All that the reducer remembers; times in the seconds of the events."""

    policy: Policy = Policy.ON_REQUEST
    began_s: float | None = None
    now_s: float = 0.0
    fixes: tuple[VisualFix, ...] = ()
    last_fix_s: float = -math.inf
    first_refusal_s: float = math.inf
    refusals: int = 0
    last_refusal: str = ''
    localizer_seen_s: float = -math.inf
    listeners: int = 0
    listener_came_s: float = -math.inf
    is_wanted: bool = False
    was_localized: bool = False
    is_confirmed: bool = False
    kidnapped: bool = False
    gave_up: bool = False
    place_unknown: bool = False
    attempts: int = 0
    seeded_s: float = -math.inf
    is_verifying: bool = False
    confirmations: int = 0
    reason: str = field(default='no image was accepted yet', compare=False)

    def condition(self, config: RecoveryConfig) -> Condition:
        """Return the state to publish."""
        if self.gave_up or self.place_unknown:
            return Condition.GAVE_UP
        if self.kidnapped:
            return Condition.KIDNAPPED
        if self.now_s - self.last_fix_s > config.localization_timeout:
            return Condition.DEGRADED if self.was_localized else Condition.LOST
        return Condition.LOCALIZED if self.is_confirmed else Condition.COLLECTING

    @property
    def has_listener(self) -> bool:
        """Return True if anybody hears a seed."""
        return self.listeners > 0

    def has_localizer(self, config: RecoveryConfig) -> bool:
        """Return True if another node says where the robot is."""
        return self.now_s - self.localizer_seen_s <= config.localizer_timeout
