"""Escape sequences on Windows, on any platform: the module is loaded a second time under Windows' name."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import sys
import types

import pytest

from trio_cursor.cli import console
from trio_cursor.cli.log_setup import logging_to_stderr
from trio_cursor.config import LoggingConfig


class Kernel:
    """Of kernel32, what a console is asked; the calls take a handle and a pointer."""

    def __init__(self, *, is_console=True, knows_sequences=True):
        self.is_console, self.knows_sequences = is_console, knows_sequences
        self.mode = 0x3

    def GetConsoleMode(self, handle, mode):  # noqa: N802 - its name
        assert handle.value == 1042
        mode._obj.value = self.mode
        return self.is_console

    def SetConsoleMode(self, handle, mode):  # noqa: N802 - its name
        assert handle.value == 1042
        if self.knows_sequences:
            self.mode = mode
        return self.knows_sequences


@pytest.fixture
def ask(monkeypatch):
    """Ask the console of a Windows."""
    msvcrt = types.ModuleType("msvcrt")
    msvcrt.get_osfhandle = lambda descriptor: 1000 + descriptor
    spec = importlib.util.spec_from_file_location("console_on_windows", console.__file__)
    module = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as pretence:
        pretence.setitem(sys.modules, "msvcrt", msvcrt)
        pretence.setattr(sys, "platform", "win32")
        spec.loader.exec_module(module)

    def asked(kernel):
        monkeypatch.setattr(ctypes, "windll", types.SimpleNamespace(kernel32=kernel), raising=False)
        return module.understands_escapes(types.SimpleNamespace(fileno=lambda: 42))

    return asked


def test_a_console_is_asked_to_understand_them(ask):
    kernel = Kernel()
    assert ask(kernel)
    assert kernel.mode == 0x7


def test_an_old_console_and_what_is_none_do_not(ask):
    assert not ask(Kernel(knows_sequences=False))
    assert not ask(Kernel(is_console=False))


def test_log_lines_have_no_colours_where_the_library_for_them_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    with logging_to_stderr(LoggingConfig(format="console"), colors=True):
        logging.getLogger("x").warning("words")
    assert "\x1b" not in capsys.readouterr().err
