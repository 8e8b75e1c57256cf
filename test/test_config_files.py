# SPDX-License-Identifier: Apache-2.0
"""Files in config/ for nav2, robot_localization, RViz and Foxglove: readable, and about us."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'config'
TREE = CONFIG / 'navigate_w_visual_relocalization.xml'
# Nodes of BehaviorTree.CPP and nav2, of humble to rolling, and those of their ports that we use.
NODES = {
    'Sequence': set(),
    'Fallback': set(),
    'ReactiveFallback': set(),
    'PipelineSequence': set(),
    'RoundRobin': set(),
    'RecoveryNode': {'number_of_retries'},
    'RateController': {'hz'},
    'GoalUpdated': set(),
    'ComputePathToPose': {'goal', 'path', 'planner_id'},
    'FollowPath': {'path', 'controller_id'},
    'ClearEntireCostmap': {'service_name'},
    'ReinitializeGlobalLocalization': {'service_name', 'server_timeout'},
    'Wait': {'wait_duration', 'server_name', 'server_timeout'},
    'Spin': {'spin_dist'},
    'BackUp': {'backup_dist', 'backup_speed'},
}
DECORATORS = {'RateController'}
# Topics of 5.3 and 5.7 of the interface that carry what a picture shows.
SHOWN = {
    'dsac_relocalizer': {
        *('pose_with_covariance', 'status', 'localized', 'kidnapped', 'candidates'),
        *('map_points', 'markers', 'debug/image', 'debug/scene_points'),
    },
    'dsac_mapper': {'keyframes', 'coverage', 'coverage_updates'},
}


@pytest.fixture(scope='module')
def tree():
    (found,) = ElementTree.parse(TREE).getroot().findall('BehaviorTree')
    return found


def test_the_tree_has_only_nodes_of_nav2(tree):
    root = ElementTree.parse(TREE).getroot()
    assert root.get('BTCPP_format') == '4'
    assert root.get('main_tree_to_execute') == tree.get('ID')
    for node in tree.iter():
        if node is tree:
            continue
        assert node.tag in NODES, node.tag
        assert set(node.attrib) - {'name'} <= NODES[node.tag], node.attrib
        assert len(node) == 1 if node.tag in DECORATORS else True
    names = [node.get('name') for node in tree.iter() if node.get('name')]
    assert len(names) == len(set(names))


def test_the_tree_fits_the_oldest_nav2(tree):
    for wait in tree.iter('Wait'):
        assert wait.get('wait_duration').isdigit()  # an int on humble
    for node in tree.iter():
        assert not [name for name in node.attrib if name.startswith('error_code')]
        if 'dsac_relocalizer' in node.get('service_name', '') + node.get('server_name', ''):
            assert int(node.get('server_timeout')) >= 1000  # the default is 20 ms


def test_the_tree_asks_the_camera_first(tree):
    first = tree.find('.//RoundRobin')[0]
    assert first.get('name') == 'VisualRelocalization'
    asked = {
        node.get('service_name') or node.get('server_name')
        for node in first.find('Fallback').iter()
        if node.tag in ('Wait', 'ReinitializeGlobalLocalization')
    }
    assert asked == {
        'dsac_relocalizer/wait_until_localized',
        'dsac_relocalizer/reinitialize_global_localization',
    }
    # obstacles of the wrong place are forgotten after it, in both costmaps
    assert [node.tag for node in first] == ['Fallback'] + 2 * ['ClearEntireCostmap']


def test_the_filter_takes_our_poses():
    document = yaml.safe_load((CONFIG / 'ekf_map.yaml').read_text())
    values = document['ekf_map']['ros__parameters']
    assert values['pose0'] == 'dsac_relocalizer/pose_with_covariance'
    assert values['world_frame'] == values['map_frame'] == 'map'
    assert values['smooth_lagged_data'] and values['history_length'] >= 1.0
    assert values['pose0_rejection_threshold'] > 3.0
    assert not values['pose0_differential']
    for name, fused in (('pose0_config', 3), ('odom0_config', 3)):
        assert len(values[name]) == 15 and sum(values[name]) == fused
    assert 'initialpose:=set_pose' in (CONFIG / 'ekf_map.yaml').read_text()


def check_shown(topics):
    ours = [topic.removeprefix('/').split('/', 1) for topic in topics if '/dsac_' in topic]
    assert {node for node, _ in ours} == set(SHOWN)
    for node, name in ours:
        assert name in SHOWN[node], f'{node}/{name}'
    return {name for _, name in ours}


def test_rviz_shows_topics_of_ours():
    document = yaml.safe_load((CONFIG / 'dsac.rviz').read_text())
    manager = document['Visualization Manager']
    assert manager['Global Options']['Fixed Frame'] == 'map'
    topics = [
        display[key]['Value']
        for display in manager['Displays']
        for key in ('Topic', 'Update Topic')
        if key in display
    ]
    found = check_shown(topics)
    assert {'markers', 'candidates', 'map_points', 'pose_with_covariance', 'coverage'} <= found
    assert '/initialpose' in topics
    for display in manager['Displays']:
        assert re.fullmatch(r'(rviz_default_plugins|nav2_rviz_plugins)/\w+', display['Class'])
    names = [display['Name'] for display in manager['Displays']]
    assert len(names) == len(set(names))


def test_foxglove_shows_topics_of_ours():
    document = json.loads((CONFIG / 'foxglove_layout.json').read_text())
    text = json.dumps(document)
    topics = set(re.findall(r'/dsac_\w+/[\w/]+', text))
    assert {'status', 'localized', 'kidnapped', 'markers'} <= check_shown(topics)
    panels = set(re.findall(r'"(?:first|second)": "([^"]+)"', text))
    assert panels == set(document['configById'])
    fields = set(re.findall(r'/dsac_relocalizer/status\.(\w+)', text))
    message = (ROOT / 'msg' / 'RelocalizationStatus.msg').read_text()
    assert fields and all(re.search(rf'^\S+ {field}$', message, re.M) for field in fields)


@pytest.mark.parametrize('path', sorted((ROOT / 'launch').glob('*.py')), ids=lambda p: p.name)
def test_launch_files_name_files_that_exist(path):
    tree = ast.parse(path.read_text())
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    named = [s for s in strings if isinstance(s, str) and re.fullmatch(r'[\w.]+\.(rviz|xml)', s)]
    assert all((CONFIG / name).exists() for name in named), named
