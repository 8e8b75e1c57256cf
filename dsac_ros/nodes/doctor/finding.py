# SPDX-License-Identifier: Apache-2.0
"""Findings of `dsac doctor`: one line each, with a level and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """Severity: a WARN costs quality or a feature, a FAIL leaves the robot without poses."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True)
class Finding:
    """One checked requirement.

    Attributes:
        level: severity.
        subject: what was checked, a few words.
        text: what was found; of a WARN or FAIL also what was expected and what to do.
    """

    level: Level
    subject: str
    text: str

    @property
    def line(self) -> str:
        """The finding as a line of text."""
        return f'{self.level.name:4}  {self.subject}: {self.text}'


def ok(subject: str, text: str) -> Finding:
    """Return a finding without a fault."""
    return Finding(Level.OK, subject, text)


def warn(subject: str, text: str) -> Finding:
    """Return a finding that costs quality or a feature."""
    return Finding(Level.WARN, subject, text)


def fail(subject: str, text: str) -> Finding:
    """Return a finding that leaves the robot without poses."""
    return Finding(Level.FAIL, subject, text)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the highest level; OK for none."""
    return max((finding.level for finding in findings), default=Level.OK)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 1 if something failed, else 0."""
    return int(worst(findings) is Level.FAIL)


def summary(findings: Sequence[Finding]) -> str:
    """Return the last line of the report."""
    failed, warned = (
        sum(finding.level is level for finding in findings) for level in (Level.FAIL, Level.WARN)
    )
    if failed:
        return f'{failed} failed, {warned} warned: mend the first FAIL, others may follow from it'
    return f'nothing failed, {warned} warned' if warned else 'all is well'


def as_dicts(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Return the findings for JSON."""
    return [
        {'level': one.level.name, 'subject': one.subject, 'text': one.text} for one in findings
    ]
