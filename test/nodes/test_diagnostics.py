# SPDX-License-Identifier: Apache-2.0
"""nodes/diagnostics.py: levels and values that a snapshot of a node leads to."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from dsac_ros.msg import MappingStatus, RelocalizationStatus
from dsac_ros.nodes.diagnostics import (
    MAX_TEXT,
    CameraHealth,
    InputHealth,
    MapHealth,
    RelocalizerSnapshot,
    relocalizer_statuses,
)
from dsac_ros.nodes.mapper_diagnostics import MapperSnapshot, mapper_statuses
from dsac_ros.types import Result

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
ERROR, STALE = DiagnosticStatus.ERROR, DiagnosticStatus.STALE
CAMERA = CameraHealth('camera', 29.9, 0.02, 0.01, 'rgb8', '640x480, f 525.0 525.0 px')
STATUS = RelocalizationStatus(
    state=RelocalizationStatus.LOCALIZED,
    result=RelocalizationStatus.ACCEPTED,
    confidence=0.97,
    inlier_count=812,
    frames_dropped=7,
    divergence_translation=math.nan,
    divergence_rotation=math.nan,
)
HEALTHY = RelocalizerSnapshot(
    'robot1/dsac_relocalizer',
    True,
    InputHealth((CAMERA,)),
    MapHealth('0123abcd', 'kitchen', 'kitchen.map'),
    'cpu',
    tuple(range(50, 151)),
    STATUS,
    True,
    0.2,
    'auto',
)
RECORDING = MappingStatus(state=MappingStatus.RECORDING, images=50, keyframes=9)


def statuses(snapshot):
    make = relocalizer_statuses if isinstance(snapshot, RelocalizerSnapshot) else mapper_statuses
    return {one.name.split(': ')[1]: one for one in make(snapshot)}


def values(status):
    return {one.key: one.value for one in status.values}


def changed(message, **fields):
    """A copy of a message with other values in some fields."""
    other = copy.deepcopy(message)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def test_a_healthy_relocalizer_is_ok():
    found = statuses(HEALTHY)
    assert list(found) == ['input', 'inference', 'localization', 'tf', 'map']
    assert {one.level for one in found.values()} == {OK}
    assert found['tf'].name == 'robot1/dsac_relocalizer: tf'
    assert {one.hardware_id for one in found.values()} == {'0123abcd'}
    given = {**values(found['input']), **values(found['inference'])}
    assert (given['encoding'], given['image rate [Hz]'], given['missing']) == (
        'rgb8',
        '29.9',
        'nothing',
    )
    assert (given['p50 [ms]'], given['p95 [ms]'], given['device']) == ('100', '145', 'cpu')
    given = values(found['localization'])
    assert (given['inliers'], given['state']) == ('812', 'localized')
    assert (given['last fix [s ago]'], given['off from TF [m]']) == ('0.2', 'unknown')
    assert values(found['map']) == {
        'map_id': '0123abcd',
        'name': 'kitchen',
        'file': 'kitchen.map',
    }


@pytest.mark.parametrize(
    ('changes', 'part', 'level', 'said'),
    [
        (dict(inputs=InputHealth(missing='no images on /image')), 'input', STALE, 'on /image'),
        (dict(inputs=InputHealth((replace(CAMERA, age_s=9.0),))), 'input', STALE, 'no images'),
        (dict(inputs=InputHealth((replace(CAMERA, age_s=9.0),))), 'localization', STALE, ''),
        (dict(inputs=InputHealth((CAMERA,), 'no camera_info')), 'input', ERROR, 'no camera_info'),
        (dict(status=None), 'inference', STALE, 'no image processed'),
        (dict(status=None), 'localization', STALE, 'no image processed'),
        (dict(is_localized=False), 'localization', ERROR, 'lost'),
        (dict(tf_mode='map_odom', tf_problem='a rival'), 'tf', ERROR, 'a rival'),
        (dict(tf_problem='a rival'), 'tf', WARN, 'a rival'),
        (dict(map=MapHealth(problem='parameter map is empty')), 'map', ERROR, 'map is empty'),
    ],
)
def test_faults_of_a_relocalizer(changes, part, level, said):
    found = statuses(replace(HEALTHY, **changes))[part]
    assert found.level == level and said in found.message


@pytest.mark.parametrize(
    ('fields', 'part', 'level'),
    [
        (dict(result=Result.NO_CAMERA_INFO), 'input', ERROR),
        (dict(result=Result.BAD_IMAGE), 'input', ERROR),
        (dict(result=Result.STALE), 'input', ERROR),
        (dict(result=Result.ERROR), 'inference', ERROR),
        (dict(result=Result.TF_UNAVAILABLE), 'tf', ERROR),
        (dict(result=Result.LOW_INLIERS, consecutive_rejected=1), 'localization', OK),
        (dict(result=Result.LOW_INLIERS, consecutive_rejected=3), 'localization', WARN),
        (dict(state=RelocalizationStatus.COLLECTING), 'localization', WARN),
        (dict(state=RelocalizationStatus.DEGRADED), 'localization', WARN),
        (dict(state=RelocalizationStatus.KIDNAPPED), 'localization', ERROR),
        (dict(state=RelocalizationStatus.GAVE_UP), 'localization', ERROR),
    ],
)
def test_results_and_states_have_their_level(fields, part, level):
    status = changed(STATUS, **{**fields, 'reason': 'because'})
    found = statuses(replace(HEALTHY, status=status))
    assert found[part].level == level
    assert level == OK or 'because' in found[part].message
    assert [name for name, one in found.items() if one.level != OK] in ([part], [])


def test_an_inactive_node_is_stale_but_for_its_map():
    found = statuses(replace(HEALTHY, is_active=False, status=None))
    assert {name for name, one in found.items() if one.level == STALE} == set(found) - {'map'}


def test_several_cameras_have_their_own_values():
    other = replace(CAMERA, frame='rear', rate_hz=5.0, intrinsics='')
    given = values(statuses(replace(HEALTHY, inputs=InputHealth((CAMERA, other))))['input'])
    assert given['rear image rate [Hz]'] == '5' and given['camera image rate [Hz]'] == '29.9'
    assert given['rear intrinsics'] == 'none yet'
    # one that is silent is no fault while another sends
    silent = InputHealth((replace(CAMERA, age_s=60.0), other))
    assert statuses(replace(HEALTHY, inputs=silent))['input'].level == OK


def test_a_value_of_any_length_is_cut():
    camera = replace(CAMERA, encoding='x' * 100_000)
    given = values(statuses(replace(HEALTHY, inputs=InputHealth((camera,))))['input'])
    assert given['encoding'] == 'x' * MAX_TEXT


@pytest.mark.parametrize(
    ('fields', 'part', 'level', 'said'),
    [
        ({}, 'recording', OK, '9 keyframes of 50 images'),
        (dict(rejected_pose=30, last_reason='no TF'), 'recording', WARN, 'no TF'),
        (dict(state=MappingStatus.IDLE), 'recording', OK, 'not recording'),
        (dict(state=MappingStatus.TRAINING, stage='head', progress=0.5), 'training', OK, '50%'),
        (dict(state=MappingStatus.FAILED, last_reason='disk full'), 'training', ERROR, 'disk'),
        (dict(state=MappingStatus.DONE, map_url='a.map'), 'training', OK, 'a.map'),
    ],
)
def test_levels_of_the_mapper(fields, part, level, said):
    status = changed(RECORDING, **fields)
    found = statuses(MapperSnapshot('dsac_mapper', InputHealth((CAMERA,)), status))
    assert list(found) == ['input', 'recording', 'training']
    assert found[part].level == level and said in found[part].message


def test_an_inactive_mapper_is_stale():
    found = statuses(MapperSnapshot('dsac_mapper', InputHealth(), None))
    assert {one.level for one in found.values()} == {STALE}
