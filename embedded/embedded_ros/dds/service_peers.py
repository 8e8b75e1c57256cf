# SPDX-License-Identifier: Apache-2.0
"""The DDS endpoints at the other side of a service, by the identity that they announce.

rmw_cyclonedds writes `clientid=ID;` into the user data of a client's two endpoints and
`serviceid=ID;` into those of a server, as we do. An endpoint without one belongs to the rmw of
another vendor. That puts the identity of a request elsewhere, so that neither side can read the
other's samples: our header in front of a request is the length of a sequence to rmw_fastrtps, and
a server there allocates that much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cyclonedds.core import Policy, Qos

CLIENT, SERVER = 'clientid', 'serviceid'
FOREIGN = 'has an rmw of another DDS vendor; services go between nodes of rmw_cyclonedds_cpp only'


def user_data_of(qos: Qos) -> dict[str, str]:
    """Return `typehash=...;serviceid=...;` of a discovered endpoint as a dict."""
    policy = qos[Policy.Userdata]
    text = policy.data.decode(errors='replace') if policy else ''
    return dict(item.split('=', 1) for item in text.split(';') if '=' in item)


def identities(handles: Iterable[int], describe: Callable[[int], Any], kind: str) -> set[str]:
    """Return the identities of matched endpoints; '' stands for one of another vendor.

    Args:
        handles: the endpoints matched.
        describe: returns the discovered endpoint of a handle, None where it has just left.
        kind: CLIENT or SERVER.
    """
    found = (describe(handle) for handle in handles)
    return {user_data_of(endpoint.qos).get(kind, '') for endpoint in found if endpoint is not None}
