# SPDX-License-Identifier: Apache-2.0
import pytest

pytestmark = pytest.mark.embedded


@pytest.fixture
def parsed():
    from rclpy.arguments import Arguments

    return lambda *words: Arguments(['--ros-args', *words])


@pytest.mark.parametrize(
    ('pattern', 'name', 'matches'),
    [
        ('/**', '/a/b', True),
        ('a', '/a', True),
        ('/a', '/a', True),
        ('/*', '/a', True),
        ('/*', '/a/b', False),
        ('/**/b', '/a/b', True),
        ('/**/b', '/b', True),
        ('/a/*', '/a/b', True),
        ('a', '/ns/a', False),
    ],
)
def test_patterns_of_node_names(parsed, pattern, name, matches):
    arguments = parsed('-p', 'p:=1')
    rule = type(arguments.parameters[0])(pattern, 'p', 1)
    assert rule.matches(name) is matches


@pytest.mark.parametrize(
    ('words', 'reason'),
    [
        (['-r', 'image'], 'expected from:=to'),
        (['-p', 'rate'], 'expected name:=value'),
        (['--params-file', '/nowhere.yaml'], 'No such file'),
        (['--nonsense', 'x'], 'unknown'),
        (['-p', 'a:=[1, b]'], 'mixed types'),
        (['-r'], 'needs a value'),
    ],
)
def test_bad_arguments_are_named(parsed, words, reason):
    with pytest.raises(RuntimeError, match=reason):
        parsed(*words)
