# SPDX-License-Identifier: Apache-2.0
"""Imports point one way, and the core needs neither ROS nor a display."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'dsac_ros'
FILES = sorted(PACKAGE.rglob('*.py'))
TEST_FILES = sorted(
    path for folder in ('test', 'embedded/test') for path in (ROOT / folder).rglob('*.py')
)
# of no docstring the first word: it says what a thing is or does
QUESTION_WORDS = {'What', 'How', 'Where', 'Whether', 'Which', 'Of'}
LONGEST_TEST_NAME = 50  # characters; a docstring says the rest

# A module or package imports those in the layers below its own, and itself. Two of one layer never
# import each other: network and RANSAC meet in SceneCoordinates alone.
LAYERS = (
    {'errors'},
    {'types', 'config', 'compute'},
    {'geometry', 'colmap', 'metrics', 'acceptance', 'recovery'},
    {'network', 'ransac', 'synthetic', 'correction', 'confidence'},
    {'sources'},
    {'alignment', 'map_header'},
    {'map_container'},
    {'map_file', 'scene_coordinates', 'focal_check'},
    {'query'},
    {'decision', 'trace', 'candidate_poses'},
    {'localizer'},
    {'corroboration'},
    {'map_set'},
    {'mapping'},
    {'systems'},
    {'cluster_mapping'},
    {'evaluation'},
    {'benchmark', 'protocols'},
    {'nodes', 'msg'},
    {'cli'},
)
# not even below: nothing of the core may depend on them
ASIDE = {'sources', 'synthetic'}
MAY_IMPORT = {
    name: set().union(*LAYERS[:depth]) | {name}
    for depth, layer in enumerate(LAYERS)
    for name in layer
} | {'__init__': set()}
for name in set().union(*LAYERS[5:15]):
    MAY_IMPORT[name] -= ASIDE
MAY_IMPORT['nodes'].add('msg')
ROS = {
    'rclpy',
    'tf2_ros',
    'tf2_py',
    'tf2_msgs',
    'cv_bridge',
    'tf_transformations',
    'sensor_msgs_py',
    'sensor_msgs',
    'std_msgs',
    'std_srvs',
    'geometry_msgs',
    'nav_msgs',
    'lifecycle_msgs',
    'rcl_interfaces',
    'builtin_interfaces',
    'diagnostic_msgs',
    'visualization_msgs',
    'nav2_msgs',
    'ament_index_python',
    'launch',
    'launch_ros',
}
# library -> where it may be imported: rooms, or files by their path in the package
ONLY_IN = {
    **{name: {'nodes'} for name in ROS},
    # playing a bag onto the graph is the one verb that speaks itself
    'rclpy': {'nodes', 'cli/play.py'},
    # the embedded ROS modules are offered in one place, and used under ROS' names only
    'embedded_ros': {'nodes/runtime.py'},
    'rosbags': {'sources', 'nodes/bag_player.py'},
    'av': {'sources'},
    'cyclonedds': set(),
    'argparse': {'cli'},
    'tqdm': {'cli'},
    'matplotlib': {'evaluation/plots'},
}


def room_of(path: Path) -> str:
    """The first part of a module's place in the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def stands_in(path: Path, place: str) -> bool:
    """Return True if a file is the place, or inside of it."""
    own = path.relative_to(PACKAGE).as_posix()
    return own == place or own.startswith(f'{place}/')


