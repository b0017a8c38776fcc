"""What of a URL may be printed."""

import re


def redact_url(url: str) -> str:
    """Give a URL that may be printed: no password, no user that could be one, no secret parameter.

    Where a password holds characters that should have been encoded (`/`, `@`, `?`), rather too much is
    hidden than a piece of it shown.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    credentials, at, place = rest.rpartition("@")
    if at:
        user, colon, _ = credentials.partition(":")
        rest = f"{user}:***@{place}" if colon else f"***@{place}"
    return scheme + separator + _SECRET_PARAMETER.sub(r"\1***", rest)


_SECRET_PARAMETER = re.compile(
    r"([?&][^=&#]*(?:pass|pwd|secret|token|auth|key)[^=&#]*=)[^&#]*", re.IGNORECASE
)


def redact_webhook(url: str) -> str:
    """Keep the host alone: whoever knows the path of a webhook may post to it."""
    scheme, separator, rest = redact_url(url).partition("://")
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    return f"{scheme}{separator}{host}" + ("/***" if rest.removeprefix(host).strip("/") else "")
