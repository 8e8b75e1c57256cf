# SPDX-License-Identifier: Apache-2.0
"""Settings of alignment/: every number that decides says what it is and where it comes from."""

from __future__ import annotations

from dataclasses import fields

import pytest

from dsac_ros.alignment.repetition import RepetitionConfig
from dsac_ros.alignment.search import SearchConfig
from dsac_ros.alignment.verification import VerificationConfig


@pytest.mark.parametrize('config', [RepetitionConfig, SearchConfig, VerificationConfig])
def test_every_setting_has_an_origin(config):
    for field in fields(config):
        assert field.metadata['description'] and field.metadata['origin'], field.name
