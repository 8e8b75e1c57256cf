# SPDX-License-Identifier: Apache-2.0
"""The job of learning the clusters of a place: its frames, its files and its end."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsac_ros.cluster_mapping.config import DivisionConfig
from dsac_ros.cluster_mapping.division import divide, view_places
from dsac_ros.compute.files import write_whole
from dsac_ros.config import MappingConfig
from dsac_ros.errors import MapError, MappingError
from dsac_ros.map_set import edit
from dsac_ros.map_set.file import write_map_set
from dsac_ros.mapping.data.reading import ViewMaker
from dsac_ros.mapping.sfm.scene_depth import typical_depth
from dsac_ros.mapping.sfm.view_pairs import find_pairs
from dsac_ros.sources.source import Source
from dsac_ros.types import PosedFrame

DEPTH_VIEWS = 100  # at most so many views measure the depth where frames have none


@dataclass(frozen=True)
class Job:
    """Clusters of the frames of a source, by their index among those with a pose.

    The maps are learned under names that hold the id of the job, so that one that goes on knows
    which of them are finished.
    """

    output: Path
    clusters: tuple[tuple[int, ...], ...]

    @property
    def id(self) -> str:
        """Hash of the division: another one has other maps."""
        return hashlib.sha256(json.dumps(self.clusters).encode()).hexdigest()[:8]

    def name(self, cluster: int) -> str:
        """Return the id of a cluster's map in the set."""
        return f'{self.output.stem}-{cluster:02d}'

    def part(self, cluster: int) -> Path:
        """Return the file that a cluster is learned into."""
        return self.output.with_name(f'{self.name(cluster)}.{self.id}.part')

    def map_file(self, cluster: int) -> Path:
        """Return the file of a cluster's map in the finished set."""
        return self.output.with_name(f'{self.name(cluster)}.dsac')

    def is_done(self, cluster: int) -> bool:
        """Return True if the map of a cluster is learned."""
        return self.part(cluster).is_file()

    def discard(self) -> None:
        """Remove what an earlier run of the same job left behind."""
        for cluster in range(len(self.clusters)):
            for path in (self.part(cluster), checkpoint_of(self.part(cluster))):
                path.unlink(missing_ok=True)
        self.division_file().unlink(missing_ok=True)

    def finish(self, map_frame: str) -> None:
        """Give the maps their names and write the map set, in place of an older one."""
        for cluster in range(len(self.clusters)):
            if not self.is_done(cluster):
                raise MappingError(f'cluster {cluster} has no map {self.part(cluster)}')
        for cluster in range(len(self.clusters)):
            os.replace(self.part(cluster), self.map_file(cluster))
        files = [self.map_file(cluster) for cluster in range(len(self.clusters))]
        empty = edit.new_set(self.output, files[0])
        write_map_set(self.output, edit.added(empty, self.output, files, frame=map_frame))
        self.division_file().unlink(missing_ok=True)

    def division_file(self) -> Path:
        """Return the file by which processes know the division."""
        return division_file(self.output)

    def as_text(self) -> str:
        """Return the division for `read_job`."""
        return json.dumps({'clusters': self.clusters})

    def save(self) -> None:
        """Write the division."""
        write_whole(self.division_file(), self.as_text())


def division_file(output: Path) -> Path:
    """Return the file of the division that belongs to a map set."""
    return output.with_name(output.name + '.division')


def checkpoint_of(part: Path) -> Path:
    """Return the checkpoint that an interrupted training leaves."""
    return part.with_name(part.name + '.checkpoint')


def job_of(output: Path, text: str) -> Job:
    """Make the job of a division; raise MapError for a text that is none."""
    try:
        clusters = tuple(tuple(int(row) for row in rows) for rows in json.loads(text)['clusters'])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MapError(
            f'{division_file(output)} is no division of a place ({type(error).__name__}); remove '
            'it and run the command again'
        ) from error
    return Job(output, clusters)


def read_job(output: Path) -> Job:
    """Read the division that another process made for a map set."""
    path = division_file(output)
    if not path.is_file():
        raise MapError(f'there is no {path}; `dsac map SOURCE -o {output} --clusters N` makes it')
    return job_of(output, path.read_text(encoding='utf-8'))


def divided(
    source: Source, output: Path, count: int, config: DivisionConfig, seed: int = 0
) -> Job:
    """Read the poses of a source once and divide its frames into clusters; 0: by the settings."""
    poses, depths, views = [], [], []
    make, every = ViewMaker(MappingConfig()), max(1, len(source) // DEPTH_VIEWS)
    for row, posed in enumerate(source.posed_frames()):
        poses.append(posed.world_from_camera)
        depths.append(median_depth(posed.frame.depth))
        if row % every == 0 and np.isnan(depths[-1]):
            views.append(make(posed))
    if not poses:
        raise MappingError(f'{source.path} has no frame with a pose, expected some to divide')
    measured = np.array(depths)
    if np.isnan(measured).all():
        typical = typical_depth(views, find_pairs(views))
    else:
        typical = float(np.nanmedian(measured))
    places = view_places(np.stack(poses), np.where(np.isnan(measured), typical, measured))
    clusters = divide(places, count, typical, config, seed)
    return Job(output, tuple(tuple(rows.tolist()) for rows in clusters))


def median_depth(depth: np.ndarray | None) -> float:
    """Return the median of the measured depth (H, W) [m]; NaN where nothing is measured."""
    measured = np.zeros(0) if depth is None else depth[::8, ::8]
    measured = measured[measured > 0]
    return float(np.median(measured)) if len(measured) else float('nan')


def chosen_frames(source: Source, rows: Sequence[int]) -> Iterator[PosedFrame]:
    """Yield the posed frames with these indices."""
    wanted = frozenset(rows)
    for row, posed in enumerate(source.posed_frames()):
        if row in wanted:
            yield posed
