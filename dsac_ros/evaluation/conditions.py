# SPDX-License-Identifier: Apache-2.0
"""Failure conditions on a report for CI, such as `recall@0.05m/5deg<0.8`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from operator import ge, gt, le, lt

from dsac_ros.evaluation.consistency import consistency
from dsac_ros.evaluation.thresholds import NUMBER, THRESHOLD, parse_threshold
from dsac_ros.metrics import Report, field_median, percentiles

COMPARISONS = {'<=': le, '>=': ge, '<': lt, '>': gt}
PLAIN_NAMES = (
    'frames',
    'accepted',
    'median_translation_m',
    'median_rotation_deg',
    'median_translation_accepted_m',
    'median_rotation_accepted_deg',
    'false_accepts',
    'confidence_auc',
    'map_bytes',
)
KNOWN_NAMES = (
    *PLAIN_NAMES,
    'recall@0.05m/5deg (any metres and degrees)',
    'recall@2%/5deg (any share of the depth)',
    'coverage.1sigma',
    'coverage.2sigma',
    'coverage.3sigma',
    'hardest.3sigma (coverage of the hardest quarter; 1sigma, 2sigma)',
    'nees.position',
    'nees.pose',
    'latency_ms.total.p50',
    'latency_ms.total.p95',
    'latency_ms.total.p99',
)
RECALL = 'recall@'


@dataclass(frozen=True)
class Condition:
    """Comparison of a number in the report with a limit."""

    text: str
    name: str
    comparison: str
    limit: float

    def value(self, report: Report) -> float:
        """Return the number that the condition refers to; NaN if the report has none."""
        if self.name.startswith(RECALL):
            threshold = parse_threshold(self.name.removeprefix(RECALL))
            metres = threshold.metres(report.limits.depth)
            return metres if math.isnan(metres) else report.recall(metres, threshold.degrees)
        group, _, rest = self.name.partition('.')
        if group == 'latency_ms':
            stage, _, key = rest.rpartition('.')
            times = report.latency_ms.get(stage)
            return math.nan if times is None else percentiles(times)[key]
        if group == 'coverage':
            return report.coverage()[rest]
        if group == 'nees':
            return float(consistency(report)['accepted'][rest]['mean'])
        if group == 'hardest':
            quartiles = consistency(report)['quartiles']
            return float(quartiles[-1]['pose']['coverage'][rest]) if quartiles else math.nan
        # Not the JSON object: there an infinite median is None.
        exact = {
            'median_translation_m': field_median(report.translation_m),
            'median_rotation_deg': field_median(report.rotation_deg),
        }
        value = exact.get(self.name, report.as_dict()[self.name])
        return math.nan if value is None else float(value)

    def holds(self, report: Report) -> bool:
        """Return True if the failure condition is triggered; a missing value triggers it."""
        value = self.value(report)
        return math.isnan(value) or COMPARISONS[self.comparison](value, self.limit)


def parse_condition(text: str) -> Condition:
    """Parse `NAME<NUMBER` (also <=, >, >=).

    Raises:
        ValueError: the text is malformed or the name unknown.
    """
    match = re.fullmatch(rf'\s*([^<>=\s]+)\s*(<=|>=|<|>)\s*(-?{NUMBER})\s*', text)
    if not match:
        raise ValueError(
            f'{text!r} is not NAME<NUMBER or NAME>NUMBER; known names: {", ".join(KNOWN_NAMES)}'
        )
    name = match[1]
    if not (
        name in PLAIN_NAMES
        or (name.startswith(RECALL) and THRESHOLD.fullmatch(name.removeprefix(RECALL)))
        or re.fullmatch(
            r'(coverage|hardest)\.[123]sigma|nees\.(position|pose)|latency_ms\.\w+\.p(50|95|99)',
            name,
        )
    ):
        raise ValueError(
            f'unknown name {name!r} in {text!r}; known names: {", ".join(KNOWN_NAMES)}'
        )
    return Condition(text.strip(), name, match[2], float(match[3]))
