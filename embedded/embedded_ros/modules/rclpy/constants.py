# SPDX-License-Identifier: Apache-2.0
"""Units of time."""

from __future__ import annotations

S_TO_NS = 1000 * 1000 * 1000
