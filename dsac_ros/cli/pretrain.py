# SPDX-License-Identifier: Apache-2.0
"""`dsac pretrain`: train a scene-agnostic network on photographs and rendered rooms."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from dsac_ros.cli.output import add_device_option, check_file
from dsac_ros.cli.progress import add_progress_option, counted, reporter
from dsac_ros.cli.source_options import positive
from dsac_ros.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from torch import Tensor

    from dsac_ros.types import PosedFrame

    Train = Callable[
        [list[np.ndarray], list[list[PosedFrame]], Path, int | None], Mapping[str, Tensor]
    ]

HELP = 'train a network that all maps share: the encoder or that of pixloc (hours on a CPU)'
PIXLOC = 'pixloc'
GROUPS, VIEWS = 20, 4  # per rendered room: things looked at, and places they are looked at from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        '-o',
        '--output',
        required=True,
        type=Path,
        metavar='WEIGHTS',
        help='the .safetensors file to write; until it is there, a checkpoint '
        'stands beside it and is resumed from',
    )
    parser.add_argument(
        '--photographs',
        nargs='+',
        type=Path,
        required=True,
        metavar='PATH',
        help='image files, or folders of them',
    )
    parser.add_argument(
        '--rooms',
        type=int,
        default=60,
        help='rendered rooms (default: %(default)s; 0: photographs alone)',
    )
    parser.add_argument(
        '--steps',
        type=positive,
        help='gradient steps of the whole schedule (default: 8000 of the encoder, 2500 of pixloc)',
    )
    parser.add_argument(
        '--objective',
        choices=('contrastive', 'distillation', 'both', PIXLOC),
        default='both',
        help='of the encoder: a descriptor finds its point in another view; looks alike what '
        'looks alike to RootSIFT; or both (default: %(default)s). pixloc: poses aligned by the '
        'features of the system pixloc, over the shipped encoder, are right',
    )
    parser.add_argument(
        '--stop-at',
        type=positive,
        metavar='STEP',
        help='end early, to be resumed by the same command',
    )
    add_device_option(parser)
    parser.add_argument('--seed', type=int, default=0, help='default: %(default)s')
    add_progress_option(parser)
    parser.set_defaults(when_interrupted='the same command goes on from the last checkpoint')


def run(args: argparse.Namespace) -> int:
    """Train, and write the weights in half precision."""
    import numpy as np
    import torch
    from safetensors.torch import save

    from dsac_ros.map_container import write_atomically
    from dsac_ros.synthetic.gaze import gaze, gaze_camera
    from dsac_ros.synthetic.world import RenderedWorld

    if args.rooms < 0:
        raise ConfigError(f'--rooms is {args.rooms}, expected at least 0')
    check_file(args.output)
    steps, crop, train = training(args)
    checkpoint = args.output.with_name(args.output.name + '.checkpoint')
    paths, photographs = read_photographs(args.photographs, args.progress)
    camera, scenes = gaze_camera(crop), []
    for seed in counted(range(args.rooms), args.rooms, 'rendering', args.progress):
        rng = np.random.default_rng((args.seed, seed))
        world = RenderedWorld(1000 + seed, paths)
        scenes += [gaze(world, camera, VIEWS, rng) for _ in range(GROUPS)]
    last = min(steps, args.stop_at or steps)
    weights = train(photographs, scenes, checkpoint, last)
    if last == steps:
        tensors = {
            name: value.detach().cpu().to(torch.float16).contiguous()
            for name, value in weights.items()
        }
        write_atomically(args.output, save(tensors))
        checkpoint.unlink(missing_ok=True)
        print(f'wrote {args.output} ({args.output.stat().st_size / 1e6:.1f} MB)')
    return 0


def training(args: argparse.Namespace) -> tuple[int, int, Train]:
    """Return number of steps, side of an image, and a training that returns its weights."""
    from dsac_ros.compute.device import choose_device
    from dsac_ros.config import build
    from dsac_ros.mapping.pretraining.config import PretrainConfig
    from dsac_ros.mapping.pretraining.pretrain import pretrain
    from dsac_ros.network.encoder import folded
    from dsac_ros.systems.pixloc.config import PixLocTraining
    from dsac_ros.systems.pixloc.training import train

    device = choose_device(args.device)
    settings = {'seed': args.seed} | ({'steps': args.steps} if args.steps else {})
    if args.objective == PIXLOC:
        own = build(PixLocTraining, settings)

        def train_pixloc(
            photographs: list[np.ndarray],
            scenes: list[list[PosedFrame]],
            checkpoint: Path,
            last: int | None,
        ) -> Mapping[str, Tensor]:
            with closing(reporter(args.progress)) as progress:
                network = train(photographs, scenes, own, checkpoint, device, progress, last)
            return network.state_dict()

        return own.steps, own.crop, train_pixloc
    config = build(PretrainConfig, {**settings, 'objective': args.objective})

    def train_encoder(
        photographs: list[np.ndarray],
        scenes: list[list[PosedFrame]],
        checkpoint: Path,
        last: int | None,
    ) -> Mapping[str, Tensor]:
        with closing(reporter(args.progress)) as progress:
            encoder = pretrain(photographs, scenes, config, checkpoint, device, progress, last)
        return folded(encoder.cpu()).state_dict()

    return config.steps, config.crop, train_encoder


def read_photographs(named: Sequence[Path], style: str) -> tuple[list[Path], list[np.ndarray]]:
    """The image files that can be decoded, and their gray images; the others are counted."""
    from dsac_ros.geometry.resample import to_gray
    from dsac_ros.synthetic.photographs import list_photographs, read_photograph

    found, paths, images = list_photographs(named), [], []
    for path in counted(found, len(found), 'reading', style):
        try:
            images.append(to_gray(read_photograph(path)))
            paths.append(path)
        except SourceError:
            continue
    if not paths:
        raise SourceError(
            f'none of the {len(found)} photographs can be decoded, the first is '
            f'{found[0]}: expected jpeg or png files'
        )
    if len(paths) < len(found):
        print(
            f'dsac: {len(found) - len(paths)} of {len(found)} photographs are left out: they '
            'cannot be decoded',
            file=sys.stderr,
        )
    return paths, images
