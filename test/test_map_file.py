# SPDX-License-Identifier: Apache-2.0
"""Map files: round trip, atomic writing, one clear line for what is no good."""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies

from dsac_ros.errors import MapError
from dsac_ros.map_container import read_container, read_header, write_container
from dsac_ros.map_file import OWN_ENCODER, load_map, save_map
from dsac_ros.network.convolutional import WholeNetwork
from dsac_ros.network.encoder import load_encoder
from dsac_ros.network.head import Head, HeadConfig
from dsac_ros.network.scene_network import SceneNetwork


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    encoder, _ = load_encoder()
    return SceneNetwork(encoder, Head(encoder.config.descriptor, HeadConfig(16, 1)), 2.5).eval()


@pytest.fixture
def header():
    return {
        'origin': [1e6, -2.0, 3.0],
        'encoder_id': load_encoder()[1],
        'frames': 7,
        'short_side': 480,
        'network_focal_px': 400.0,
        'name': 'kitchen',
    }


@pytest.fixture
def path(tmp_path, network, header):
    save_map(tmp_path / 'a.map', network, header)
    return tmp_path / 'a.map'


def test_what_was_saved_is_loaded(path, network):
    loaded = load_map(path)
    assert loaded.header['frames'] == 7 and loaded.id == read_header(path)['id']
    np.testing.assert_array_equal(loaded.origin, [1e6, -2.0, 3.0])
    assert loaded.network.scale == 2.5
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            loaded.network(image)[0], network(image)[0], atol=0.02, rtol=0.02
        )


def test_the_id_depends_on_the_content_alone(path, tmp_path, network, header):
    again = save_map(tmp_path / 'b.map', network, {**header, 'name': 'other name'})
    moved = save_map(tmp_path / 'c.map', network, {**header, 'origin': [0.0, 0, 0]})
    assert again.id == read_header(path)['id'] != moved.id


def test_truncated(path):
    data = path.read_bytes()
    for length in (20, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(MapError, match='truncated'):
            load_map(path)


@pytest.mark.parametrize(
    'content', [b'', b'PK\x03\x04' + b'x' * 100, b'not a map at all', struct.pack('<Q', 2) + b'{}']
)
def test_foreign(path, content):
    path.write_bytes(content)
    with pytest.raises(MapError, match='not a dsac_ros map'):
        load_map(path)


GONE = object()


def rewrite_header(path, **values):
    """Change entries of the stored header, or remove those that are GONE."""
    data = path.read_bytes()
    length = struct.unpack('<Q', data[:8])[0]
    description = json.loads(data[8 : 8 + length])
    stored = json.loads(description['__metadata__']['dsac_map'])
    stored = {k: v for k, v in {**stored, **values}.items() if v is not GONE}
    description['__metadata__']['dsac_map'] = json.dumps(stored)
    text = json.dumps(description).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text + data[8 + length :])


@pytest.mark.parametrize(
    ('version', 'advice'), [(99, 'update dsac_ros'), (2, 'learn the map again')]
)
def test_another_format(path, version, advice):
    rewrite_header(path, format_version=version)
    with pytest.raises(MapError, match=rf'map format {version}, this version reads 7; {advice}'):
        read_header(path)


REQUIRED = ('id', 'origin', 'scale', 'encoder_id', 'short_side', 'network_focal_px', 'head')
BAD_FIELDS = [
    *((name, value) for name in REQUIRED for value in (GONE, None, [], {}, 'x' * 99, True)),
    ('descriptor', GONE),
    ('descriptor', -1),
    ('head', {'width': 16, 'blocks': 1, 'experts': 8, 'colour': 'red'}),
    ('head', {'width': 16, 'blocks': 1}),
    ('head', {'width': 16, 'blocks': 10**9, 'experts': 8}),
    ('head', {'width': 8192, 'blocks': 64, 'experts': 8192}),
    ('network', 7),
    ('origin', [1.0, 2.0, float('nan')]),
    ('scale', float('inf')),
    ('scale', -1.0),
    ('short_side', 10**9),
    ('format_version', 'seven'),
    ('format_version', None),
    ('frames', -1),
    ('frames', 2**40),
    ('frames', 'many'),
    ('bounds', [0, 1]),
    ('bounds', {'min': [0.0], 'max': [1.0, 2.0, 3.0]}),
    ('image_size_wh', [640]),
    ('image_size_wh', [-1, 480]),
    ('focal_px', 'long'),
    ('acceptance', 'all'),
    ('acceptance', {'min_inliers': 'forty'}),
    ('acceptance', {'floor_m': float('nan')}),
    ('held_out', 3),
    ('keyframes', [[1.0]]),
    ('name', 'a\0b'),
]


@pytest.mark.parametrize(
    ('name', 'value'),
    [case for case in BAD_FIELDS if case not in (('id', 'x' * 99), ('encoder_id', 'x' * 99))],
)
def test_a_bad_header_is_one_line(path, name, value):
    rewrite_header(path, **{name: value})
    with pytest.raises(MapError) as caught:
        load_map(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['name', 'frames', 'bounds', 'acceptance', 'future_field'])
