"""What `run` says of itself: sentences for a person, records where a program reads."""

from __future__ import annotations

import logging

import attrs

from trio_cursor.cli.log_setup import is_console
from trio_cursor.cli.output import printable, say
from trio_cursor.config import LoggingConfig
from trio_cursor.logs import get_logger

_log = get_logger("trio_cursor.run")


@attrs.frozen
class Words:
    """Where the words go, and whether they are wanted."""

    config: LoggingConfig

    def tell(self, sentence: str, event: str, **values: object) -> None:
        """Say what is good to know."""
        self._say(logging.INFO, sentence, event, values)

    def warn(self, sentence: str, event: str, **values: object) -> None:
        """Say what somebody should do something about."""
        self._say(logging.WARNING, sentence, event, values)

    def _say(self, level: int, sentence: str, event: str, values: dict[str, object]) -> None:
        if not is_console(self.config):
            _log.log(level, event, **values)
        elif logging.getLogger().isEnabledFor(level):
            say(*map(printable, sentence.split("\n")))
