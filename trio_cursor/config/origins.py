"""A value and who gave it: in these words messages and `config show` speak of it."""

from typing import Any, TypeAlias

import attrs

PREFIX = "TRIO_CURSOR_"
#: Names the file; the one variable with our prefix that is no key.
FILE_VARIABLE = "TRIO_CURSOR_CONFIG"
#: Known to other programs too: read only where `redis.url` says `env`.
REDIS_VARIABLE = "REDIS_URL"

BUILT_IN = "built-in"
OPTION = "option"


@attrs.frozen
class Given:
    """A value as somebody gave it, and who did."""

    value: Any = attrs.field(repr=False)
    origin: str


Layer: TypeAlias = dict[str, Given]
