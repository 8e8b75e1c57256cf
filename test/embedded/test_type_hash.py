# SPDX-License-Identifier: Apache-2.0
"""Our RIHS01 hashes against those that rosidl generated for ROS 2 Jazzy.

The expected values were read from `share/<package>/<kind>/<Type>.json` of a Jazzy built from
source (REP 2016).
"""
import pytest

from dsac_ros.embedded.packages import own_type_names
from dsac_ros.embedded.typestore import message_folder, type_hash

JAZZY = {
    'std_msgs/msg/String':
        'RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18',
}


@pytest.mark.parametrize('type_name', sorted(JAZZY))
def test_hash_is_that_of_ros(type_name):
    assert type_hash(type_name) == JAZZY[type_name]


def test_our_own_messages_are_those_of_the_msg_folder():
    stems = sorted(path.stem for path in message_folder().glob('*.msg'))
    assert own_type_names() == [f'dsac_ros/msg/{stem}' for stem in stems]
    import dsac_ros.msg
    for stem in stems:
        message = getattr(dsac_ros.msg, stem)()
        assert message.header.frame_id == ''
        assert type_hash(message.TYPE_NAME).startswith('RIHS01_')
