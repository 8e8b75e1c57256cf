# SPDX-License-Identifier: Apache-2.0
"""Cyclone DDS settings for robots; a user's own CYCLONEDDS_URI replaces them all."""

from __future__ import annotations

import os

from embedded_ros.errors import RCLError

# Fragments of a large message, near the most that a UDP packet takes [bytes].
FRAGMENT = 65000
# A best-effort image arrives as a burst of UDP packets and is lost with any one of them: large
# packets make the burst short, a large socket buffer holds it. A reliable reader asks for each
# fragment that it misses, so that a packet is one fragment: with the 1344 bytes of Cyclone's own
# setting a reader that lost a packet of an image needs half a second more for it. `max` takes what
# net.core.rmem_max allows; `min` would refuse to start below it.
TEMPLATE = """<CycloneDDS><Domain Id="any">
<General>{interfaces}<AllowMulticast>true</AllowMulticast><MaxMessageSize>65500B</MaxMessageSize>
<FragmentSize>{fragment}B</FragmentSize>
</General>
<Discovery><ParticipantIndex>auto</ParticipantIndex>
<MaxAutoParticipantIndex>120</MaxAutoParticipantIndex></Discovery>
<Internal><SocketReceiveBufferSize max="8MB"/></Internal>
</Domain></CycloneDDS>"""
LOOPBACK = '<Interfaces><NetworkInterface name="lo" multicast="true"/></Interfaces>'


def is_local_only() -> bool:
    """Return True if the environment keeps ROS on this machine."""
    return (
        os.environ.get('ROS_LOCALHOST_ONLY') == '1'
        or os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '').upper() == 'LOCALHOST'
    )


def domain_id_from_environment() -> int:
    """Return ROS_DOMAIN_ID, 0 where it is not set."""
    text = os.environ.get('ROS_DOMAIN_ID') or '0'
    if not text.isdecimal():
        raise RCLError(f'ROS_DOMAIN_ID is {text!r}, expected a number')
    return int(text)


def configure() -> None:
    """Set CYCLONEDDS_URI for this process unless the user did; call before the first domain."""
    os.environ.setdefault(
        'CYCLONEDDS_URI',
        TEMPLATE.format(interfaces=LOOPBACK if is_local_only() else '', fragment=FRAGMENT),
    )
