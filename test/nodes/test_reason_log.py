# SPDX-License-Identifier: Apache-2.0
"""Reasons are throttled one by one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dsac_ros.nodes.reason_log import MAX_KINDS, ReasonLog


@pytest.fixture
def lines():
    return []


@pytest.fixture
def log(lines):
    logger = SimpleNamespace(warning=lines.append, error=lines.append)
    context = SimpleNamespace(ok=lambda: True)
    return ReasonLog(SimpleNamespace(get_logger=lambda: logger, context=context), 0.2)


def test_a_reason_does_not_hide_another(log, lines):
    for _ in range(5):
        log.warning('STALE', '1.2 s old')
        log.warning('STALE', '7.9 s old')  # the same but for its number
        log.warning('BAD_IMAGE', 'no contrast')
        log.warning('BAD_IMAGE', 'size 3x4')
    assert lines == ['STALE: 1.2 s old', 'BAD_IMAGE: no contrast', 'BAD_IMAGE: size 3x4']


def test_it_is_repeated_after_the_period(log, lines, monkeypatch):
    now = 100.0
    monkeypatch.setattr('dsac_ros.nodes.reason_log.time.monotonic', lambda: now)
    for now in (100.0, 100.1, 100.25, 100.3, 100.5):
        log.error('', 'again')
    assert lines == ['again'] * 3


def test_many_kinds_need_little_memory(log, lines):
    for number in range(3 * MAX_KINDS):
        log.warning('BAD_IMAGE', 'encoding ' + 'x' * number)
    assert len(lines) == 3 * MAX_KINDS and len(log._logged) == MAX_KINDS