def test_other_fields_may_be_absent_or_new(path, name):
    for value in (GONE, None):
        rewrite_header(path, **{name: value})
        load_map(path)
    rewrite_header(path, future_field={'anything': [1]}, acceptance={'future': 1.0})
    load_map(path)


def test_the_header_is_read_without_the_tensors(path):
    with path.open('ab') as file:
        file.truncate(1 << 40)  # a sparse file of a terabyte
    assert read_header(path)['frames'] == 7


@pytest.mark.parametrize('kind', ['folder', 'pipe', 'device', 'NUL', 'long'])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    """A pipe would be waited for, a device would be read until memory is full."""
    path = {
        'folder': tmp_path,
        'pipe': tmp_path / 'pipe',
        'device': Path('/dev/zero'),
        'NUL': tmp_path / 'a\0b',
        'long': tmp_path / ('x' * 5000),
    }[kind]
    if kind == 'pipe':
        os.mkfifo(path)
    for read in (read_header, load_map):
        with pytest.raises(MapError, match='cannot read the map'):
            read(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=strategies.integers(0, 10**6), junk=strategies.binary(min_size=1, max_size=40))
def test_any_damage_is_a_map_or_one_line(path, place, junk):
    data = path.read_bytes()
    place %= len(data)
    damaged = path.with_name('damaged.map')
    damaged.write_bytes(data[:place] + junk + data[place + len(junk) :])
    with contextlib.suppress(MapError):
        load_map(damaged)


def test_altered_weights_are_noticed(path):
    """200 altered bytes among the weights of a map were loaded without a word."""
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(len(data) // 2, len(data), 200):
        data[place] ^= rng.integers(1, 256)
    path.write_bytes(data)
    with pytest.raises(MapError, match='damaged: its content has the id'):
        load_map(path)


def test_another_encoder(path):
    header, tensors = read_container(path)
    write_container(path, {**header, 'encoder_id': '0123456789abcdef'}, tensors)
    with pytest.raises(MapError, match='learned with encoder 0123456789abcdef'):
        load_map(path)


def test_a_map_may_carry_an_encoder_of_its_own(path, tmp_path, network, header):
    tuned = copy.deepcopy(network)
    with torch.no_grad():
        tuned.encoder.project.bias += 1.0
    save_map(tmp_path / 'own.map', tuned, {**header, 'encoder_id': OWN_ENCODER})
    own, shared = load_map(tmp_path / 'own.map').network, load_map(path).network
    bias = tuned.encoder.project.bias
    torch.testing.assert_close(own.encoder.project.bias, bias, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(shared.encoder.project.bias, bias, atol=0.5)
    torch.testing.assert_close(own.head.state_dict(), shared.head.state_dict())
    assert not any(p.requires_grad for p in own.parameters())


def test_missing(tmp_path):
    with pytest.raises(MapError, match='no such map'):
        load_map(tmp_path / 'nothing.map')


def test_a_full_disk_leaves_the_old_map(path, network, header, monkeypatch):
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(MapError, match='No space left on device'):
        save_map(path, network, {**header, 'origin': [9.0, 9, 9]})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ['a.map']


def test_a_map_holds_no_code(path):
    """Nothing but JSON and numbers: the file opens with safetensors alone."""
    from safetensors import safe_open

    with safe_open(str(path), 'pt') as file:
        assert set(names := file.keys()) >= {'centres', 'experts.point.bias'}
        assert {file.get_tensor(k).dtype for k in names} <= {
            torch.float16,
            torch.float32,
            torch.int8,
        }


@pytest.fixture
def whole(tmp_path, header):
    """A map that holds a whole network, its path and the network."""
    torch.manual_seed(0)
    network = WholeNetwork('dsacstar_tiny', 2.5).eval()
    save_map(tmp_path / 'whole.map', network, {**header, 'encoder_id': network.name})
    return tmp_path / 'whole.map', network


def test_a_whole_network_is_in_its_map(whole):
    path, network = whole
    loaded = load_map(path)
    assert loaded.header['network'] == loaded.network.name == 'dsacstar_tiny'
    assert loaded.network.scale == 2.5 and 'head' not in loaded.header
    assert not any(p.requires_grad for p in loaded.network.parameters())
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            loaded.network(image)[0], network(image)[0], atol=0.002, rtol=0.002
        )
    # half precision: half of the 4 MB that the paper states
    assert path.stat().st_size == pytest.approx(2e6, rel=0.06)


def test_a_network_of_a_later_version(whole):
    path, _ = whole
    rewrite_header(path, network='dsacstar_huge')
    with pytest.raises(MapError, match="holds a network 'dsacstar_huge', this version knows dsa"):
        load_map(path)


def test_a_whole_network_that_lacks_a_layer(whole):
    path, _ = whole
    rewrite_header(path, network='dsacstar')
    with pytest.raises(MapError, match='is damaged'):
        load_map(path)


def test_loading_imports_no_solver_or_compiler(path):
    script = (
        'import sys\n'
        'from dsac_ros.map_file import load_map\n'
        f'load_map({str(path)!r})\n'
        'needless = [n for n in sys.modules if n.startswith(("dsac_ros.ransac", '
        '"dsac_ros.localizer", "dsac_ros.mapping", "torch._dynamo", "sympy"))]\n'
        'assert not needless, needless[:5]'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
