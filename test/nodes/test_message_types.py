# SPDX-License-Identifier: Apache-2.0
"""Our message types are the same ones on the embedded runtime and in a colcon build."""

import json
import os
from pathlib import Path

import pytest

from dsac_ros.nodes.runtime import message_files

# Read from a colcon build of this package; a change of msg/*.msg needs a new build to read from.
OURS = {
    'dsac_ros/msg/MapInfo': 'RIHS01_0d92b69841678b2f9b0fb327b1a40e23da0ab522ef14519b22ab4c392decab54',
    'dsac_ros/msg/MappingStatus': 'RIHS01_94c0c8284bf821d8f00a86fb6d166211cebe9208923f10976302a799fa7a09ab',
    'dsac_ros/msg/PosedFrame': 'RIHS01_801652bf0e86be1c8101e4e8018ec06df22d1be0de1042e0b2d37a8a6a1000f1',
    'dsac_ros/msg/RelocalizationStatus': 'RIHS01_f8e5e19705a7c32034121f64a65bf489d8a2c2e83f11da8b8c59d3b78f308c08',
}


@pytest.mark.embedded
@pytest.mark.parametrize('type_name', sorted(OURS))
def test_hash_is_that_of_ros(type_name):
    from embedded_ros.typestore import type_hash

    assert type_hash(type_name) == OURS[type_name]


@pytest.mark.ros
def test_hash_is_that_of_the_installed_package():
    found = [
        Path(prefix, 'share/dsac_ros/msg')
        for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
        if prefix
    ]
    described = [
        json.loads(file.read_text()) for folder in found for file in folder.glob('*.json')
    ]
    hashes = {
        entry['type_name']: entry['hash_string']
        for description in described
        for entry in description['type_hashes']
    }
    assert {name: hashes[name] for name in OURS} == OURS


def test_every_message_has_a_hash_here():
    assert sorted(OURS) == [f'dsac_ros/msg/{path.stem}' for path in message_files()]


def test_our_messages_can_be_imported():
    import dsac_ros.msg

    for type_name in OURS:
        message = getattr(dsac_ros.msg, type_name.split('/')[2])()
        assert message.header.frame_id == ''
