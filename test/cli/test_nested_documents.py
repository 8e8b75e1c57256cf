# SPDX-License-Identifier: Apache-2.0
"""Results, settings and records that are nested without end: one line each."""

from __future__ import annotations

from argparse import Namespace

import pytest

from dsac_ros.cli.bench_tables.extrapolation import earlier_rows
from dsac_ros.cli.bench_tables.report import read_run
from dsac_ros.cli.main import main
from dsac_ros.cli.settings import read_settings
from dsac_ros.cluster_mapping.job import job_of
from dsac_ros.errors import DsacError
from dsac_ros.evaluation.node_outputs import read_events
from dsac_ros.evaluation.runs import Run
from dsac_ros.nodes.map_training import read_record, record_path
from dsac_ros.protocols.run import _read

NESTED = {'arrays': '[' * 100_000, 'objects': '{"a":' * 100_000}


@pytest.mark.parametrize('text', NESTED.values(), ids=NESTED)
@pytest.mark.parametrize(
    'read',
    [
        lambda path: Run.read('earlier', path),
        read_events,
        read_run,
        earlier_rows,
        lambda path: read_settings(Namespace(config=path, settings=[])),
        lambda path: job_of(path, path.read_text()),
    ],
    ids=['evaluation', 'outputs', 'bench', 'rows', 'settings', 'division'],
)
def test_a_nested_document_is_refused(tmp_path, read, text):
    (tmp_path / 'a').write_text(text + '\n')
    with pytest.raises(DsacError) as told:
        read(tmp_path / 'a')
    assert str(tmp_path / 'a') in str(told.value) and len(str(told.value)) < 400


@pytest.mark.parametrize('text', NESTED.values(), ids=NESTED)
def test_a_nested_record_is_none(tmp_path, text):
    (tmp_path / 'a').write_text(text)
    record_path(tmp_path / 'a.map').write_text(text)
    assert _read(tmp_path / 'a') is None and read_record(tmp_path / 'a.map') == {}


def test_a_nested_setting_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as code:
        main(['map', str(tmp_path), '-o', str(tmp_path / 'a'), '--set', 'steps=' + '[' * 100_000])
    assert code.value.code == 2 and 'is not a value of YAML' in capsys.readouterr().err
