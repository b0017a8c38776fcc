"""Fake secrets in the global ItemTable: whoever lets one of them out has read what nobody may read.

Cursor keeps its login and the secrets of extensions in the table that also has the ring of windows without a
folder. Careful readers of it (eric-tramel/moraine, siropkin/budi) ask for exact keys only.
"""

from __future__ import annotations

from typing import Final

#: Stands in each canary: search everything that leaves the service for this one word.
CANARY: Final = "trio-cursor-demo-canary"

#: Key in the global ItemTable and its value. None of them was ever valid anywhere.
CANARIES: Final = {
    "cursorAuth/accessToken": f"{CANARY}.access-token.never-valid",
    "cursorAuth/refreshToken": f"{CANARY}.refresh-token.never-valid",
    "cursorAuth/cachedEmail": f"{CANARY}@example.invalid",
    'secret://{"extensionId":"example.publisher","key":"token"}': f"{CANARY}.extension-secret.never-valid",
}
