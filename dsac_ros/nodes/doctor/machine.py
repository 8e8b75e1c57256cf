# SPDX-License-Identifier: Apache-2.0
"""Checks of this machine: torch and its device, the ROS runtime, DDS, optional packages."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

from dsac_ros.errors import DsacError
from dsac_ros.nodes.doctor.finding import Finding, fail, ok, warn

#: A kernel driver of NVIDIA says that there is a GPU, whatever torch was built for.
GPU_DRIVER = Path('/proc/driver/nvidia/version')
RECEIVE_BUFFER = Path('/proc/sys/net/core/rmem_max')
#: Receive buffer [bytes] below which large images get lost between machines.
MIN_RECEIVE_BUFFER = 8 * 2**20
#: Above, DDS' ports reach those that operating systems hand out; DDS ends at 232.
MAX_SAFE_DOMAIN, MAX_DOMAIN = 101, 232
#: Module -> what is missing without it.
OPTIONAL = {
    'nav2_msgs': 'the action ~/wait_until_localized of the behaviour tree, and ~/load_map',
    'bond': 'a bond with nav2_lifecycle_manager (else bond_timeout 0)',
}


def machine_findings(environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Check this machine."""
    runtime, is_embedded = runtime_finding()
    return [
        device_finding(),
        runtime,
        domain_finding(environment),
        network_finding(environment),
        *(buffer_finding(RECEIVE_BUFFER) if not stays_here(environment) else []),
        *([] if is_embedded or runtime.level else optional_findings()),
    ]


def device_finding() -> Finding:
    """Check torch and the device that `auto` chooses."""
    subject = 'compute device'
    try:
        import torch

        from dsac_ros.compute.device import choose_device

        device = choose_device('auto')
    except ImportError as error:
        return fail(subject, f'torch cannot be imported ({error}): pip install torch')
    version = f'torch {torch.__version__}'
    if device != 'cpu':
        return ok(subject, f'{torch.cuda.get_device_name()}, {version}')
    found = f'CPU, {len(os.sched_getaffinity(0))} cores, {version}'
    if GPU_DRIVER.exists():
        return warn(
            subject,
            f'{found}, though an NVIDIA driver is loaded: install a CUDA build of torch, or one '
            'that fits the driver (`nvidia-smi` says which CUDA it takes)',
        )
    return ok(subject, f'{found}; no GPU is needed, with one a query takes a tenth of the time')


def runtime_finding() -> tuple[Finding, bool]:
    """Check that nodes can run here; also return whether the embedded runtime runs them."""
    from dsac_ros.nodes.runtime import choose_runtime

    subject = 'ROS runtime'
    try:
        runtime = choose_runtime()
    except DsacError as error:
        return fail(subject, str(error)), False
    if runtime == 'rclpy':
        distribution = os.environ.get('ROS_DISTRO', '')
        rmw = os.environ.get('RMW_IMPLEMENTATION', 'the default middleware')
        return ok(subject, f'rclpy {distribution}'.strip() + f', {rmw}'), False
    return (
        warn(
            subject,
            'the embedded one, as no ROS 2 is sourced here: topics reach all ROS nodes, services '
            'only those on Cyclone DDS (RMW_IMPLEMENTATION=rmw_cyclonedds_cpp)',
        ),
        True,
    )


def domain_finding(environment: Mapping[str, str]) -> Finding:
    """Check ROS_DOMAIN_ID."""
    subject, text = 'DDS domain', environment.get('ROS_DOMAIN_ID') or '0'
    if not text.isdigit() or int(text) > MAX_DOMAIN:
        return fail(
            subject, f'ROS_DOMAIN_ID is {text!r}, expected a number from 0 to {MAX_SAFE_DOMAIN}'
        )
    if int(text) > MAX_SAFE_DOMAIN:
        return warn(
            subject,
            f'{text}: its ports may be taken by other programs, expected at most '
            f'{MAX_SAFE_DOMAIN} (ROS_DOMAIN_ID)',
        )
    return ok(subject, f'{text} (ROS_DOMAIN_ID, the same on every machine of the robot)')


def stays_here(environment: Mapping[str, str]) -> bool:
    """Return whether DDS is kept on this machine."""
    return (
        environment.get('ROS_LOCALHOST_ONLY') == '1'
        or environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '').upper() == 'LOCALHOST'
    )


def network_finding(environment: Mapping[str, str]) -> Finding:
    """Tell with whom DDS may speak."""
    if environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '').upper() == 'OFF':
        return warn(
            'DDS network',
            'ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: nodes find each other by ROS_STATIC_PEERS only',
        )
    if stays_here(environment):
        return ok(
            'DDS network',
            'this machine only (ROS_AUTOMATIC_DISCOVERY_RANGE or ROS_LOCALHOST_ONLY)',
        )
    return ok('DDS network', 'all machines of the subnet')


def buffer_finding(path: Path) -> list[Finding]:
    """Check the receive buffer of the kernel; nothing where it is unknown."""
    try:
        size = int(path.read_text())
    except (OSError, ValueError):
        return []
    found = f'net.core.rmem_max is {size / 2**20:.1f} MiB'
    if size >= MIN_RECEIVE_BUFFER:
        return [ok('network buffer', found)]
    return [
        warn(
            'network buffer',
            f'{found}, too little for raw images from another machine: sudo sysctl -w '
            'net.core.rmem_max=33554432, or use image_transport:=compressed',
        )
    ]


def is_installed(package: str) -> bool:
    """Return whether the messages of a ROS package can be imported.

    A folder of that name, such as the current one, is found as a module as well.
    """
    try:
        importlib.import_module(f'{package}.msg')
    except ImportError:
        return False
    return True


def optional_findings() -> list[Finding]:
    """Check packages of ROS that only some uses need."""
    return [
        ok(name, 'installed')
        if is_installed(name)
        else warn(
            name,
            f'not installed, which means without {lost}: sudo apt install '
            f'ros-{os.environ.get("ROS_DISTRO", "$ROS_DISTRO")}-{name.replace("_", "-")}',
        )
        for name, lost in OPTIONAL.items()
    ]
