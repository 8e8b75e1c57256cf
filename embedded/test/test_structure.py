# SPDX-License-Identifier: Apache-2.0
"""The modules import each other without a circle, and nothing of the program that uses them."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'embedded_ros'
MODULES = PACKAGE / 'modules'
FILES = sorted(PACKAGE.rglob('*.py'))


def name_of(path):
    """Full name of a module: those in `modules` are top-level ones."""
    base = MODULES if path.is_relative_to(MODULES) else PACKAGE.parent
    return '.'.join(path.relative_to(base).with_suffix('').parts).removesuffix('.__init__')


NAMES = {name_of(path): path for path in FILES}


def imports(path):
    """Names of our modules that a file imports anywhere, in functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path} imports by dots'
            found |= {
                full if (full := f'{node.module}.{alias.name}') in NAMES else node.module
                for alias in node.names
            }
    return found


def test_there_is_no_circle_of_imports():
    graph = {name: imports(path) & set(NAMES) for name, path in NAMES.items()}
    while leaves := [name for name, targets in graph.items() if not targets & set(graph)]:
        for name in leaves:
            del graph[name]
    assert not graph, f'modules in or above a circle: {sorted(graph)}'


def test_lower_layers_do_not_import_offered_modules():
    offered = {path.stem for path in MODULES.iterdir()}
    for name, path in NAMES.items():
        if name.startswith('embedded_ros') and name != 'embedded_ros.testing':
            assert not {target.split('.')[0] for target in imports(path)} & offered, name


@pytest.mark.parametrize('path', FILES, ids=lambda path: name_of(path))
def test_files_have_a_licence_and_import_no_dsac_ros(path):
    text = path.read_text(encoding='utf-8')
    assert text.startswith('# SPDX-License-Identifier: Apache-2.0\n')
    assert ast.get_docstring(ast.parse(text))
    assert not any(name.split('.')[0] == 'dsac_ros' for name in imports(path))
