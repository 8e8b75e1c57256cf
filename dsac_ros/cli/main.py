# SPDX-License-Identifier: Apache-2.0
"""The one console script, `dsac`: finds the verb, runs it, turns what goes wrong into one line.

A verb is a module of this package with `HELP`, `add_arguments(parser)` and `run(args) -> int`.
Exit codes: 0 done, 1 a known error or a condition that does not hold, 2 wrong usage, 130
interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from dsac_ros.compute import process
from dsac_ros.errors import DsacError

log = logging.getLogger(__name__)

VERBS = (
    'demo',
    'map',
    'localize',
    'evaluate',
    'inspect',
    'mapset',
    'convert',
    'doctor',
    'run',
    'play',
    'pretrain',
    'bench',
    'benchmark',
)
# What pip calls a package, where that is not the name it is imported by.
PIP_NAMES = {'cv2': 'opencv-python-headless', 'skimage': 'scikit-image', 'yaml': 'pyyaml'}
DESCRIPTION = 'Learn a place from posed images; then tell where one image was taken.'


def make_parser(verbs: Sequence[str] = VERBS) -> argparse.ArgumentParser:
    """The command line of these verbs; their modules are imported here, light as they are."""
    parser = argparse.ArgumentParser(
        prog='dsac',
        description=DESCRIPTION,
        epilog='`dsac VERB --help` tells more; `dsac demo` shows the whole way once.',
    )
    parser.add_argument('--version', action=ShowVersion, nargs=0, help='print the version')
    parser.add_argument('--verbose', action='store_true', help='log what is done, on stderr')
    commands = parser.add_subparsers(dest='verb', required=True, metavar='VERB')
    for verb in verbs:
        module = importlib.import_module(f'dsac_ros.cli.{verb}')
        command = commands.add_parser(verb, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


class ShowVersion(argparse.Action):
    """Prints the version of the installed package, looked up only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print and leave."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f'dsac {version("dsac_ros")}')
        except PackageNotFoundError:
            print('dsac (not installed: run from a checkout)')
        parser.exit(0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    process.set_up()
    # Only the verb that is asked for is imported; all of them when that is not clear.
    named = next((word for word in words if not word.startswith('-')), None)
    args = make_parser((named,) if named in VERBS else VERBS).parse_args(words)
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING,
        format='dsac: %(levelname)s: %(message)s',
        stream=sys.stderr,
    )
    try:
        code = args.run(args)
        sys.stdout.flush()
        return code
    except DsacError as error:
        return complain(error)
    except KeyboardInterrupt:
        hint = getattr(args, 'when_interrupted', 'nothing was left behind')
        with contextlib.suppress(BrokenPipeError):
            print(f'\ndsac: interrupted: {hint}', file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has gone (`| head`); what Python still holds must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        package = (error.name or '').partition('.')[0]
        if package in ('', 'dsac_ros'):
            raise
        return complain(
            f'the Python package {package} is not installed, and `dsac {args.verb}` '
            f'needs it: pip install {PIP_NAMES.get(package, package)}'
        )
    except OSError as error:
        return complain(reason_of(error))


def reason_of(error: OSError) -> str:
    """The line for a file that cannot be read or written; what is about no file is raised."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f' of {error.filename}' if error.filename else ''
        return f'the disk{where} is full; free some space and run the command again'
    if error.errno == errno.EFBIG:
        return (
            'a file grew beyond what the file system or the limit of this process (`ulimit -f`) '
            'allows; raise the limit or write to another place'
        )
    if error.filename is None:
        raise error
    log.info('where it happened:', exc_info=error)
    return (
        f'{error.filename} cannot be read or written: {error.strerror}; mend that or name '
        'another place'
    )


def complain(message: object) -> int:
    """Print one line on stderr; the exit code of a known error."""
    print('dsac: error: ' + ' '.join(str(message).split()), file=sys.stderr)
    return 1


if __name__ == '__main__':
    sys.exit(main())
