# SPDX-License-Identifier: Apache-2.0
"""Small files that would take gigabytes, each read in a process that may have no more than one.

Run as a program with a folder to write into, it prints as JSON how each reader ended.
"""

from __future__ import annotations

import bz2
import json
import resource
import sqlite3
import struct
import sys
import zipfile
import zlib
from contextlib import closing
from functools import partial
from pathlib import Path
from zlib import crc32

import cv2
import torch
from bag_messages import write_ros1
from mcap_files import MAGIC, mcap_bytes, record, text, zstd
from safetensors.torch import save
from source_frames import posed_frames

from dsac_ros.errors import DsacError
from dsac_ros.map_container import read_container, write_container
from dsac_ros.map_file import load_map, save_map
from dsac_ros.mapping.optim.checkpoint import Checkpoint
from dsac_ros.network.encoder import load_encoder
from dsac_ros.network.head import Head, HeadConfig
from dsac_ros.network.scene_network import SceneNetwork
from dsac_ros.sources.calibration_files import read_calibration
from dsac_ros.sources.image_files import read_depth, read_depth_array, read_image, read_mask
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import read_trajectory
from dsac_ros.systems.loading import load_localizer

HUGE, MANY, DEEP = 1 << 40, 1 << 60, 100_000
ROOM = 1 << 30  # bytes that a reader may take, beside those that the imports did
CAMERA = struct.pack('<QiiQQ4d', 1, 1, 1, 32, 24, 50, 51, 16, 12)
IMAGE = struct.pack('<i7di', 1, 1, 0, 0, 0, 0, 0, 0, 1) + b'frame-000000.png\0'
ZEROS, MEGABYTES = bytes(1 << 20), 1200  # of a bomb: more than a reader may take


def sparse(path, head=b''):
    """A file of a terabyte that takes no room on the disk."""
    with path.open('wb') as file:
        file.write(head)
        file.truncate(HUGE)
    return path


def written(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(path, **options):
    return list(open_source(path, **options).posed_frames())


def png(width, height, depth, data):
    kinds = (
        (b'IHDR', struct.pack('>IIBBBBB', width, height, depth, 0, 0, 0, 0)),
        (b'IDAT', data),
        (b'IEND', b''),
    )
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(part)) + kind + part + struct.pack('>I', crc32(kind + part))
        for kind, part in kinds
    )


def bomb(pack, finish, count):
    """Zeros of so many megabytes, compressed."""
    return b''.join([pack(ZEROS) for _ in range(count)] + [finish()])


