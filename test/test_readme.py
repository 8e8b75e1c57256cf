# SPDX-License-Identifier: Apache-2.0
"""README.md is true to the letter: its commands parse, its files exist, its code names resolve."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from pathlib import Path

import pytest

from dsac_ros.cli.main import VERBS, make_parser
from dsac_ros.nodes.launch_arguments import LAUNCH_ARGUMENTS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'^```(\w*)\n(.*?)^```', README, re.S | re.M)
LINES = [
    line.split('#')[0].strip()
    for _, block in BLOCKS
    for line in block.replace('\\\n', ' ').splitlines()
]
INLINE = re.findall(r'`([^`\n]+)`', README)


def commands(program):
    """The words after `program` in every command line of the README."""
    found = [
        shlex.split(line)[1:]
        for line in [*LINES, *INLINE]
        if re.match(rf'(\.venv/bin/)?{program} ', line)
    ]
    assert found, f'the README shows no {program} command'
    return [pytest.param(words, id=' '.join(words)) for words in found]


@pytest.mark.parametrize('words', commands('dsac'))
def test_dsac_commands_parse(words):
    if words == ['VERB', '--help']:
        return
    args = make_parser().parse_args(words)
    assert args.verb == words[0]


def test_every_verb_is_shown():
    shown = {param.values[0][0] for param in commands('dsac')}
    assert shown >= set(VERBS)


def test_a_node_that_hears_a_bag_uses_its_time():
    """On wall time every image of the bag is STALE."""
    (node,) = [
        param.values[0]
        for param in commands('dsac')
        if param.values[0][0] == 'run' and len(param.values[0]) > 2
    ]
    (player,) = [
        param.values[0]
        for param in commands('dsac')
        if param.values[0][0] == 'play' and len(param.values[0]) > 2
    ]
    assert 'use_sim_time:=true' in node and '--clock' in player


@pytest.mark.parametrize('words', commands('make'))
def test_make_targets_exist(words):
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    for target in words:
        assert re.search(rf'^{target}:', makefile, re.M), f'no target {target}'


@pytest.mark.parametrize('words', commands('ros2 launch'))
def test_launch_files_take_these_arguments(words):
    _, package, file, *arguments = words
    assert package == 'dsac_ros'
    assert (ROOT / 'launch' / file).exists()
    declared = {argument.name for argument in LAUNCH_ARGUMENTS[file]}
    assert {argument.partition(':=')[0] for argument in arguments} <= declared


@pytest.mark.parametrize('code', [block for kind, block in BLOCKS if kind == 'python'])
def test_python_names_resolve(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)


def test_nothing_is_left_to_fill_in():
    assert '@@' not in README


def test_it_is_short_and_begins_with_commands_soon():
    lines = README.splitlines()
    assert len(lines) <= 150 and max(map(len, lines)) <= 120
    for command, latest in (('ros2 launch', 20), ('make demo', 24), ('make test', 24)):
        assert next(i for i, line in enumerate(lines, 1) if line.startswith(command)) <= latest


#: First word of a row of the results -> the scene in docs/data.
SCENES = {
    'RedKitchen': 'redkitchen',
    'HoloLens': 'hololens',
    'rooftop': 'rooftop',
    'meeting': 'meetingroom',
    'statue': 'statue',
    'blowtorch': 'blowtorch',
    'figure': 'figure',
}


def test_results_are_those_of_the_committed_json():
    newest = {
        (row['scene'], row['system']): row
        for path in sorted((ROOT / 'docs' / 'data').glob('scenes-*.json'))
        for row in json.loads(path.read_text())['rows']
        if row['split'] == 'full'
    }
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in README.split('## Results')[1].split('\n\n')[2].splitlines()[2:]
    ]
    assert [row[0].split()[0].rstrip(',') for row in rows] == list(SCENES)
    for row, scene in zip(rows, SCENES.values()):
        ours, peer = newest[scene, 'dsac'], newest[scene, 'sift_sfm']
        asked = f'{ours["mapping_frames"]} + {ours["queries"]}'
        assert row[1:] == [asked, *result_cells(ours), *result_cells(peer)]
        assert ours['results']['wrong'] == 0
    others = {scene for scene, _ in newest} - set(SCENES.values())
    assert len(others) == 7
    assert all(
        row['results']['within']['1.0%'] == 1.0
        for (scene, _), row in newest.items()
        if scene in others
    )


def result_cells(row):
    """Shares, median and size of one system, as the README writes them."""
    found = row['results']
    shares = ' / '.join(f'{100 * found["within"][name]:.0f}' for name in ('1.0%', '2.5%', '5.0%'))
    wrong = f', {found["wrong"]} wrong' if found['wrong'] else ''
    return [
        shares + wrong,
        f'{100 * found["median_translation"]:.2f} %',
        f'{found["map_bytes"] / 1e6:.1f}',
    ]


def test_scenarios_are_those_of_the_committed_json():
    newest = max((ROOT / 'docs' / 'data').glob('recovery-*.json'))
    r = {row['scenario']: row for row in json.loads(newest.read_text(encoding='utf-8'))['rows']}
    start, kidnaps, drive = (
        r[name]
        for name in (
            'start lost',
            'kidnaps to random places',
            'drive 10 minutes beside a healthy localizer',
        )
    )
    away, wrong_map, lens = (
        r[name]
        for name in ('kidnapped off the map', 'wrong map', 'a third of the image dark for good')
    )
    twins = [row for name, row in r.items() if name.startswith('two look-alike rooms')]
    cover, info = (
        r[name]
        for name in ('camera covered, kidnapped, uncovered', 'camera_info missing, then there')
    )
    clock, killed, swapped = (
        r[name]
        for name in ('clock set back by 25 s', 'killed and restarted', 'map swapped while driving')
    )
    own, large = r['two TF publishers, own mode'], r['60 Hz at 1080p']
    assert len(twins) == 4 and away['seeds'] == wrong_map['seeds'] == 0
    expected = {
        f'started lost, {start["starts"]} times': f'{start["recovered_in_10_s"]} localized within '
        f'10 s, {start["median_s"]} s in the median; {start["wrong_seeds"]} wrong seeds',
        f'{kidnaps["kidnaps"]} kidnaps to random places': f'{kidnaps["recovered_in_10_s"]} '
        f'recovered within 10 s of the first good view, {kidnaps["median_s"]} s in the median; '
        f'{kidnaps["wrong_seeds"]} wrong seeds',
        '10 minutes beside a healthy localizer': f'{drive["resets"]} resets',
        'kidnapped off the map; wrong map': f'gave up after {away["gave_up_after_s"]} s; '
        f'{wrong_map["gave_up_after_s"]} s, 0 seeds; recovered '
        f'{away["recovered_after_return_s"]} s after its return',
        'two rooms that look the same, healthy or lost': f'{sum(t["seeds"] for t in twins)} '
        f'seeds, {sum(t["false_accepts"] for t in twins)} poses of the wrong room',
        'camera covered meanwhile; camera_info missing': f'{cover["seeds_under_cover"]} seeds; '
        f'recovered after {cover["recovered_s"]} s; {info["recovered_s"]} s',
        'a third of the image dark for good': f'{lens["recovered_in_10_s"]} of '
        f'{lens["kidnaps"]} kidnaps recovered, {lens["resets"]} resets',
        'clock set back; node killed; map swapped': f'{clock["resets"] + killed["resets"] + swapped["resets"]} '
        f'resets; kidnapped then, recovered in {clock["kidnap_recovered_s"]} s; '
        f'{killed["kidnap_meanwhile_recovered_s"]} s; {swapped["kidnap_then_recovered_s"]} s',
        'another publisher of `map` -> `odom`; 60 Hz at 1080p': f'{own["sent_beside_a_localizer"]} '
        f'sent beside it; newest wins, waits {large["waited_p95_ms"]} ms (p95)',
    }
    section = README.split('## Recovery')[1].split('\n\n')[2]
    rows = [[cell.strip() for cell in row.strip('|').split('|')] for row in section.splitlines()]
    assert dict(rows[2:]) == expected
