# SPDX-License-Identifier: Apache-2.0
"""Tiny folders of the shape in which public data sets are published, made of posed frames."""

from __future__ import annotations

import pickle
from functools import cache

import cv2
import numpy as np

from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.poses import row_from_pose
from dsac_ros.sources.rendered import RenderedSource
from dsac_ros.synthetic.drive import drive
from dsac_ros.synthetic.world import RenderedWorld
from dsac_ros.types import Camera

SIZE_WH = (160, 120)
FOCAL = 525 / 4  # that of 7-Scenes in images of a quarter of the size
CAMERA = Camera(SIZE_WH, np.array([[FOCAL, 0, 79.5], [0, FOCAL, 59.5], [0, 0, 1]]))
STEP = 5  # every so-many-th frame of the drive is a test frame


@cache
def rendered_frames(count=30):
    """Posed frames of a drive through a rendered room: those to map, and those to ask."""
    world = RenderedWorld(3)
    source = RenderedSource(world, drive(world, frames=count), CAMERA, with_depth=False)
    frames = list(source.posed_frames())
    test = frames[STEP // 2 :: STEP]
    return [one for one in frames if not any(one is other for other in test)], test


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])


def quaternion_wxyz(pose):
    x, y, z, w = row_from_pose(pose)[3:]
    return w, x, y, z


def listed(name, posed, focal):
    """A line of the pose lists of Brachmann et al. 2021."""
    inverse = np.linalg.inv(posed.world_from_camera)
    numbers = (*quaternion_wxyz(inverse), *inverse[:3, 3], focal)
    return f'{name} ' + ' '.join(f'{x:.12g}' for x in numbers) + '\n'


def write_seven_scenes(folder, train, test, scene='chess'):
    lists = folder / 'visloc_pseudo_gt_limitations/pgt/sfm/7scenes'
    lists.mkdir(parents=True, exist_ok=True)
    for number, part, frames in ((1, 'Train', train), (2, 'Test', test)):
        sequence = f'seq-{number:02d}'
        lines = []
        for index, posed in enumerate(frames):
            stem = folder / scene / sequence / f'frame-{index:06d}'
            save(stem.with_name(f'{stem.name}.color.png'), posed.frame.image)
            np.savetxt(f'{stem}.pose.txt', posed.world_from_camera)
            lines.append(listed(f'{sequence}/{stem.name}.color.png', posed, FOCAL))
        (folder / scene / f'{part}Split.txt').write_text(f'sequence{number}\n')
        (lists / f'{scene}_{part.lower()}.txt').write_text(''.join(reversed(lines)))
    return folder


def write_twelve_scenes(folder, train, test, scene='apt1_kitchen'):
    lists = folder / 'visloc_pseudo_gt_limitations/pgt/sfm/12scenes'
    lists.mkdir(parents=True, exist_ok=True)
    place = folder.joinpath(*scene.split('_', 1))
    lines = []
    for index, posed in enumerate([*test, *train]):
        stem = place / 'data' / f'frame-{index:06d}'
        save(stem.with_name(f'{stem.name}.color.jpg'), posed.frame.image)
        np.savetxt(f'{stem}.pose.txt', posed.world_from_camera)
        lines.append(listed(f'data/{stem.name}.color.jpg', posed, FOCAL))
    (place / 'split.txt').write_text(
        f'sequence0 [frames={len(test)}] [start=0 ; end={len(test) - 1}]\n'
        f'sequence1 [frames={len(train)}]\n'
    )
    matrix = f'{FOCAL} 0 79.5 0 0 {FOCAL} 59.5 0 0 0 1 0 0 0 0 1'
    (place / 'info.txt').write_text(
        f'm_versionNumber = 4\nm_sensorName = a\nm_colorWidth = {SIZE_WH[0]}\n'
        f'm_colorHeight = {SIZE_WH[1]}\nm_calibrationColorIntrinsic = {matrix}\n'
    )
    (lists / f'{scene}_test.txt').write_text(''.join(lines[: len(test)]))
    (lists / f'{scene}_train.txt').write_text(''.join(lines[len(test) :]))
    return folder


def write_cambridge(folder, train, test, scene='ShopFacade'):
    cameras = []
    for number, part, frames in ((1, 'train', train), (2, 'test', test)):
        lines = [
            'Visual Landmark Dataset V1\n',
            'ImageFile, Camera Position [X Y Z W P Q R]\n',
            '\n',
        ]
        for index, posed in enumerate(frames):
            name = f'seq{number}/frame{index:05d}'
            save(folder / scene / f'{name}.png', posed.frame.image)
            wxyz = quaternion_wxyz(np.linalg.inv(posed.world_from_camera))
            numbers = (*posed.world_from_camera[:3, 3], *wxyz)
            lines.append(f'{name}.png ' + ' '.join(f'{x:.12g}' for x in numbers) + '\n')
            cameras.append(f'{name}.jpg\t{FOCAL} 1 0 0 0 0 0 0 -0.05 0\n')
        (folder / scene / f'dataset_{part}.txt').write_text(''.join(lines))
    (folder / scene / 'reconstruction.nvm').write_text(
        f'NVM_V3 \n\n{len(cameras)}\n{"".join(cameras)}\n0\n'
    )
    return folder


def write_wayspots(folder, train, test, scene='bears'):
    for part, frames in (('train', train), ('test', test)):
        with FolderWriter(folder / f'wayspots_{scene}' / part) as writer:
            for posed in frames:
                writer.write(posed.frame, posed.world_from_camera)
        for extra in ('dataset.yaml', 'stamps.txt'):
            (folder / f'wayspots_{scene}' / part / extra).unlink()
    return folder


def write_indoor6(folder, train, test, scene='scene6'):
    parts = {'train': [], 'test': [], 'val': []}
    for part, frames in (('train', train), ('test', test)):
        for posed in frames:
            index = sum(map(len, parts.values()))
            stem = folder / scene / 'images' / f'image-{index:06d}'
            save(stem.with_name(f'{stem.name}.color.jpg'), posed.frame.image)
            np.savetxt(f'{stem}.pose.txt', np.linalg.inv(posed.world_from_camera)[:3])
            stem.with_name(f'{stem.name}.intrinsics.txt').write_text(
                f'{SIZE_WH[0]} {SIZE_WH[1]} {FOCAL} 80 60 0.01 a/b.jpg\n'
            )
            parts[part].append(f'{stem.name}.color.jpg')
    numbers = {f'{part}_idx': np.arange(len(names)) for part, names in parts.items()}
    (folder / scene / 'train_test_val.pkl').write_bytes(pickle.dumps({**parts, **numbers}))
    return folder


WRITERS = {
    '7scenes': (write_seven_scenes, 'chess'),
    '12scenes': (write_twelve_scenes, 'apt1_kitchen'),
    'cambridge': (write_cambridge, 'ShopFacade'),
    'wayspots': (write_wayspots, 'bears'),
    'indoor6': (write_indoor6, 'scene6'),
}