def png_bomb():
    """900 million pixels of one bit, all black, in some hundred kilobytes."""
    side = 30_000
    pack = zlib.compressobj(1)
    return png(side, side, 1, bomb(pack.compress, pack.flush, side * (side // 8 + 1) // 2**20 + 1))


def zstd_bomb(count):
    pack = zstd.ZstdCompressor()
    return bomb(pack.compress, pack.flush, count)


def chunk(size, packed, compression='zstd'):
    """An mcap of one chunk."""
    head = struct.pack('<QQQI', 0, 1, size, 0) + text(compression)
    body = (
        MAGIC
        + record(1, text('ros2') + text(''))
        + record(6, head + struct.pack('<Q', len(packed)) + packed)
    )
    return body + record(2, struct.pack('<QQI', 0, 0, 0)) + MAGIC


def mcap_of_record(size):
    """An mcap whose only message says that it has so many bytes, in a sparse file."""
    return MAGIC + record(1, text('ros2') + text('')) + struct.pack('<BQ', 5, size)


def sparse_mcap(path):
    end = record(2, struct.pack('<QQI', 0, 0, 0)) + MAGIC
    with sparse(path, mcap_of_record(HUGE // 2)).open('rb+') as file:
        file.seek(HUGE)
        file.write(end)
    return path


def ros1_bomb(path):
    """A bag of ROS 1 whose first chunk, said to be packed by bz2, unpacks to a gigabyte."""
    data = write_ros1(path, posed_frames(2)).read_bytes()
    pack = bz2.BZ2Compressor(1)
    packed = bomb(pack.compress, pack.flush, MEGABYTES)
    first = len(b'#ROSBAG V2.0\n')
    start = first + 4 + struct.unpack_from('<I', data, first)[0]
    start += 4 + struct.unpack_from('<I', data, start)[0]  # of the chunk's record
    end = start + 4 + struct.unpack_from('<I', data, start)[0]
    fields = data[start + 4 : end].replace(
        struct.pack('<I', 16) + b'compression=none', struct.pack('<I', 15) + b'compression=bz2'
    )
    record = struct.pack('<I', len(fields)) + fields + struct.pack('<I', len(packed)) + packed
    rest = end + 4 + struct.unpack_from('<I', data, end)[0]
    at = data.index(b'index_pos=') + len(b'index_pos=')
    index = struct.unpack_from('<Q', data, at)[0] + len(record) - (rest - start)
    head = data[:at] + struct.pack('<Q', index) + data[at + 8 : start]
    return written(path, head + record + data[rest:])


def colmap(folder, **files):
    """A COLMAP model of one image, some of its files replaced."""
    valid = {'cameras': CAMERA, 'images': struct.pack('<Q', 1) + IMAGE + struct.pack('<Q', 0)}
    for name, data in (valid | files).items():
        if name not in files or data is not None:
            written(folder / f'{name}.bin', data)
    return folder


def small_map(path):
    encoder, encoder_id = load_encoder()
    network = SceneNetwork(encoder, Head(encoder.config.descriptor, HeadConfig(16, 1)), 2.5)
    header = {
        'origin': [0.0, 0, 0],
        'encoder_id': encoder_id,
        'short_side': 480,
        'network_focal_px': 400.0,
    }
    save_map(path, network, header)
    return path


def map_with(path, change):
    """A map whose header or tensors were changed by someone who knows how its id is made."""
    header, tensors = read_container(small_map(path))
    change(header, tensors)
    write_container(path, header, tensors)
    return path


def outer_product(header, tensors):
    """A column of weights and a row of scales, whose product would be a matrix."""
    name = next(name for name in tensors if name.endswith('.weight.scale'))
    tensors[name] = torch.ones(1, 200_000)
    tensors[name.removesuffix('.scale')] = torch.ones(200_000, 1, dtype=torch.int8)


def many_observations(header, tensors):
    tensors['points.xyz'] = torch.zeros(1, 3)
    tensors['points.descriptors'] = torch.zeros(1, 64, dtype=torch.uint8)
    tensors['points.seen'] = torch.full((1000,), 2**31 - 1, dtype=torch.int32)
    tensors['points.point'] = torch.zeros(1, dtype=torch.int32)


def huge_reference(header, tensors):
    values = {
        'image_bytes': torch.tensor(list(png(30_000, 30_000, 8, b'')), dtype=torch.uint8),
        'image_sizes': torch.tensor([len(png(30_000, 30_000, 8, b''))]),
        'matrix': torch.eye(3)[None],
        'camera_from_map': torch.eye(4)[None],
        'global_descriptor': torch.zeros(1, 8, dtype=torch.float16),
        'landmarks': torch.zeros(1, dtype=torch.int64),
        'pixels': torch.zeros(0, 2, dtype=torch.int16),
        'depth': torch.zeros(0),
    }
    tensors |= {f'reference_images.{name}': value for name, value in values.items()}


def posenet(path):
    header = {'system': 'posenet', 'settings': {'hidden': 10**9}, 'origin': [0.0, 0, 0]}
    header |= {'scale': 1.0, 'short_side': 480, 'encoder_id': load_encoder()[1]}
    write_container(path, header, {'regression.a': torch.zeros(9)})
    return path


def safetensors(path, description):
    data = json.dumps(description).encode() if isinstance(description, dict) else description
    return written(path, struct.pack('<Q', len(data)) + data)


def claims_terabytes(path):
    data = small_map(path).read_bytes()
    size = struct.unpack('<Q', data[:8])[0]
    description = json.loads(data[8 : 8 + size])
    description['more'] = {'dtype': 'F32', 'shape': [HUGE // 4], 'data_offsets': [0, HUGE]}
    return safetensors(path, description)


def checkpoint_bomb(path):
    torch.save({'fingerprint': 'a', 'x': torch.zeros(10)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in parts.items():
            if name.endswith('data/0'):
                with archive.open(name, 'w', force_zip64=True) as file:
                    for _ in range(MEGABYTES):
                        file.write(ZEROS)
            else:
                archive.writestr(name, data)
    return path


def database(path):
    """A COLMAP database whose descriptors are a view that makes a gigabyte out of nothing."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('CREATE TABLE images (image_id, name)')
        connection.execute('INSERT INTO images VALUES (1, "frame-000000.png")')
        connection.execute(
            'CREATE VIEW descriptors AS SELECT 1 AS image_id, 0 AS rows, 128 AS cols, '
            'zeroblob(990000000) AS data'
        )
        connection.commit()


def with_frames(folder, name, data):
    """A folder of images beside a file of this name."""
    cv2.imwrite(str(written(folder / 'rgb/a.png', b'')), posed_frames(1)[0].frame.image)
    written(folder / name, data)
    return folder


def npy(path, shape, tail=b'', size=0):
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + '\n'
    written(path, b'\x93NUMPY\x01\x00' + struct.pack('<H', len(head)) + head.encode() + tail)
    if size:
        with path.open('rb+') as file:
            file.truncate(size)
    return path


def cases(root):
    """Names of the files, and what reads them."""
    nested, mapping = '[' * DEEP, '{"a":' * DEEP
    pixels = {
        'png that claims 60000x60000': png(60_000, 60_000, 8, zlib.compress(bytes(99))),
        'png of 900 million pixels': png_bomb(),
        'bmp that claims 40000x40000': b'BM'
        + struct.pack('<IIIIiiHHIIiiII', 99, 0, 54, 40, 40_000, -40_000, 1, 24, 0, 0, 0, 0, 0, 0),
        'pgm that claims 40000x40000': b'P5\n# a\n40000 40000\n255\n',
    }
    for name, data in pixels.items():
        path = written(root / f'{name}.png', data)
        yield name, partial(read_image, path)
        yield f'depth as {name}', partial(read_depth, path, (32, 24))
        yield f'mask as {name}', partial(read_mask, path, (32, 24))
    for name, reader in (
        ('image', read_image),
        ('depth', partial(read_depth, size_wh=(32, 24))),
        ('trajectory', read_trajectory),
        ('calibration', lambda path: read_calibration(path)((32, 24))),
        ('map', load_map),
    ):
        yield f'{name} of a terabyte', partial(reader, sparse(root / f'sparse_{name}'))
    lying = npy(root / 'a.npy', (10**6, 10**6))
    yield 'npy that claims a terabyte', partial(read_depth_array, lying, (32, 24), 1.0)
    whole = npy(root / 'b.npy', (10**6, 10**6), size=HUGE)
    yield 'npy of a terabyte', partial(read_depth_array, whole, (32, 24), 1.0)
    zipped = written(root / 'c.npy', checkpoint_bomb(root / 'bomb').read_bytes())
    yield 'npz as npy', partial(read_depth_array, zipped, (32, 24), 1.0)
    yield 'checkpoint', lambda: Checkpoint(root / 'bomb', 'a').load('cpu')
    yield (
        'cut checkpoint',
        lambda: Checkpoint(written(root / 'cut', (root / 'bomb').read_bytes()[:99]), 'a').load(
            'cpu'
        ),
    )
    for name, data in (('nested', nested), ('nested objects', mapping)):
        for file in ('transforms.json', 'metadata'):
            folder = with_frames(root / f'{name} {file}', file, data)
            path = folder / file if file.endswith('.json') else folder
            yield f'{file} of {name}', partial(read, path)
        for suffix in ('yaml', 'json', 'xml'):
            path = written(root / f'{name}.{suffix}', '<a>' * DEEP if suffix == 'xml' else data)
            yield f'{suffix} of {name}', lambda p=path: read_calibration(p)((32, 24))
        described = {'__metadata__': {'dsac_map': data}}
        yield f'map of {name}', partial(load_map, safetensors(root / f'{name}.a', described))
        path = safetensors(root / f'{name}.b', ('{"a":' + data).encode())
        yield f'header of {name}', partial(load_map, path)
        bag = root / f'{name} bag'
        written(bag / 'a.mcap', b'no bag')
        written(bag / 'metadata.yaml', data)
        yield f'metadata.yaml of {name}', partial(read, bag)
    yield from colmap_cases(root / 'colmap')
    yield from bag_cases(root / 'bags')
    maps = {
        'map that claims terabytes': claims_terabytes(root / 'claims.map'),
        'map with an outer product': map_with(root / 'outer.map', outer_product),
        'map with 2^41 observations': map_with(root / 'seen.map', many_observations),
        'map with a huge reference image': map_with(root / 'reference.map', huge_reference),
        'map of a huge posenet': posenet(root / 'posenet.map'),
        'map of another kind': written(root / 'other.map', save({'a': torch.zeros(3)})),
    }
    for name, path in maps.items():
        yield name, partial(load_localizer, path, 'cpu')


def points_of(folder):
    """The points that the images of a COLMAP model show, with their descriptors."""
    frames = read(folder, depth='points')
    return [one.frame.tracked() for one in frames if one.frame.tracked is not None]


def colmap_cases(root):
    many = struct.pack('<Q', MANY)
    for name, files in {
        'cameras': {'cameras': many + CAMERA[8:]},
        'images': {'images': many + IMAGE},
        'points of an image': {'images': struct.pack('<Q', 1) + IMAGE + many},
        'points': {'points3D': many + bytes(43)},
        'track': {'points3D': struct.pack('<Qq3d3BdQ', 1, 1, 0, 0, 1, 0, 0, 0, 0.1, MANY)},
    }.items():
        folder = colmap(root / name, **files)
        cv2.imwrite(str(folder / 'frame-000000.png'), posed_frames(1)[0].frame.image)
        yield (
            f'colmap: 2^60 {name}',
            partial(points_of, folder),
        )
    for name in ('cameras', 'images', 'points3D'):
        folder = colmap(root / f'sparse {name}')
        cv2.imwrite(str(folder / 'frame-000000.png'), posed_frames(1)[0].frame.image)
        sparse(folder / f'{name}.bin', many)
        yield f'colmap: {name} of a terabyte', partial(points_of, folder)
    folder = colmap(
        root / 'database', points3D=struct.pack('<Qq3d3BdQ', 1, 1, 0, 0, 1, 0, 0, 0, 1, 0)
    )
    cv2.imwrite(str(folder / 'frame-000000.png'), posed_frames(1)[0].frame.image)
    database(folder / 'database.db')
    yield 'colmap: descriptors out of nothing', partial(points_of, folder)
    line = root / 'line'
    written(line / 'cameras.txt', '1 PINHOLE 32 24 50 51 16 12\n')
    sparse(line / 'images.txt', b'1 1 0 0 0 0 0 0 1 ')
    yield 'colmap: a line of a terabyte', partial(read, line)


def bag_cases(root):
    root.mkdir()
    image = 'sensor_msgs/msg/Image'
    files = {
        'mcap: record of 2^63': mcap_of_record(2**63)
        + record(2, struct.pack('<QQI', 0, 0, 0))
        + MAGIC,
        'mcap: chunk of 2^60': chunk(MANY, zstd_bomb(MEGABYTES)),
        'mcap: chunk that unpacks to a gigabyte': chunk(MEGABYTES << 20, zstd_bomb(MEGABYTES)),
        'mcap: chunk that hides a gigabyte': chunk(1 << 20, zstd_bomb(MEGABYTES)),
        'mcap: image of 2^32': mcap_bytes(
            [('/image', image, 1, struct.pack('<I', 2**32 - 1) * 9)]
        ),
        'mcap packed to a hundredth of a thousandth': zstd.compress(MAGIC) + zstd_bomb(4096),
    }
    for name, data in files.items():
        yield name, partial(read, written(root / f'{len(name)}_{name[-4:]}.mcap', data))
    yield 'mcap: record of half a terabyte', partial(read, sparse_mcap(root / 'sparse.mcap'))
    yield (
        'bag of ROS 1: chunk that unpacks to a gigabyte',
        partial(read, ros1_bomb(root / 'a.bag')),
    )


def outcome(reader):
    """The line of a known error; the type of anything else after a mark."""
    try:
        found = reader()
    except DsacError as error:
        return str(error)
    except BaseException as error:
        return f'!! {type(error).__name__}: {str(error)[:300]}'
    return f'!! read as {str(found)[:100]}'


def main(folder, outcomes):
    """Read all cases, and write how each ended."""
    torch.set_num_threads(1)
    small_map(folder / 'warm_up.map')
    load_map(folder / 'warm_up.map')
    prepared = list(cases(folder))
    taken = int(Path('/proc/self/statm').read_text().split()[5]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (taken + ROOM, hard))
    found = {name: outcome(reader) for name, reader in prepared}
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    outcomes.write_text(json.dumps(found))


if __name__ == '__main__':
    main(Path(sys.argv[1]), Path(sys.argv[2]))