def imports(path: Path) -> list[tuple[int, str]]:
    """Line and full name of everything a file imports."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    package = ('dsac_ros', *path.relative_to(PACKAGE).parts[:-1])
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = '.'.join((*base, *([node.module] if node.module else [])))
            if module == 'dsac_ros':
                found += [(node.lineno, f'dsac_ros.{alias.name}') for alias in node.names]
            else:
                found.append((node.lineno, module))
    return found


def names(paths):
    return [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in paths]


@pytest.mark.parametrize('path', names(FILES))
def test_imports_point_one_way(path):
    room = room_of(path)
    assert room in MAY_IMPORT, f'{room} is new: say in this test what it may import'
    wrong = []
    for line, name in imports(path):
        parts = name.split('.')
        if parts[0] == 'dsac_ros' and len(parts) > 1:
            if parts[1] != room and parts[1] not in MAY_IMPORT[room]:
                wrong.append(f'{path}:{line}: {room} imports {name}')
        elif parts[0] in ONLY_IN:
            places = sorted(ONLY_IN[parts[0]])
            if not any(stands_in(path, place) for place in places):
                wrong.append(f'{path}:{line}: {parts[0]} outside of {", ".join(places)}')
    assert not wrong, '\n'.join(wrong)


PRINTING = ('cli',)


@pytest.mark.parametrize(
    'path', names(p for p in FILES if not any(stands_in(p, place) for place in PRINTING))
)
def test_only_the_command_line_prints(path):
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert not [f'{path}:{c.lineno}' for c in calls if c.func.id == 'print']


@pytest.mark.parametrize('path', names(FILES))
def test_files_say_their_licence_and_purpose(path):
    text = path.read_text(encoding='utf-8')
    assert text.startswith('# SPDX-License-Identifier: Apache-2.0\n')
    if path.name != '__init__.py':
        assert ast.get_docstring(ast.parse(text))


def test_docstrings_open_with_a_subject_or_a_verb():
    folders = ('dsac_ros', 'embedded', 'examples', 'launch', 'test')
    files = [path for folder in folders for path in (ROOT / folder).rglob('*.py')]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        (path, getattr(node, 'lineno', 1), words[0])
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, documented) and (words := (ast.get_docstring(node) or '').split())
    ]
    assert len(found) > 1000
    wrong = [
        f'{path.relative_to(ROOT)}:{line}: {word}'
        for path, line, word in found
        if word in QUESTION_WORDS
    ]
    assert not wrong, '\n'.join(wrong)


def test_test_names_have_at_most_50_characters():
    found = [
        (path, node)
        for path in TEST_FILES
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith('test')
    ]
    assert {path.parent for path, _ in found} >= {ROOT / 'test', ROOT / 'embedded/test'}
    wrong = [
        f'{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {len(node.name)}'
        for path, node in found
        if len(node.name) > LONGEST_TEST_NAME
    ]
    assert not wrong, '\n'.join(wrong)


def test_the_package_root_holds_nothing_but_its_path():
    (statement,) = ast.parse((PACKAGE / '__init__.py').read_text()).body
    assert 'extend_path' in ast.unparse(statement)


DRAWING_OR_SPEAKING = ('nodes', 'evaluation/plots')
IMPORT_ALL = """
import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {blocked!r}:
            raise ImportError(name + ' is blocked')


sys.meta_path.insert(0, Blocked())
import importlib
for name in {modules!r}:
    importlib.import_module(name)
heavy = sorted(set(sys.modules) & {{'rclpy', 'matplotlib', 'cyclonedds', 'av'}})
assert not heavy, heavy
import torch
assert torch.is_grad_enabled()
assert torch.get_default_dtype() == torch.float32
"""


def test_the_core_imports_without_ros():
    """Importing it changes no setting of torch."""
    modules = [
        f'dsac_ros.{path.relative_to(PACKAGE).with_suffix("").as_posix()}'.replace(
            '/', '.'
        ).removesuffix('.__init__')
        for path in FILES
        if not any(stands_in(path, place) for place in DRAWING_OR_SPEAKING)
    ]
    script = IMPORT_ALL.format(blocked=sorted(ROS), modules=modules)
    done = subprocess.run([sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_command_line_starts_light():
    script = (
        'import sys, dsac_ros.cli.main as m\n'
        'm.make_parser()\n'
        'heavy = set(sys.modules) & {"torch", "cv2", "rclpy", "scipy", "matplotlib", '
        '"rosbags", "cyclonedds"}\n'
        'assert not heavy, heavy'
    )
    done = subprocess.run([sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
