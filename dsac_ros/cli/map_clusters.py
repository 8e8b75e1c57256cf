# SPDX-License-Identifier: Apache-2.0
"""`dsac map --clusters`: a place divided into clusters, a map of each, and the map set."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.output import check_file, loss_lines, losses, size, write_results
from dsac_ros.cli.progress import note
from dsac_ros.cli.settings import make_settings, read_settings
from dsac_ros.cli.source_options import open_named_source
from dsac_ros.config import MappingConfig
from dsac_ros.errors import ConfigError

if TYPE_CHECKING:
    from dsac_ros.cluster_mapping.config import DivisionConfig
    from dsac_ros.cluster_mapping.job import Job
    from dsac_ros.sources.source import Source

#: torchrun tells each of its processes its place in the job.
RANK_VARIABLES = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


def run_clusters(args: argparse.Namespace) -> int:
    """Learn the clusters, alone or as one rank of several, and write the map set."""
    if args.update:
        raise ConfigError(
            '--update is for one map, found --clusters; update the map of a cluster by itself '
            'and run `dsac mapset update` then'
        )
    if args.cluster is not None:
        return learn_cluster(args)
    check_file(args.output, args.json)
    start, ranks = time.monotonic(), all(name in os.environ for name in RANK_VARIABLES)
    source = open_named_source(args)
    results = (distributed if ranks else alone)(args, source)
    if results is None:  # of another rank than the first
        return 0
    results |= {'seconds': round(time.monotonic() - start, 3), **losses(source)}
    write_results(results, describe(results), args.json)
    return 0


def learn_cluster(args: argparse.Namespace) -> int:
    """Learn one cluster of a division that exists: the work of a process under a rank."""
    from dsac_ros.cluster_mapping.job import read_job

    job = read_job(args.output)
    if not 0 <= args.cluster < len(job.clusters):
        raise ConfigError(
            f'--cluster is {args.cluster}, expected 0 to {len(job.clusters) - 1} of {args.output}'
        )
    learn_part(args, job, args.cluster)
    return 0


def learn_part(args: argparse.Namespace, job: Job, cluster: int) -> None:
    """Learn the map of a cluster; an interrupted training goes on."""
    from dsac_ros.cli.map import learn_source
    from dsac_ros.cluster_mapping.job import checkpoint_of

    part = job.part(cluster)
    resume = checkpoint_of(part).exists()
    args.device = own_device(args.device)
    learn_source(args, part, resume=resume, rows=job.clusters[cluster])


def own_device(device: str) -> str:
    """Return the GPU of a rank where `auto` is asked for and a machine has several."""
    import torch

    local = os.environ.get('LOCAL_RANK')
    if device == 'auto' and local is not None and torch.cuda.device_count() > 1:
        return f'cuda:{int(local) % torch.cuda.device_count()}'
    return device


def new_job(args: argparse.Namespace, source: Source) -> Job:
    """Divide the place; parts of an earlier run stay with --resume or where torchrun restarts."""
    from dsac_ros.cluster_mapping.job import divided

    config = division_config(args)
    seed = MappingConfig.seed if args.seed is None else args.seed
    job = divided(source, args.output, args.clusters, config, seed)
    if not (args.resume or int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0))):
        job.discard()
    return job


def division_config(args: argparse.Namespace) -> DivisionConfig:
    """Return those of the settings given that are of clusters."""
    from dsac_ros.cluster_mapping.config import DivisionConfig

    names = {one.name for one in fields(DivisionConfig)}
    values = {name: value for name, value in read_settings(args).items() if name in names}
    return make_settings(DivisionConfig, values)


def alone(args: argparse.Namespace, source: Source) -> dict[str, Any]:
    """Learn one cluster after another in this process."""
    job = new_job(args, source)
    args.when_interrupted = 'the same command with --resume goes on with what is left'
    for cluster, rows in enumerate(job.clusters):
        if job.is_done(cluster):
            continue
        if args.progress != 'off':
            note(f'cluster {cluster + 1} of {len(job.clusters)}: {len(rows)} frames')
        learn_part(args, job, cluster)
    job.finish(source.map_frame)
    return summary(args, job, [0] * len(job.clusters), [])


def distributed(args: argparse.Namespace, source: Source) -> dict[str, Any] | None:
    """Learn clusters as one rank of a job; None of any but the first."""
    from dsac_ros.cluster_mapping.rank import Rank, join, shared_job

    store, rank, _ = join()
    job = shared_job(store, rank, lambda: new_job(args, source), args.output)
    silent_s = division_config(args).silent_s
    worker = Rank(store, rank, job, lambda cluster: command(args, cluster), silent_s)
    worker.run()
    worker.finish(lambda: job.finish(source.map_frame))
    if rank:
        return None
    ranks = [worker.queue.outcome(cluster)[0] for cluster in range(len(job.clusters))]
    return summary(args, job, ranks, worker.queue.deaths())


def command(args: argparse.Namespace, cluster: int) -> Sequence[str]:
    """Return the command line that learns a cluster: this one's, with its number."""
    words = [*sys.argv[1:], '--cluster', str(cluster), '--progress', 'off']
    return [sys.executable, '-m', 'dsac_ros.cli.main', *words]


def summary(
    args: argparse.Namespace, job: Job, ranks: Sequence[int], deaths: Sequence[str]
) -> dict[str, Any]:
    """Return what was learned, by which rank, and which ranks died."""
    from dsac_ros.map_set.file import read_map_set

    maps, header = read_map_set(args.output)
    return {
        'map_set': str(args.output),
        'id': header['id'],
        'maps': [
            {'id': entry.id, 'frames': len(rows), 'map_bytes': entry.map_bytes, 'rank': rank}
            for entry, rows, rank in zip(maps.entries, job.clusters, ranks)
        ],
        'deaths': list(deaths),
    }


def describe(results: dict[str, Any]) -> list[str]:
    """The summary for people."""
    maps = results['maps']
    total = size(sum(one['map_bytes'] for one in maps))
    return [
        f'learned {results["map_set"]}: {len(maps)} maps ({total}) in {results["seconds"]:.0f} s',
        *(
            f'  {one["id"]}  {one["frames"]} frames  {size(one["map_bytes"])}  rank {one["rank"]}'
            for one in maps
        ),
        *(f'died            {line}' for line in results['deaths']),
        *loss_lines(results),
    ]
