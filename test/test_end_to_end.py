# SPDX-License-Identifier: Apache-2.0
"""The whole way without ROS: a corner of a rendered room is learned on the CPU and found again.

The command line does it, as a user would.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys

import numpy as np
import pytest

from dsac_ros.cli.inspect import describe
from dsac_ros.cli.main import main
from dsac_ros.map_container import read_header
from dsac_ros.sources.folder import FolderWriter

pytestmark = pytest.mark.slow

# Twice what was measured (5 cm, 1.1 deg; 500 steps are few), and far from the size of the room.
MEDIAN_M, MEDIAN_DEG = 0.12, 3.0


@pytest.fixture(scope='module')
def query_folder(tiny_map, tmp_path_factory):
    """The frames that were left out, as a folder."""
    path = tmp_path_factory.mktemp('queries') / 'corner'
    with FolderWriter(path) as folder:
        for posed in tiny_map.queries:
            folder.write(posed.frame, posed.world_from_camera)
    return path


def test_frames_that_were_never_seen_are_found(tiny_map, query_folder, tmp_path, capsys):
    code = main(
        [
            'evaluate',
            str(tiny_map.map),
            str(query_folder),
            '--device',
            'cpu',
            '--progress',
            'off',
            '--json',
            '--report',
            str(tmp_path / 'report'),
            '--fail-if',
            f'median_translation_m>{MEDIAN_M}',
            '--fail-if',
            f'median_rotation_deg>{MEDIAN_DEG}',
            '--fail-if',
            'recall@0.25m/10deg<0.75',
            '--fail-if',
            'false_accepts>0',
        ]
    )
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    assert code == 0, captured.err
    assert results['frames'] == len(tiny_map.queries)
    assert results['map_bytes'] == tiny_map.map.stat().st_size
    assert set(results['latency_ms']) >= {'network', 'ransac', 'total'}
    assert (tmp_path / 'report' / 'report.html').stat().st_size > 100_000


def test_a_condition_that_holds_fails(tiny_map, query_folder, capsys):
    code = main(
        [
            'evaluate',
            str(tiny_map.map),
            str(query_folder),
            '--device',
            'cpu',
            '--progress',
            'off',
            '--fail-if',
            'frames<1000',
        ]
    )
    captured = capsys.readouterr()
    assert code == 1
    assert f'frames<1000 (it is {len(tiny_map.queries)})' in captured.err
    assert 'median error' in captured.out


def test_an_evaluation_repeats_byte_for_byte(tiny_map, query_folder, tmp_path, capsys):
    """Shown beside an earlier run and another map; files of times alone differ."""
    words = ['evaluate', str(tiny_map.map), str(query_folder), '--device', 'cpu']
    words += ['--progress', 'off', '--kidnap', '50', '--seed', '5', '--thresholds', '2%/5']
    assert main([*words, '--report', str(tmp_path / 'first')]) == 0
    others = ['--beside', f'earlier={tmp_path / "first"}', '--beside', f'same={tiny_map.map}']
    files = []
    for folder in (tmp_path / 'a', tmp_path / 'b'):
        assert main([*words, *others, '--report', str(folder)]) == 0
        files.append({path.name: path.read_bytes() for path in folder.iterdir()})
    first, second = files
    different = {name for name in first if first[name] != second[name]}
    assert different <= {'times.html', 'times.json'} < set(first)
    rows = json.loads(first['summary.json'])['side_by_side']
    assert [row.pop('name') for row in rows] == ['this run', 'earlier', 'same']
    assert rows[0] == rows[1] == rows[2]
    text = capsys.readouterr().out
    assert 'mean NEES' in text and 'kidnaps         50' in text and 'within  2% depth' in text


def test_the_same_seed_gives_the_same_pose(tiny_map, query_folder, capsys):
    outputs = []
    for _ in range(2):
        assert (
            main(
                [
                    'localize',
                    str(tiny_map.map),
                    str(query_folder),
                    '--device',
                    'cpu',
                    '--progress',
                    'off',
                    '--json',
                ]
            )
            == 0
        )
        outputs.append(json.loads(capsys.readouterr().out))
    assert outputs[0]['poses'] == outputs[1]['poses']


def test_poses_go_to_tum_and_refusals_keep_reasons(tiny_map, query_folder, tmp_path, capsys):
    folder = tmp_path / 'with_black'
    shutil.copytree(query_folder, folder)
    image = sorted((folder / 'rgb').iterdir())[0]
    import cv2

    cv2.imwrite(str(image), np.zeros((240, 320, 3), np.uint8))
    poses = tmp_path / 'poses.tum'
    assert (
        main(
            [
                'localize',
                str(tiny_map.map),
                str(folder),
                '-o',
                str(poses),
                '--device',
                'cpu',
                '--progress',
                'off',
                '--json',
                str(tmp_path / 'all.json'),
            ]
        )
        == 0
    )
    results = json.loads((tmp_path / 'all.json').read_text())
    black = results['poses'][0]
    assert (black['accepted'], black['result']) == (False, 'BAD_IMAGE')
    assert 'no contrast' in black['reason']
    assert 'world_from_camera' not in black
    lines = [line for line in poses.read_text().splitlines() if not line.startswith('#')]
    assert len(lines) == results['accepted'] >= 1
    assert 'not accepted, BAD_IMAGE' in capsys.readouterr().out


def test_inspect_tells_and_draws_without_torch(tiny_map, tmp_path, capsys):
    assert main(['inspect', str(tiny_map.map), '--picture', str(tmp_path / 'map.png')]) == 0
    shown = capsys.readouterr().out
    assert 'frames          24' in shown and 'map frame       corner' in shown
    assert 'twins' not in shown
    assert 'twins           2 views' in '\n'.join(describe({'twin_views': [3, 4]}, tiny_map.map))
    assert (tmp_path / 'map.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['{source}', '{map}'], 'expected a map file: the map comes first'),
        (['{map}', '{map}'], 'is a map, expected frames'),
        (['{map}', '{source}/nowhere'], 'nowhere does not exist'),
        (['{map}', '{empty}'], 'is an empty folder'),
        (['{torn}', '{source}'], 'is truncated'),
        (['{text}', '{source}'], 'is not a dsac_ros map'),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tiny_map, query_folder, tmp_path, capsys, words, message
):
    places = {
        'map': tiny_map.map,
        'source': query_folder,
        'empty': tmp_path / 'empty',
        'torn': tmp_path / 'torn.map',
        'text': tmp_path / 'text.map',
    }
    places['empty'].mkdir()
    places['torn'].write_bytes(tiny_map.map.read_bytes()[:-1000])
    places['text'].write_text('not a map at all')
    code = main(['evaluate', *(word.format(**places) for word in words), '--progress', 'off'])
    error = capsys.readouterr().err
    assert code == 1
    assert message in error
    assert error.startswith('dsac: error: ')
    assert error.count('\n') == 1


@pytest.fixture(scope='module')
def mapping_folder(tiny_map, tmp_path_factory):
    """A few frames to learn from, as a folder."""
    path = tmp_path_factory.mktemp('mapping') / 'corner'
    with FolderWriter(path) as folder:
        for posed in tiny_map.mapping[::2]:
            folder.write(posed.frame, posed.world_from_camera)
    return path


def test_an_interrupted_mapping_goes_on_where_it_was(mapping_folder, tmp_path, run_process):
    output = tmp_path / 'corner.map'
    command = [
        sys.executable,
        '-m',
        'dsac_ros.cli.main',
        'map',
        str(mapping_folder),
        '-o',
        str(output),
        '--device',
        'cpu',
        '--progress',
        'json',
        '--json',
        '--set',
        'steps=200',
        '--set',
        'batch=256',
        '--set',
        'width=128',
        '--set',
        'short_side=120',
        '--set',
        'passes=1',
        '--set',
        'patches_per_image=64',
        '--set',
        'held_out=0.0',
        '--set',
        'early_stop=1.0',
        '--minutes',
        '20',
    ]
    first = run_process(command)
    first.wait_for('"stage": "training"', timeout=300)
    assert first.stop(signal.SIGINT, timeout=60) == 130
    assert 'the same command with --resume goes on' in first.output
    assert not output.exists()
    assert (tmp_path / 'corner.map.checkpoint').exists()
    second = run_process([*command, '--resume'])
    assert second.wait(timeout=300) == 0, second.output
    fractions = [
        json.loads(line)['fraction'] for line in second.lines if '"stage": "training"' in line
    ]
    assert fractions[0] > 10 / 200, 'it began from the start'
    assert output.exists()
    assert not (tmp_path / 'corner.map.checkpoint').exists()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['{source}', '-o', '{folder}'], 'is a folder, expected the name of the file'),
        (['{source}', '-o', '{folder}/no/such/place.map'], 'does not exist, make it first'),
        (['{source}', '-o', '{folder}/a.map', '--set', 'minuets=3'], "did you mean 'minutes'"),
        (['{source}', '-o', '{folder}/a.map', '--recipe', 'dsacstra'], "did you mean 'dsacstar'"),
        (['{source}', '-o', '{folder}/a.map', '--poses', 'nowhere.tum'], 'nowhere.tum'),
        (['{folder}/none.mcap', '-o', '{folder}/a.map'], 'none.mcap does not exist'),
        (['{source}', '-o', '{folder}/a.map', '--device', 'cuda:99'], 'cuda:99'),
    ],
)
def test_mapping_says_what_is_wrong_in_one_line(mapping_folder, tmp_path, capsys, words, message):
    words = [word.format(source=mapping_folder, folder=tmp_path) for word in words]
    assert main(['map', *words, '--progress', 'off']) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith('dsac: error: ')
    assert error.count('\n') == 1
    assert not (tmp_path / 'a.map').exists()


def test_bench_prints_stages_and_the_machine(tiny_map, query_folder, mapping_folder, capsys):
    assert (
        main(
            [
                'bench',
                'query',
                str(tiny_map.map),
                str(query_folder),
                '--device',
                'cpu',
                '--progress',
                'off',
                '--json',
            ]
        )
        == 0
    )
    query = json.loads(capsys.readouterr().out)
    assert {'network', 'ransac', 'align', 'total'} <= set(query['latency_ms'])
    assert query['machine']['torch'] and query['peak_memory_mb'] > 100
    assert (
        main(
            [
                'bench',
                'mapping',
                str(mapping_folder),
                '--device',
                'cpu',
                '--progress',
                'off',
                '--json',
                '--set',
                'steps=20',
                '--set',
                'batch=256',
                '--set',
                'short_side=120',
                '--set',
                'patches_per_image=64',
                '--set',
                'held_out=0.0',
            ]
        )
        == 0
    )
    mapping = json.loads(capsys.readouterr().out)
    assert list(mapping['stages']) == [
        'reading',
        'checking',
        'matching',
        'encoding',
        'training',
        'measuring',
    ]
    assert sum(mapping['stages'].values()) <= mapping['seconds'] + 1
    assert mapping['steps'] == 20


def test_poses_are_refined_before_learning(tiny_map, tmp_path, capsys):
    """Keyframes of the map come nearer to the truth than the poses that were given."""
    rng = np.random.default_rng(0)
    true = [posed.world_from_camera[:3, 3] for posed in tiny_map.mapping]
    given = [place + rng.normal(0, 0.03, 3) for place in true]
    with FolderWriter(tmp_path / 'odometry') as folder:
        for posed, place in zip(tiny_map.mapping, given):
            pose = posed.world_from_camera.copy()
            pose[:3, 3] = place
            folder.write(posed.frame, pose)
    assert (
        main(
            [
                'map',
                str(tmp_path / 'odometry'),
                '-o',
                str(tmp_path / 'a.map'),
                '--device',
                'cpu',
                '--progress',
                'off',
                '--json',
                '--refine-poses',
                '--set',
                'steps=20',
                '--set',
                'batch=256',
                '--set',
                'short_side=240',
                '--set',
                'patches_per_image=64',
                '--set',
                'held_out=0.0',
            ]
        )
        == 0
    )
    assert list(json.loads(capsys.readouterr().out)['stages'])[:4] == [
        'reading',
        'checking',
        'refining',
        'matching',
    ]
    header = read_header(tmp_path / 'a.map')
    assert header['pose_agreement']['share'] > 0.8 and header['pose_agreement']['pairs'] >= 3
    found = np.array(header['keyframes'])[:, :3]

    def apart(places):  # steps of the drive, whatever the frame is
        return np.median(
            np.abs(
                np.linalg.norm(np.diff(places, axis=0), axis=1)
                - np.linalg.norm(np.diff(true, axis=0), axis=1)
            )
        )

    assert apart(found) < 0.5 * apart(given)


def test_damage_is_measured_kind_by_kind(tiny_map, tmp_path, capsys):
    with FolderWriter(tmp_path / 'few') as folder:
        for posed in tiny_map.queries[:2]:
            folder.write(posed.frame, posed.world_from_camera)
    assert (
        main(
            [
                'bench',
                'damage',
                str(tiny_map.map),
                str(tmp_path / 'few'),
                '--device',
                'cpu',
                '--progress',
                'off',
                '--json',
            ]
        )
        == 0
    )
    rows = {row['damage']: row for row in json.loads(capsys.readouterr().out)['rows']}
    assert len(rows) == 9
    assert rows['none']['recall']['0.50m_5deg'] > 0.5
    assert rows['none']['recall']['0.10m_5deg'] >= rows['blur 30 px']['recall']['0.10m_5deg']


def test_an_update_adds_frames_and_keeps_the_base_map(tiny_map, tmp_path, capsys):
    """A map of the first half of the drive is updated with the second half alone."""
    halves = tiny_map.mapping[:12], tiny_map.mapping[12:]
    for name, frames in zip(
        ('first', 'second', 'of first', 'of second'), (*halves, *(half[1::4] for half in halves))
    ):
        with FolderWriter(tmp_path / name) as folder:
            for posed in frames:
                folder.write(posed.frame, posed.world_from_camera)
    settings = [
        '--device',
        'cpu',
        '--progress',
        'off',
        '--json',
        '--minutes',
        '20',
        '--set',
        'batch=1024',
        '--set',
        'passes=1',
        '--set',
        'patches_per_image=400',
        '--set',
        'held_out=0.0',
        '--set',
        'steps=250',
    ]
    old, new = tmp_path / 'old.map', tmp_path / 'new.map'
    assert (
        main(
            ['map', str(tmp_path / 'first'), '-o', str(old), *settings, '--set', 'short_side=240']
        )
        == 0
    )
    before = old.read_bytes()
    assert (
        main(['map', str(tmp_path / 'second'), '--update', str(old), '-o', str(new), *settings])
        == 0
    )
    assert old.read_bytes() == before
    capsys.readouterr()
    found = {}
    for name in ('old', 'new'):
        for half in ('first', 'second'):
            assert (
                main(
                    [
                        'evaluate',
                        str(tmp_path / f'{name}.map'),
                        str(tmp_path / f'of {half}'),
                        '--device',
                        'cpu',
                        '--progress',
                        'off',
                        '--json',
                    ]
                )
                == 0
            )
            found[name, half] = json.loads(capsys.readouterr().out)['median_translation_m']
    assert found['new', 'second'] < found['old', 'second']
    # 9 cm were measured, and 17 without the reference images of the first half to learn from again
    assert found['new', 'first'] < MEDIAN_M
    first, both = read_header(old), read_header(new)
    assert both['frames'] == 24 and both['provenance']['updated'] == first['id']
    for name in ('short_side', 'network_focal_px', 'map_frame', 'acceptance', 'held_out'):
        assert both[name] == first[name], name
    assert len(both['keyframes']) == 24 and both['keyframes'][:12] == first['keyframes']
    assert (np.array(both['bounds']['max']) >= first['bounds']['max']).all()


def test_a_map_needs_a_name(mapping_folder, capsys):
    assert main(['map', str(mapping_folder), '--progress', 'off']) == 1
    assert 'give it with -o MAP' in capsys.readouterr().err
