# SPDX-License-Identifier: Apache-2.0
"""The syntax of calibration files: YAML, OpenCV's YAML and XML, and the ini of Videre."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import yaml

from dsac_ros.sources.text_files import check_aliases

OPENCV_HEADER = re.compile(r'\A%YAML[: ][\d.]+[^\n]*\n')
SEPARATOR = re.compile(r'^(?:---|\.\.\.)[ \t]*\r?$', re.MULTILINE)


class _OpenCvLoader(yaml.SafeLoader):
    """Knows the tags of cv::FileStorage."""


_OpenCvLoader.add_multi_constructor(
    'tag:yaml.org,2002:opencv-', lambda loader, _, node: loader.construct_mapping(node, deep=True)
)


def yaml_documents(text: str) -> tuple[list[dict[str, Any]], int]:
    """The documents of a YAML text that are mappings, and how many others cannot be read.

    `ros2 topic echo` that was interrupted leaves the last one incomplete; where not one can be
    read, the error of the first is raised.
    """
    parts = SEPARATOR.split(OPENCV_HEADER.sub('', text.lstrip('\ufeff')))
    documents, failures = [], []
    for part in filter(str.strip, parts):
        try:
            found = yaml.load(part, Loader=_OpenCvLoader)
            check_aliases(found)
            documents += [found] if isinstance(found, dict) else []
        except (yaml.YAMLError, ValueError) as error:
            failures.append(error)
    if failures and not documents:
        raise failures[0]
    return documents, len(failures)


def xml_document(text: str) -> dict[str, Any]:
    """The values that cv::FileStorage wrote as XML."""

    def value(element: ElementTree.Element) -> Any:
        if len(element):
            return {child.tag: value(child) for child in element}
        words = (element.text or '').split()
        try:
            found = [float(word) for word in words]
        except ValueError:
            return ' '.join(words).strip('"')
        return found[0] if len(found) == 1 else found

    return {child.tag: value(child) for child in ElementTree.fromstring(text)}


def is_ini(text: str) -> bool:
    """Return whether a text is the ost.txt of ROS's camera_calibration."""
    return re.search(r'^camera matrix\s*$', text, re.MULTILINE) is not None


def ini_document(text: str) -> dict[str, Any]:
    """The keys of ROS's YAML, from the ini of Videre that camera_calibration prints."""
    lines = [
        line.strip()
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith(('#', '['))
    ]
    names = {
        'width': 'image_width',
        'height': 'image_height',
        'camera matrix': 'camera_matrix',
        'distortion': 'distortion_coefficients',
        'projection': 'projection_matrix',
        'rectification': 'rectification_matrix',
    }
    values: dict[str, list[float]] = {}
    current: list[float] = []
    for line in lines:
        if line in names:
            current = values.setdefault(names[line], [])
        else:
            current += [float(word) for word in line.split()]
    return {
        name: found[0] if name.startswith('image_') else found for name, found in values.items()
    }
