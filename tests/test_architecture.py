"""The house: which room may import which, and what may stand in which room; read from the source."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(importlib.util.find_spec("trio_cursor").origin).parent
#: A room imports only from rooms of a lower number, or of its own number without a circle.
FLOORS = [
    ["observations", "records", "errors", "version", "durations", "harmless", "sizes", "sqlite_library"],
    [
        *(
            "alarms",
            "assembly",
            "events",
            "wire",
            "redis_keys",
            "comparing",
            "config",
            "figures",
            "charts",
            "logs",
            "threads",
            "ladder",
            "heard",
        ),
        "os_files",
        *("token_shapes", "secret_names", "assignments", "command_lines", "scrubbing", "privacy"),
        *("cursor.folders", "cursor.hashes", "cursor.schemas"),
        *("sessions.announcements", "sessions.history", "sessions.places", "sessions.book"),
        *("sessions.watching", "sessions.registry"),
        *("meters", "busiest"),
    ],
    [
        *(
            "cursor.filesystems",
            "cursor.grounds",
            "cursor.jobs",
            "cursor.opening",
            "cursor.outcomes",
            "cursor.private_copies",
        ),
        *("cursor.listing", "cursor.selection", "cursor.user_dirs", "cursor.workspace_json"),
        *("cursor.reading", "cursor.visits", "cursor.read_meter", "cursor.guest", "os_events"),
        *("connecting", "endpoint", "posting"),
        *("eventlog", "state_dir", "states", "status", "status_file"),
        *("redis_address", "redis_trouble", "redis_nodes", "redis_finding", "redis_connection"),
        *("redis_link", "redis_calls", "redis_streams", "redis_append", "redis_tending"),
        *("redis_batches", "redis_replay", "redis_pages", "redis_steps", "redis_groups"),
    ],
    [
        *(
            "asked",
            "webhook",
            "hosts",
            "outputs",
            "watched",
            "sweep",
            "hanging",
            "rhythm",
            "os_meanings",
            "os_watches",
            "scanner",
            "scan_clock",
            "hints",
            "freshness",
            "atlas",
            "cursor.mapping",
            "cursor.searching",
        ),
        *("condition", "settings", "passes", "polling", "watcher", "sink", "first_pass", "waking"),
        *(
            "demand",
            "discretion",
            "redis_listening",
            "reader_rules",
            "reader_health",
            "deliveries",
            "feeds",
            "reader",
        ),
        *("sessions.placing", "sessions.storing", "sessions.beginning", "sessions.tracker"),
        *("sessions.redis_events", "sessions.file_look", "sessions.session_files"),
        "page_index",
    ],
    [
        *("supervisor", "handle", "keeping", "alarm_facts", "status_board", "alarming", "metrics", "web"),
        "doctor",
    ],
    ["hearing", "parts", "service"],
    ["demo"],
    ["cli"],
    ["__main__", "__init__"],
]
#: Packages without anything in their `__init__`.
BARE = {"cursor", "sessions"}
PURE = [
    "observations",
    "records",
    "errors",
    "assembly",
    "events",
    "sessions.announcements",
    "sessions.history",
    "sessions.places",
    "sessions.book",
    "sessions.watching",
    "sessions.registry",
    "cursor.folders",
    "cursor.hashes",
    "cursor.schemas",
    "durations",
    "ladder",
    "meters",
    "busiest",
    "wire",
    "redis_keys",
    "comparing",
    "figures",
    "charts",
    "harmless",
    "sizes",
    "token_shapes",
    "secret_names",
    "assignments",
    "command_lines",
    "scrubbing",
    "privacy",
]
IMPURE_MODULES = {
    *("trio", "trio_util", "sqlite3", "pysqlite3", "redis", "logging", "structlog"),
    *("time", "random", "os", "threading", "socket", "subprocess", "trio_cursor.sqlite_library"),
}
DOORS_TO_THREADS = {
    #: `run_or_leave`, by which some of the others do it.
    "threads",
    *("cursor.guest", "eventlog", "hanging", "hints"),
    #: The network, and what others put into a directory for us.
    "connecting",
    *("redis_calls", "web", "sessions.session_files"),
    #: Our own files, and nobody else's: token, lock, status, JSON lines, the terminal.
    *("asked", "hearing", "service", "keeping", "outputs", "cli"),
    #: Everything, once; what hangs is a finding.
    "doctor",
}
#: The borders of a workspace, of an output, of a source of sessions, of the server and of the webhook; and of
#: what is only a hint, since nothing may depend on one.
BORDERS = {
    *("hints", "webhook"),
    *("watcher", "outputs.follower", "redis_listening", "sessions.session_files", "feeds"),
    *("web.connection", "web.clients", "web.journal", "web.server"),
}


def modules():
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def floor_of(module):
    for number, rooms in enumerate(FLOORS):
        if any(module == room or module.startswith(f"{room}.") for room in rooms):
            return number
    return None


def room_of(module):
    """A folder is one room, except those that are spread over floors."""
    rooms = [room for rooms in FLOORS for room in rooms]
    return next((room for room in rooms if module == room or module.startswith(f"{room}.")), module)


def imports_of(tree):
    """Full names of what is imported, wherever in the file; not what is for the type checker alone."""
    for_types_alone = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types_alone:
            continue
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module, names, level):
                assert level == 0, "imports are absolute"
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)


def our_imports(module):
    """Which modules of ours a module imports."""
    for name in imports_of(MODULES[module]):
        inside = name.removeprefix("trio_cursor.") if name.startswith("trio_cursor.") else None
        if inside in MODULES:
            yield inside


def test_every_module_has_its_floor():
    assert [name for name in MODULES if floor_of(name) is None and name not in BARE] == []
    assert all(len(MODULES[name].body) == 1 for name in BARE)  # a docstring


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_room_imports_only_from_rooms_below_it(module):
    upwards = [name for name in our_imports(module) if name not in BARE and floor_of(name) > floor_of(module)]
    assert upwards == []


def test_no_room_is_entered_through_itself():
    graph = {name: {other for other in our_imports(name) if other != name} for name in MODULES}
    # What a package imports of its own modules, for those who ask the package, is no way out of it.
    for name, others in graph.items():
        graph[name] = {other for other in others if not name.startswith(f"{other}.")}
    done = set()

    def visit(name, way):
        assert name not in way, f"a circle: {' -> '.join((*way, name))}"
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name) in PURE])
def test_a_pure_room_knows_no_loop_no_clock_no_driver_and_no_log(module):
    tops = {
        name if name.startswith("trio_cursor") else name.split(".")[0] for name in imports_of(MODULES[module])
    }
    assert tops & IMPURE_MODULES == set()
    calls = {ast.unparse(node.func) for node in ast.walk(MODULES[module]) if isinstance(node, ast.Call)}
    assert {call for call in calls if call.endswith((".now", ".utcnow", ".today")) or call == "open"} == set()


def test_threads_are_started_by_the_doors_alone():
    users = {
        room_of(name)
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == "to_thread")
        or (isinstance(node, ast.Name) and node.id == "run_or_leave")
    }
    assert users == DOORS_TO_THREADS


def test_everything_is_caught_at_the_borders_alone():
    def is_broad(handler):
        caught = handler.type
        names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
        is_reraised = any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
        broad = {None, "Exception", "BaseException"}
        return any((name and ast.unparse(name)) in broad for name in names) and not is_reraised

    catchers = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    }
    # The command line is nobody's host: it turns a mistake of ours into one line.
    assert {name for name in catchers if not name.startswith("cli.")} == BORDERS


def test_a_state_vscdb_is_opened_by_the_door_alone():
    """Outside of it nobody connects by SQLite but log and index to their own files, and the fake Cursor."""
    connecting = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sqlite3.connect"
    }
    assert connecting == {"cursor.jobs", "eventlog.file", "page_index.file", "demo.storage"}
    naming = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value == "state.vscdb"
    }
    assert {name for name in naming if not name.startswith(("cursor.", "demo."))} == set()


def test_one_copy_of_sqlite_is_chosen_in_one_place():
    choosers = {name for name, tree in MODULES.items() if {"sqlite3", "pysqlite3"} & set(imports_of(tree))}
    assert choosers == {"sqlite_library"}


def test_the_root_nursery_fits_on_a_screen():
    (run,) = [
        node
        for node in ast.walk(MODULES["service"])
        if isinstance(node, ast.AsyncFunctionDef) and "open_nursery" in ast.unparse(node)
    ]
    assert run.end_lineno - run.lineno < 25
