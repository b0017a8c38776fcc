"""What of a URL may be printed."""

import re
from urllib.parse import unquote

_SECRET = re.compile("pass|pwd|secret|token|auth|key", re.IGNORECASE)
#: Name and value, and what follows without a name of its own: a value may hold `&` that should be `%26`.
_PARAMETER = re.compile(r"([?&])([^=&#]*)=[^&#]*(?:&[^=&#]*(?=[&#]|$))*")


def redact_url(url: str) -> str:
    """Give a URL that may be printed: no password, no user that could be one, no secret parameter.

    Where a password holds characters that should have been encoded (`/`, `@`, `?`, `#`, `&`), rather too
    much is hidden than a piece of it shown.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    credentials, at, place = rest.rpartition("@")
    if at:
        if _without_secrets(credentials) != credentials:
            place = "***"  # the @ may be one of a parameter's
        user, colon, _ = credentials.partition(":")
        rest = f"{user}:***@{place}" if colon else f"***@{place}"
    return scheme + separator + _without_secrets(rest)


def _without_secrets(text: str) -> str:
    """Hide the values of secret parameters, and then what is behind a `#` too."""
    hidden = _PARAMETER.sub(_hide, text)
    return text if hidden == text else hidden.partition("#")[0]


def _hide(parameter: re.Match[str]) -> str:
    separator, name = parameter.groups()
    return f"{separator}{name}=***" if _SECRET.search(unquote(name)) else parameter[0]


def redact_webhook(url: str) -> str:
    """Keep the host alone: whoever knows the path of a webhook may post to it."""
    scheme, separator, rest = redact_url(url).partition("://")
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    return f"{scheme}{separator}{host}" + ("/***" if rest.removeprefix(host).strip("/") else "")
