# SPDX-License-Identifier: Apache-2.0
"""Pages are true to the letter: links lead somewhere, files exist, every page is in the site."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'
SITE = sorted(DOCS.rglob('*.md'))
PAGES = [*sorted(ROOT.glob('*.md')), *SITE]
MODULES = [path.relative_to(ROOT).as_posix() for path in ROOT.glob('dsac_ros/**/*.py')]


def name(path):
    return path.relative_to(ROOT).as_posix()


def prose(page):
    """The text of a page without blocks of code."""
    return re.sub(r'^```.*?^```', '', page.read_text(encoding='utf-8'), flags=re.S | re.M)


def anchors(page):
    """The anchors of the headings of a page, as GitHub and the site make them."""
    headings = re.findall(r'^#+ (.*)$', prose(page), re.M)
    return {
        re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-') for heading in headings
    }


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_links_lead_somewhere(page):
    for link in re.findall(r'\]\(([^)\s]+)\)', prose(page)):
        if link.startswith(('http://', 'https://')):
            continue
        target, _, anchor = link.partition('#')
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        if page in SITE:
            assert path.is_relative_to(DOCS), f'{link}: not a page of the site'
        if anchor:
            assert anchor in anchors(path), link


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_lines_are_short_and_name_no_machine(page):
    text = page.read_text(encoding='utf-8')
    assert max(map(len, text.splitlines())) <= 120
    assert not re.search(r'(?<![\w.~/])/(tmp|home|root|work|mnt)/', text)


@pytest.mark.parametrize(
    'page', [page for page in SITE if 'experiments' not in page.parts], ids=name
)
def test_modules_that_pages_name_exist(page):
    for path in re.findall(r'`((?:[\w]+/)*\w+\.py)`', prose(page)):
        assert (ROOT / path).exists() or any(one.endswith(f'/{path}') for one in MODULES), path


def test_every_page_is_in_the_site():
    def pages(entry):
        if isinstance(entry, str):
            return {entry}
        parts = entry.values() if isinstance(entry, dict) else entry
        return set().union(*map(pages, parts))

    site = yaml.safe_load((ROOT / 'mkdocs.yml').read_text(encoding='utf-8'))
    assert pages(site['nav']) == {page.relative_to(DOCS).as_posix() for page in SITE}


def test_api_pages_name_modules():
    for page in sorted((DOCS / 'api').glob('*.md')):
        for module in re.findall(r'^::: ([\w.]+)$', page.read_text(encoding='utf-8'), re.M):
            path = ROOT / module.replace('.', '/')
            assert path.is_dir() or path.with_suffix('.py').exists(), module


def test_docstrings_hold_no_link_by_accident():
    """Two brackets in a row, such as an interval and its unit, are a link in Markdown."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted((ROOT / 'dsac_ros').rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            text = ast.get_docstring(node) or '' if isinstance(node, kinds) else ''
            found = re.search(r'\[[^\]]*\] ?\[\w.*', re.sub(r'`[^`]*`', '', text))
            assert not found, f'{name(path)}: {found[0]}'
