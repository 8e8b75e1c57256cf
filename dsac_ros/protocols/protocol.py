# SPDX-License-Identifier: Apache-2.0
"""The public protocols: scenes, splits, numbers of frames, and from where the data is fetched.

Numbers of frames are those of the pose files published with Brachmann et al., ICCV 2021 (7-Scenes,
12-Scenes) and of the page of Indoor-6; Cambridge Landmarks and Wayspots list their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dsac_ros.errors import ConfigError, did_you_mean

SFM, SLAM = 'sfm', 'slam'
TRAIN, TEST = PARTS = ('train', 'test')
Counts = Mapping[str, tuple[int, int]]  # scene: training and test frames


@dataclass(frozen=True)
class Protocol:
    """A data set with its scenes and the measure that papers report.

    Attributes:
        name: of the command line.
        title: of the table.
        scenes: names.
        limit: metres and degrees of the percentage that papers report; None where they report
            medians alone.
        origin: where the user fetches the data.
        layout: what a scene's folder holds.
        ground_truths: SFM and SLAM, or nothing where there is one alone.
        counts: published numbers of frames by ground truth, '' where there is one alone; empty
            where the data lists its own frames.
    """

    name: str
    title: str
    scenes: tuple[str, ...]
    limit: tuple[float, float] | None
    origin: str
    layout: str
    ground_truths: tuple[str, ...] = ()
    counts: Mapping[str, Counts] = field(default_factory=lambda: MappingProxyType({}))

    def expected(self, ground_truth: str, scene: str, part: str) -> int | None:
        """Return the published number of frames with poses; None where it is not published."""
        counts = self.counts.get(ground_truth, {}).get(scene)
        return None if counts is None else counts[PARTS.index(part)]


POSE_LISTS = 'https://github.com/tsattler/visloc_pseudo_gt_limitations'
SEVEN = {
    'chess': (4000, 2000),
    'fire': (2000, 2000),
    'heads': (1000, 1000),
    'office': (6000, 4000),
    'pumpkin': (4000, 2000),
    'redkitchen': (7000, 5000),
    'stairs': (2000, 1000),
}
TWELVE_SFM = {
    'apt1_kitchen': (744, 357),
    'apt1_living': (1035, 493),
    'apt2_bed': (890, 244),
    'apt2_kitchen': (782, 230),
    'apt2_living': (731, 359),
    'apt2_luke': (1370, 624),
    'office1_gates362': (3540, 386),
    'office1_gates381': (2950, 1053),
    'office1_lounge': (933, 327),
    'office1_manolis': (1623, 807),
    'office2_5a': (1000, 497),
    'office2_5b': (1391, 405),
}
TWELVE_SLAM = {
    **TWELVE_SFM,
    'apt2_bed': (868, 204),
    'apt2_kitchen': (768, 210),
    'apt2_living': (725, 349),
    'office1_gates362': (3536, 386),
    'office1_lounge': (925, 327),
    'office1_manolis': (1613, 797),
    'office2_5a': (1001, 497),
}
INDOOR6 = {
    'scene1': (6289, 799),
    'scene2a': (4890, 257),
    'scene3': (4181, 315),
    'scene4a': (2285, 158),
    'scene5': (4946, 424),
    'scene6': (1761, 323),
}
PROTOCOLS = {
    one.name: one
    for one in (
        Protocol(
            '7scenes',
            '7-Scenes',
            tuple(SEVEN),
            (0.05, 5.0),
            'https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes/',
            'TrainSplit.txt, TestSplit.txt and seq-01/ with frame-000000.color.png and .pose.txt',
            (SLAM, SFM),
            {SLAM: SEVEN, SFM: SEVEN},
        ),
        Protocol(
            '12scenes',
            '12-Scenes',
            tuple(TWELVE_SFM),
            (0.05, 5.0),
            'https://graphics.stanford.edu/projects/reloc/',
            'info.txt, split.txt and data/ with frame-000000.color.jpg and .pose.txt',
            (SLAM, SFM),
            {SLAM: TWELVE_SLAM, SFM: TWELVE_SFM},
        ),
        Protocol(
            'cambridge',
            'Cambridge Landmarks',
            ('GreatCourt', 'KingsCollege', 'OldHospital', 'ShopFacade', 'StMarysChurch'),
            None,
            'https://www.repository.cam.ac.uk/items/53788265-cb98-42ee-b85b-7a0cbc8eddb3',
            'dataset_train.txt, dataset_test.txt, reconstruction.nvm and the folders seq1/ ...',
        ),
        Protocol(
            'wayspots',
            'Wayspots',
            (
                'squarebench',
                'bears',
                'cubes',
                'inscription',
                'lawn',
                'map',
                'statue',
                'tendrils',
                'therock',
                'wintersign',
            ),
            (0.10, 5.0),
            'https://nianticlabs.github.io/ace/wayspots.html',
            'train/ and test/ with rgb/, poses/ and calibration/ in each',
        ),
        Protocol(
            'indoor6',
            'Indoor-6',
            tuple(INDOOR6),
            (0.05, 5.0),
            'https://github.com/microsoft/SceneLandmarkLocalization',
            'train_test_val.pkl and images/ with NAME.color.jpg, .pose.txt and .intrinsics.txt',
            counts={'': INDOOR6},
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """Return the protocol of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f'unknown protocol {name!r}: {did_you_mean(name, PROTOCOLS)}')
    return PROTOCOLS[name]
