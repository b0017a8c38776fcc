"""Whether a process is still there."""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    import ctypes

    _SYNCHRONIZE = 0x0010_0000
    _WAIT_TIMEOUT = 0x102

    def is_alive(pid: int) -> bool:
        # os.kill(pid, 0) would be ^C here.
        handle = ctypes.windll.kernel32.OpenProcess(_SYNCHRONIZE, False, pid)
        if not handle:
            return False
        try:
            return bool(ctypes.windll.kernel32.WaitForSingleObject(handle, 0) == _WAIT_TIMEOUT)
        finally:
            ctypes.windll.kernel32.CloseHandle(handle)

else:
    #: Whose child we were at the start: a parent that has died but was not waited for still has its id.
    _PARENT = os.getppid()

    def is_alive(pid: int) -> bool:
        if pid == _PARENT:
            return os.getppid() == pid
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it is there, and somebody else's
        return True
