"""The shapes that secrets have, as those who issue them document them, and how each is found in a text. Pure.

No pattern can take more than linear time: repetitions without an end are possessive, and a pattern of several
parts begins only where nothing precedes that could belong to it.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

#: Nothing of a word is before it; of a text inside JSON the `n` of `\n` is none.
_FREE: Final = r"(?:(?<![A-Za-z0-9]{0})|(?<=\\[nrt]{0}))"
#: The same for what could else begin within itself.
_APART: Final = r"(?:(?<![A-Za-z0-9_\-.]{0})|(?<=\\[nrt]{0}))"
#: The same where a dot ends a part, so that no part is looked through more than twice.
_PART: Final = r"(?:(?<![A-Za-z0-9_\-]{0})|(?<=\\[nrt]{0}))"
#: As `_APART`, before what begins with no prefix.
_ALONE: Final = r"(?:(?<![\w\-.~/])|(?<=\\[nrt]))"


@attrs.frozen
class Shape:
    """One shape. What is replaced is the first group, if there is one, else all of it."""

    kind: str
    #: One of them stands in every text that holds the shape: most texts need not be looked through.
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    #: Letters alone are a word.
    needs_digit: bool = False


def _token(
    kind: str, prefix: str, body: str, *, hints: tuple[str, ...] = (), needs_digit: bool = False
) -> Shape:
    """A prefix, which is a pattern of fixed width, and a body."""
    pattern = prefix + _FREE.replace("{0}", prefix) + body
    return Shape(kind, hints or (prefix.replace("\\", ""),), re.compile(pattern), needs_digit)


def _parts(kind: str, prefix: str, body: str) -> Shape:
    """Several parts with something between them."""
    pattern = prefix + _APART.replace("{0}", prefix) + body
    return Shape(kind, (prefix.replace("\\", ""),), re.compile(pattern))


_B64 = r"[A-Za-z0-9+/=_\-]"
_WORD = r"[A-Za-z0-9_\-]"
_ALNUM = r"[A-Za-z0-9]"
_HEX = r"[0-9a-fA-F]"
#: Before a password: what stands for one that is elsewhere is none.
_GIVEN: Final = r"(?!\[REDACTED|[$<{%(:?+]|\*{3}|\.{3}|x{4}|your)"
#: A text of SQL, and not what is between two of them.
_SQL_TEXT: Final = rf"\\?'{_GIVEN}(?![\"' ,;)\]])((?:[^'\n\\]|''){{1,200}}+)\\?'"
#: Behind the name and before the host.
_ORACLE_PASSWORD: Final = rf"/\\?[\"']?{_GIVEN}([^\s@\"'\\]{{1,200}}+)\\?[\"']?@"

SHAPES: Final = (
    # Also of those who took over the form: OpenRouter, DeepSeek and others.
    _token("anthropic-key", "sk-ant-", _WORD + "{16,}+"),
    _token("openai-key", "sk-", _WORD + "{20,}+", needs_digit=True),
    _token("github-token", "gh[pousr]_", r"\w{30,}+", hints=("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    _token("github-token", "github_pat_", r"\w{22,}+"),
    *(
        _token("gitlab-token", f"gl{name}-", r"[\w\-.]{20,}+")
        for name in (
            "pat",
            "dt",
            "rt",
            "rtr",
            "cbt",
            "ptt",
            "ft",
            "soat",
            "imt",
            "agent",
            "ffct",
            "oas",
            "wt",
        )
    ),
    *(_token("aws-key-id", prefix, "[A-Z0-9]{16}(?![A-Za-z0-9])") for prefix in ("AKIA", "ASIA", "ABIA")),
    _token("google-key", "AIza", _WORD + "{35,}+"),
    _token("google-token", r"ya29\.", _WORD + "{20,}+"),
    _token("google-secret", "GOCSPX-", _WORD + "{20,}+"),
    _token("slack-token", "xox[abceoprs]", r"(?:\.xox[a-z])?-[A-Za-z0-9\-]{10,}+", hints=("xox",)),
    _token("slack-token", "xapp-", r"[A-Za-z0-9\-]{10,}+"),
    Shape(
        "webhook",
        ("hooks.slack.com/",),
        re.compile(r"hooks\.slack\.com/(?:services|workflows)/([\w/+\-]{10,}+)"),
    ),
    Shape("webhook", ("/api/webhooks/",), re.compile(r"/api/webhooks/\d{5,25}+/([\w\-]{20,}+)")),
    *(
        _token("stripe-key", f"{kind}_{mode}_", _ALNUM + "{16,}+")
        for kind in ("sk", "rk")
        for mode in ("live", "test")
    ),
    _token("webhook-secret", "whsec_", _B64 + "{20,}+"),
    _token("npm-token", "npm_", _ALNUM + "{36,}+"),
    _token("pypi-token", "pypi-", _WORD + "{50,}+"),
    _token("rubygems-key", "rubygems_", _HEX + "{40,}+"),
    _token("crates-token", "cio", _ALNUM + "{32}(?![A-Za-z0-9])"),
    _token("huggingface-token", "hf_", _ALNUM + "{30,}+"),
    _token("groq-key", "gsk_", _ALNUM + "{40,}+"),
    _token("replicate-token", "r8_", _ALNUM + "{30,}+"),
    _token("perplexity-key", "pplx-", _ALNUM + "{32,}+"),
    _token("xai-key", "xai-", _ALNUM + "{40,}+"),
    _token("langsmith-key", "lsv2_", r"\w{30,}+"),
    _token("cursor-key", "key_", _HEX + "{60,}+"),
    _token("cursor-key", "crsr_", _HEX + "{60,}+"),
    _parts("sendgrid-key", r"SG\.", _WORD + r"{16,}+\." + _WORD + "{20,}+"),
    _token("twilio-key", "SK", "[0-9a-f]{32}(?![A-Za-z0-9])"),
    _token("mailgun-key", "key-", "[0-9a-f]{32}(?![A-Za-z0-9])"),
    Shape("telegram-token", (":AA",), re.compile(r"(?<!\d)\d{8,10}:AA[\w\-]{32,}+")),
    *(_token("digitalocean-token", f"do{kind}_v1_", _HEX + "{60,}+") for kind in "por"),
    *(_token("shopify-token", f"shp{kind}_", _HEX + "{32,}+") for kind in ("at", "ca", "pa", "ss")),
    _token("databricks-token", "dapi", "[0-9a-f]{32}"),
    *(_token("vault-token", rf"hv{kind}\.", _WORD + "{20,}+") for kind in "sbr"),
    Shape("terraform-token", (".atlasv1.",), re.compile(r"\.atlasv1\.([\w\-]{50,}+)")),
    _token("doppler-token", r"dp\.", r"(?:pt|st|ct|sa|scim|audit)\.[\w.\-]{30,}+"),
    _token("linear-key", "lin_api_", _ALNUM + "{30,}+"),
    _token("notion-token", "ntn_", _ALNUM + "{40,}+"),
    _token("postman-key", "PMAK-", r"[0-9a-f\-]{50,}+"),
    _token("grafana-token", "glsa_", r"\w{30,}+"),
    _token("grafana-token", "glc_", _B64 + "{30,}+"),
    _token("newrelic-key", "NRAK-", _ALNUM + "{20,}+"),
    *(_token("sentry-token", f"sntry{kind}_", _B64 + "{30,}+") for kind in "su"),
    _token("figma-token", "figd_", _WORD + "{20,}+"),
    _token("atlassian-token", "ATATT3", _B64 + "{20,}+"),
    *(_token("docker-token", f"dckr_{kind}_", _WORD + "{20,}+") for kind in ("pat", "oat")),
    *(_token("planetscale-token", f"pscale_{kind}_", r"[\w\-.]{20,}+") for kind in ("tkn", "pw", "oauth")),
    _token("supabase-key", "sbp_", _HEX + "{40,}+"),
    _token("supabase-key", "sb_secret_", _WORD + "{20,}+"),
    _token("tailscale-key", "tskey-", _WORD + "{20,}+"),
    _token("heroku-key", "HRKU-", _WORD + "{30,}+"),
    _token("age-key", "AGE-SECRET-KEY-1", "[A-Z0-9]{50,}+"),
    # Behind a dot it is a part of its own; behind what may be within a part, the first one is not long.
    Shape(
        "jwt",
        ("eyJ",),
        re.compile(
            rf"eyJ(?:{_PART.replace('{0}', 'eyJ')}[\w\-]{{8,}}+|(?<=[_\-]eyJ)[\w\-]{{8,200}}+)"
            r"\.[\w\-]{8,}+(?:\.[\w\-]*+){0,3}"
        ),
    ),
    Shape(
        "discord-token",
        ("MT", "Mj", "Mz", "MD", "MA", "ND", "NT", "Nj", "Nz", "OD", "OT"),
        re.compile(
            _ALONE + r"(?:M[TjzDA]|N[DTjz]|O[DT])[\w\-]{21,26}+\.[\w\-]{6}\.[\w\-]{27,40}+(?![\w\-.])"
        ),
        needs_digit=True,
    ),
    Shape("google-token", ("1//0",), re.compile(_ALONE + r"1//0[\w\-]{25,}+")),
    Shape("azure-secret", ("Q~",), re.compile(_ALONE + r"[\w~.\-]{3}\dQ~[\w~.\-]{31,34}+")),
    _token("netlify-token", "nfp_", _ALNUM + "{36,}+"),
    _token("pinecone-key", "pcsk_", r"\w{40,}+"),
    Shape(
        "resend-key",
        ("re_",),
        re.compile(_ALONE + r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{22,}+"),
        needs_digit=True,
    ),
    _token("tavily-key", "tvly-", _WORD + "{24,}+", needs_digit=True),
    _token("elevenlabs-key", "sk_", "[0-9a-f]{40,}+"),
    Shape(
        "cookie",
        ("ookie", "OOKIE"),
        re.compile(
            r"(?<![A-Za-z])(?i:cookie)\\?[\"']?[ \t]{0,4}:[ \t]{0,4}\\?[\"']?"
            r"([\w!#$%&*+.^|~\-]{1,100}+=[^\r\n\"'\\]{6,4000}+)"
        ),
    ),
    Shape(
        "credential",
        ("uthorization", "UTHORIZATION"),
        re.compile(r"(?i:authorization)\\?[\"']?[ \t]{0,8}:[ \t]{0,8}\\?[\"']?([\w+/=\-]{16,}+)(?![(\[.:])"),
        needs_digit=True,
    ),
    Shape(
        "password",
        ("machine",),
        re.compile(
            r"(?<!\w)machine\s{1,8}\S{1,200}+\s{1,40}login\s{1,8}\S{1,100}+\s{1,40}password\s{1,8}(\S{1,200}+)"
        ),
    ),
    Shape(
        "credential",
        ("earer", "EARER"),
        re.compile(r"(?<![A-Za-z])(?i:bearer)(?:[ \t]|%20|\+){1,4}([\w.~+/=\-]{16,}+)"),
        needs_digit=True,
    ),
    Shape(
        "credential",
        ("uthorization", "UTHORIZATION"),
        re.compile(
            r"(?i:authorization)\\?[\"']?[ \t]{0,8}[:=][ \t]{0,8}\\?[\"']?"
            r"(?:(?i:basic|token|apikey|key|digest)[ \t]{1,8})([^\s\"'\\,;]{6,}+)"
        ),
    ),
    Shape(
        "signature",
        ("sig=", "key=", "code=", "auth="),
        re.compile(r"[?&](?:sig|key|code|auth)=([\w%.~+/=\-]{16,}+)"),
    ),
    Shape("password", ("://",), re.compile(r"://[^\s/:@\"'<>]{0,200}+:([^\s/\"'<>@]{1,300}+)@")),
    Shape(
        "password",
        ("jdbc:oracle:",),
        re.compile(rf"jdbc:oracle:\w{{1,20}}+:[^\s/@:\"'<>]{{1,100}}+{_ORACLE_PASSWORD}"),
    ),
    Shape(
        "password",
        ("sqlplus", "sqlldr", "expdp", "impdp"),
        re.compile(
            r"(?:sqlplus|sqlldr|expdp|impdp)(?:\.exe)?(?:[ \t]{1,4}-[\w.]{1,10}+){0,4}"
            rf"[ \t]{{1,4}}(?:userid=)?\\?[\"']?[\w$#]{{1,60}}+{_ORACLE_PASSWORD}"
        ),
    ),
    # Of the names alone is much spoken: as a line of settings, as an option, or set.
    Shape(
        "password",
        ("requirepass", "masterauth"),
        re.compile(
            r"(?:(?:\A|\n|\\n)[ \t]{0,8}|--|(?:CONFIG SET|config set)[ \t]{1,4})(?:requirepass|masterauth)"
            rf"(?:[ \t=]{{1,4}}\\?[\"']?|\\?[\"'],[ \t]{{0,4}}\\?[\"']){_GIVEN}([^\s\"'\\,]{{1,200}}+)"
        ),
    ),
    # The name of the user may be before it.
    Shape(
        "password",
        ("> AUTH ", "> auth "),
        re.compile(
            r"(?:AUTH|auth)(?<=[\d\]]> .{4})[ \t]{1,4}\\?[\"']?"
            rf"{_GIVEN}([^\s\\\"'`]{{1,200}}+(?:[ \t]{{1,4}}[^\s\\\"'`]{{1,200}}+)?)"
        ),
    ),
    Shape(
        "password",
        ("IDENTIFIED",),
        re.compile(
            r"IDENTIFIED(?:\s{1,4}WITH\s{1,4}[\w'\"`]{1,60}+)?\s{1,4}(?:BY|AS)\s{1,4}"
            rf"(?:(?:PASSWORD|VALUES)\s{{1,4}})?{_SQL_TEXT}"
        ),
    ),
    Shape(
        "password",
        ("IDENTIFIED BY", "identified by"),
        re.compile(
            r"(?:CREATE|ALTER|create|alter)\s{1,4}(?:USER|user)\s{1,4}\S{1,100}+"
            r"\s{1,4}(?:IDENTIFIED|identified)\s{1,4}(?:BY|by)\s{1,4}"
            rf"(?:(?:VALUES|values)\s{{1,4}})?\\?[\"']?{_GIVEN}([^\s\"'\\;]{{1,200}}+)"
        ),
    ),
    Shape(
        "password",
        ("PASSWORD",),
        re.compile(
            r"PASSWORD(?:\s{1,4}FOR\s{1,4}\S{1,100}+\s{0,4}=\s{0,4}(?:PASSWORD\()?|\s{1,4}|\(\s{0,4})"
            + _SQL_TEXT
        ),
    ),
    Shape(
        "password",
        (" password '", r" password \'"),
        re.compile(r"(?:with|encrypted|login)\s{1,4}password\s{1,4}" + _SQL_TEXT),
    ),
)
