# SPDX-License-Identifier: Apache-2.0
"""One authority per edge: who may publish the parent of odom."""

from __future__ import annotations

import pytest

from dsac_ros.nodes.tf_authority import LISTENING_TIME_NS, TfAuthority

START = 5_000_000_000
LATER = START + LISTENING_TIME_NS


def authority(mode='auto', conflict='refuse', child='odom'):
    return TfAuthority(mode, child, conflict, START)


def test_auto_listens_first_and_needs_odometry():
    guard = authority()
    assert not guard.may_publish(LATER - 1, has_odometry=True)
    assert not guard.may_publish(LATER, has_odometry=False)
    assert guard.may_publish(LATER, has_odometry=True)


def test_auto_yields_for_ever():
    guard = authority()
    assert guard.heard('map', 'odom', 17)
    assert not guard.may_publish(LATER, has_odometry=True)
    assert not guard.heard('map', 'odom', 18), 'news only once'
    assert not guard.may_publish(LATER * 1000, has_odometry=True)


def test_our_own_voice_is_no_rival():
    guard = authority()
    guard.sent(42)
    assert not guard.heard('map', 'odom', 42)
    assert guard.may_publish(LATER, has_odometry=True)


@pytest.mark.parametrize('child', ['base_link', 'odometer', 'camera'])
def test_other_frames_do_not_matter(child):
    guard = authority()
    assert not guard.heard('map', child, 1)
    assert guard.may_publish(LATER, has_odometry=True)


def test_old_names_with_a_slash_are_the_same_frame():
    assert authority().heard('/map', '/odom', 1)


@pytest.mark.parametrize(('conflict', 'allowed'), [('refuse', False), ('warn', True)])
def test_an_explicit_mode_and_a_rival(conflict, allowed):
    guard = authority('map_odom', conflict)
    assert guard.may_publish(START, has_odometry=True)
    guard.heard('map', 'odom', 1)
    assert guard.may_publish(START, has_odometry=True) == allowed


def test_none_is_silent():
    assert not authority('none').may_publish(LATER, has_odometry=True)
    assert authority('none').kind == 'none'


def test_auto_is_about_odom():
    assert authority().kind == 'map_odom'
    assert authority('map_base').kind == 'map_base'


def test_a_static_rival_is_one_too():
    guard = authority()
    guard.sent(0)
    assert guard.heard('map', 'odom', 0, is_static=True)
    assert not guard.may_publish(LATER, has_odometry=True)
    assert 'another node publishes map -> odom on /tf_static: tf_mode auto stops' in guard.problem


@pytest.mark.parametrize(
    ('mode', 'conflict', 'words'),
    [
        ('auto', 'warn', 'tf_mode auto stops publishing; stop that node and activate'),
        ('map_odom', 'refuse', 'tf_mode map_odom stops publishing'),
        ('map_odom', 'warn', 'continues to publish, and the pose of the robot alternates'),
    ],
)
def test_the_problem_says_what_a_rival_does(mode, conflict, words):
    guard = authority(mode, conflict)
    assert guard.problem == ''
    guard.heard('map', 'odom', 1)
    assert words in guard.problem
