"""Whether a terminal understands escape sequences: on Windows only once it was asked to."""

from __future__ import annotations

import sys
from typing import TextIO

if sys.platform == "win32":
    import ctypes
    import msvcrt

    _VIRTUAL_TERMINAL = 0x0004

    def understands_escapes(stream: TextIO) -> bool:
        """Ask the console of a stream to; False: it cannot, or there is none (`NUL` is a terminal too)."""
        kernel, mode = ctypes.windll.kernel32, ctypes.c_uint32()
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(stream.fileno()))
        if not kernel.GetConsoleMode(handle, ctypes.byref(mode)):
            return False
        return bool(kernel.SetConsoleMode(handle, mode.value | _VIRTUAL_TERMINAL))

else:

    def understands_escapes(stream: TextIO) -> bool:  # noqa: ARG001
        """All do."""
        return True
