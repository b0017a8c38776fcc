"""What can go wrong, named for what the caller does next."""


class TrioCursorError(Exception):
    """The root of every error that this package raises on purpose. Its text is one line with a hint."""


class ConfigError(TrioCursorError):
    """The configuration cannot be used: mend it and start again. One line for each fault found."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class AlreadyRunningError(TrioCursorError):
    """Another process holds the state directory: stop it, or use another directory."""


class StateError(TrioCursorError):
    """The state directory or the event log in it cannot be used: mend what the text names."""


class HostError(TrioCursorError):
    """The service cannot be handed to a host (systemd and the like), or not be taken back: see the text."""
