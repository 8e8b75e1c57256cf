# SPDX-License-Identifier: Apache-2.0
"""A new map is offered to a relocalizer: who takes it, who refuses, who is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from rcl_interfaces.msg import SetParametersResult
from robot import LATCHED, Robot, untrained_map

from dsac_ros.map_container import read_header
from dsac_ros.msg import MapInfo
from dsac_ros.nodes import map_offer
from dsac_ros.nodes.map_offer import MapOffer


def conclude(offer, spin_until):
    """The outcome, which is told once."""
    told = []
    assert spin_until(lambda: told.append(offer.step()) or any(told))
    (outcome,) = filter(None, told)
    assert offer.step() == '' and offer.outcome == outcome
    return outcome


@pytest.mark.parametrize('reason', ['', 'of another camera'])
def test_a_node_with_a_parameter_map_decides(make_node, spin_until, reason):
    listener = make_node('listener')
    listener.declare_parameter('map', '')
    listener.add_on_set_parameters_callback(
        lambda changes: SetParametersResult(successful=not reason, reason=reason)
    )
    offer = MapOffer(make_node('mapper'), '/listener', Path('/tmp/new.map'))
    outcome = conclude(offer, spin_until)
    assert offer.is_accepted == (not reason) and reason in outcome
    assert listener.get_parameter('map').value == ('' if reason else '/tmp/new.map')
    offer.close()


def test_a_node_without_such_a_parameter_refuses(make_node, spin_until):
    make_node('listener')
    offer = MapOffer(make_node('mapper'), 'listener', Path('/tmp/new.map'))
    assert 'listener does not take the map /tmp/new.map: ' in conclude(offer, spin_until)
    assert not offer.is_accepted
    offer.close()


@pytest.mark.parametrize(
    ('name', 'expected'), [('/nobody', 'no such node answers'), ('/a b', 'no name of a node')]
)
def test_nobody_is_there(make_node, spin_until, monkeypatch, name, expected):
    monkeypatch.setattr(map_offer, 'SERVICE_TIMEOUT_S', 0.3)
    offer = MapOffer(make_node('mapper'), name, Path('/tmp/new.map'))
    if offer.outcome:
        assert expected in offer.outcome and offer.step() == ''
    else:
        assert expected in conclude(offer, spin_until)
    offer.close()


def test_a_closed_offer_is_silent(make_node):
    offer = MapOffer(make_node('mapper'), '/nobody', Path('/tmp/new.map'))
    offer.close()
    assert offer.step() == ''


def test_a_relocalizer_takes_the_map(tmp_path):
    old, new = (untrained_map(tmp_path / f'{seed}.map', seed) for seed in (0, 1))
    robot = Robot(map=str(old))
    try:
        infos = robot.listen(MapInfo, f'{robot.me}/map_info', LATCHED)
        robot.wait_for_node()
        offer = MapOffer(robot.node, f'/{robot.me}', new)
        assert robot.spin(lambda: offer.step() or offer.outcome, 60.0), robot.process.output
        assert offer.is_accepted, offer.outcome
        assert robot.spin(lambda: infos and infos[-1].map_id == read_header(new)['id'], 30.0)
        offer.close()
    finally:
        robot.close()
