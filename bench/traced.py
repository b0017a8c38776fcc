"""What a process does to the files below a directory, by strace; Linux only."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

#: Whatever could change something. Descriptors are shown with their paths (-y).
CALLS = (
    "openat,open,creat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,"
    "rmdir,truncate,ftruncate,fallocate,write,pwrite64,writev,pwritev,chmod,fchmod,fchmodat,chown,fchown,"
    "fchownat,utimensat,mknod,mknodat,setxattr,fsetxattr,sendfile,copy_file_range,mmap"
)
_LINE = re.compile(r"(?:\[pid +)?\d+\]? +(?P<call>\w+)\((?P<words>.*)\) += (?P<result>-?\d+|0x[0-9a-f]+|\?)")


def strace(output: Path) -> list[str]:
    """The command before the command; fails where there is none."""
    program = shutil.which("strace")
    if program is None:
        raise SystemExit("strace is not on this machine")
    return [program, "-f", "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", str(output)]


def traced_pid(pid: int) -> int:
    """The process that a strace runs, which itself lets no signal end it."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def doings(output: Path, directory: Path) -> Counter[str]:
    """How often what was done there, in words; an open for reading is not counted, one that failed is."""
    with output.open(encoding="utf-8", errors="replace") as lines:
        return Counter(word for line in lines if str(directory) in line for word in _word(line))


def changes(done: Counter[str]) -> dict[str, int]:
    """Those that could have changed something."""
    harmless = ("open to read", "SQLite's open of a -wal", "SQLite's fchown")
    return {word: number for word, number in done.items() if not word.startswith(harmless)}


def _word(line: str) -> Iterable[str]:
    found = _LINE.match(line)
    if found is None:
        if "resumed>" not in line and "unfinished" not in line:
            yield f"not understood: {line.strip()[:120]}"
        elif "unfinished" in line:
            # The end of the call stands on another line; what it is about stands on this one.
            yield from _word(re.sub(r" *<unfinished \.\.\.>", ") = ?", line))
        return
    call, words = found["call"], found["words"]
    if call in ("open", "openat"):
        if "O_RDWR" not in words and "O_WRONLY" not in words:
            yield "open to read"
        elif "-wal" in words and "O_CREAT" in words:
            # It gives O_CREAT of every log; whether one was made, the directory tells.
            yield (
                "SQLite's open of a -wal"
                if found["result"] != "-1"
                else "SQLite's open of a -wal that failed"
            )
        else:
            yield f"open to write: {words[-60:]}"
    elif call == "fchown" and os.geteuid() == 0:
        # Of whatever it opens with O_CREAT, and to the owner of the database, which it has already.
        yield "SQLite's fchown, as it does for root alone"
    elif call == "mmap":
        if "PROT_WRITE" in words and "MAP_SHARED" in words:
            yield "writable mapping"
    else:
        yield call
