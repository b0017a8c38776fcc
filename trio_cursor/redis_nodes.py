"""Who may know where a key is: the sentinels, or nodes of a cluster, that are configured or were heard of."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final, TypeAlias

#: Name or address, and port.
Host: TypeAlias = tuple[str, int]

#: Of those that are not configured: there is no time to ask more, and addresses come and go.
_MOST_HEARD: Final = 32


class KnownNodes:
    """They, in the order in which they are asked; any thread may call.

    Kept from link to link: a service that runs for long outlives the nodes of its configuration, one after
    the other, and one that did not answer is not asked first again.

    Args:
        configured: Never forgotten.

    """

    def __init__(self, configured: Iterable[Host]) -> None:
        self._configured = tuple(configured)
        self._lock = threading.Lock()
        self._hosts = list(dict.fromkeys(self._configured))

    def in_order(self) -> list[Host]:
        """Whom to ask, one after the other."""
        with self._lock:
            return list(self._hosts)

    def hear(self, heard: Iterable[Host]) -> None:
        """Remember those that somebody named, instead of those that were named before."""
        with self._lock:
            known = {*self._configured, *heard}
            order = [host for host in self._hosts if host in known]
            self._keep([*order, *sorted(known.difference(order))])

    def put_first(self, host: Host) -> None:
        """Ask it first from now on: it leads to the key."""
        with self._lock:
            self._keep([host, *(other for other in self._hosts if other != host)])

    def put_last(self, host: Host) -> None:
        """Ask it when all others have been asked."""
        with self._lock:
            if host in self._hosts:
                self._hosts = [*(other for other in self._hosts if other != host), host]

    def _keep(self, hosts: list[Host]) -> None:
        too_many = [host for host in hosts if host not in self._configured][_MOST_HEARD:]
        self._hosts = [host for host in hosts if host not in too_many]
