# SPDX-License-Identifier: Apache-2.0
"""For pip: the library and the `dsac` command. colcon uses CMakeLists.txt."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

# The one place of the version; ROS tools read and raise it there.
VERSION = ElementTree.parse(Path(__file__).with_name('package.xml')).findtext('version')
# Folders that stand beside the package in a checkout -> where a wheel carries them.
SHARED = {
    'msg': 'dsac_ros/msg',
    'config': 'dsac_ros/share/config',
    'launch': 'dsac_ros/share/launch',
}


class BuildWithInterface(build_py):
    """Adds the message definitions, settings and launch files to a wheel.

    An editable install finds them in the checkout.
    """

    def run(self) -> None:
        """Build the modules, then copy the folders of SHARED."""
        super().run()
        if self.editable_mode:
            return
        for source, target in SHARED.items():
            folder = Path(self.build_lib, target)
            folder.mkdir(parents=True, exist_ok=True)
            for file in sorted(Path(source).iterdir()):
                if file.is_file():
                    shutil.copyfile(file, folder / file.name)


setup(
    name='dsac_ros',
    version=VERSION,
    description='Where a robot is, from one camera image: scene coordinate regression for ROS 2',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['dsac_ros', 'dsac_ros.*']),
    package_data={
        'dsac_ros': [
            f'**/*.{ending}'
            for ending in (
                'safetensors',
                'md',
                'json',
                'xml',
                'jpg',
                'png',
                'npz',
                'html',
                'css',
                'msg',
                'txt',
            )
        ]
        + ['py.typed']
    },
    cmdclass={'build_py': BuildWithInterface},
    install_requires=[
        'torch>=2.4',
        'numpy>=1.24',
        # 5 renumbers the image types, which breaks the cv_bridge of ROS 2.
        'opencv-python-headless>=4.8,<5',
        'scipy>=1.10',
        'safetensors>=0.4',
        'rosbags>=0.11',
        # How bags and the chunks of an .mcap are compressed; rosbags needs both as well.
        'lz4>=4',
        'backports.zstd>=1; python_version < "3.14"',
        'tqdm>=4.60',
        'matplotlib>=3.7',
        'scikit-image>=0.22',
        'pyyaml>=6.0',
    ],
    extras_require={
        'standalone': ['embedded_ros==0.1.0'],  # in embedded/: nodes without ROS
        'test': [
            'pytest>=7',
            'pytest-xdist>=3.7',
            'hypothesis>=6',
            'av>=16',
            'ruff>=0.5',
            'mypy>=1.11',
            'types-pyyaml>=6',
            # reads what `dsac evaluate --report` writes for it
            'evo>=1.30; python_version >= "3.11"',
        ],
        # Video files, and video in bags.
        'video': ['av>=16'],
        # The system sift_sfm, and peers of `dsac bench ransac`:
        # .venv/bin/pip install -e '.[sfm]'
        'sfm': ['pycolmap>=4', 'poselib>=2'],
        # The site of `make docs`: Markdown and the docstrings of the sources.
        'docs': ['mkdocs>=1.6,<2', 'mkdocs-material>=9.5', 'mkdocstrings-python>=1.10'],
    },
    entry_points={'console_scripts': ['dsac = dsac_ros.cli.main:main']},
)
