"""`workspaces`: what is found of Cursor, why one has nothing, and what was announced as which of them."""

import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import attrs
import cursor_files
import killed_copies
import pytest
from rich.cells import cell_len
from running import EVIL, SAFE, on_terminal, run_once

from trio_cursor.cli import main
from trio_cursor.cursor import listing
from trio_cursor.cursor.folders import workspace_hash
from trio_cursor.cursor.mapping import KEPT_MS
from trio_cursor.cursor.private_copies import place_for_copies
from trio_cursor.cursor.reading import Transaction
from trio_cursor.doctor import looking
from trio_cursor.eventlog import FILE_NAME as LOG_NAME
from trio_cursor.eventlog import open_for_writing, transaction
from trio_cursor.eventlog.session_rows import save_mapping, save_session
from trio_cursor.records import FoundMapping, Session
from trio_cursor.state_dir import held
from trio_cursor.status import UnmappedStatus, disabled
from trio_cursor.status_file import FILE_NAME as STATUS_NAME
from trio_cursor.status_file import write_status

pytestmark = pytest.mark.usefixtures("home")

NOW = int(time.time() * 1000)
SITE = workspace_hash("/home/demo/a1")
ELSEWHERE = "0123456789abcdef"


# -- What is there -------------------------------------------------------------------------------------


def test_workspaces_tells_what_was_found(capsys, user_dir):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item(number) for number in range(3)])
    assert main(["workspaces", "--cursor-dir", str(user_dir)]) == 0
    found = {item["id"]: item for item in map(json.loads, capsys.readouterr().out.splitlines())}
    site = found["a1"]
    assert (site["path"], site["uri"]) == ("/home/demo/a1", "file:///home/demo/a1")
    assert (site["schemas"], site["journal_mode"], site["entries"]) == (
        ["ring", "composers"],
        "delete",
        3,
    )
    assert site["last_activity"] == cursor_files.NOON_MS + 2
    assert site["size"] > 0
    assert len(site["hash"]) == 16
    assert site["why"] is None


def test_on_a_terminal_workspaces_is_for_people(user_dir):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()], folder="file:///home/%1b%5b2J")
    code, text = on_terminal("workspaces", "--no-color", "--cursor-dir", str(user_dir))
    assert code == 0
    assert "/home/\\u001b[2J\n  1 entry, last 2025-" in text
    assert f"{user_dir}/workspaceStorage/a1/state.vscdb" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("make", "options", "why"),
    [
        (lambda user: cursor_files.make_workspace(user, "a1", []), [], "nothing was asked"),
        (lambda user: cursor_files.make_workspace(user, "a1"), [], "no such file"),
        (
            lambda user: cursor_files.make_workspace(user, "a1").write_text("x" * 5000),
            [],
            "no SQLite database",
        ),
        (lambda user: cursor_files.make_workspace(user, "a1", "{no json"), [], "JSON"),
        (
            lambda user: cursor_files.make_workspace(user, "a1", []),
            ["exclude"],
            "left out by include or exclude",
        ),
        (
            lambda user: cursor_files.make_workspace(user, "a1", []),
            ["rollout"],
            "left out by rollout_percent",
        ),
    ],
)
def test_workspaces_says_why_one_has_nothing(capsys, monkeypatch, user_dir, make, options, why):  # noqa: PLR0917
    make(user_dir)
    if options == ["exclude"]:
        monkeypatch.setenv("TRIO_CURSOR_CURSOR__EXCLUDE", '["**/a1"]')
    if options == ["rollout"]:
        monkeypatch.setenv("TRIO_CURSOR_CURSOR_DATABASE_MONITOR__ROLLOUT_PERCENT", "0")
    assert main(["workspaces", "--cursor-dir", str(user_dir)]) == 0
    [found] = [item for item in map(json.loads, capsys.readouterr().out.splitlines()) if item["id"] == "a1"]
    assert why in found["why"]


def test_of_a_large_table_only_the_beginning_is_counted_and_that_is_said(capsys, user_dir, monkeypatch):
    # What ends the look is the number of rows, however slow the machine is.
    monkeypatch.setattr("trio_cursor.cursor.visits.ROLLBACK_BUDGET_SECONDS", 60.0)
    database = cursor_files.make_workspace(user_dir, "a1")
    rows = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
        ' INSERT INTO "ai.generations"'
    )
    cursor_files.execute(
        database,
        (
            'CREATE TABLE "ai.generations" (uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER)',
            (),
        ),
        (f"{rows} SELECT 'u' || i, i, '{{}}', ? FROM n", (cursor_files.NOON_MS,)),
    )
    main(["workspaces", "--cursor-dir", str(user_dir)])
    [found] = [item for item in map(json.loads, capsys.readouterr().out.splitlines()) if item["id"] == "a1"]
    assert found["schemas"] == ["tables_v2"]
    assert found["entries"] < 900
    assert f"more than {found['entries']} rows" in found["why"]


@pytest.mark.parametrize(
    ("slow_looks", "told"),
    [(3, (2, None)), (1000, (0, "ai.generations could not be read within the lock budget"))],
)
def test_what_there_was_no_time_to_read_is_not_called_empty(capsys, user_dir, monkeypatch, slow_looks, told):
    monkeypatch.setattr("trio_cursor.cursor.visits.ROLLBACK_BUDGET_SECONDS", 60.0)
    database = cursor_files.make_workspace(user_dir, "a1")
    columns = "uuid TEXT, data_version INTEGER, value TEXT, timestamp INTEGER"
    rows = [("INSERT INTO \"ai.generations\" VALUES (?, 1, '{}', 1)", (f"u{number}",)) for number in range(2)]
    cursor_files.execute(database, (f'CREATE TABLE "ai.generations" ({columns})', ()), *rows)
    looks, answer = itertools.count(), Transaction.answer

    def answer_slowly(transaction, query):
        rows = answer(transaction, query)
        if "max(" in query.sql and next(looks) < slow_looks:
            transaction._seconds = 0.0
        return rows

    monkeypatch.setattr(Transaction, "answer", answer_slowly)
    found = workspaces_of(capsys, user_dir)["a1"]
    assert (found["entries"], found["why"]) == told


def test_without_a_cursor_workspaces_says_where_it_looked(capsys, tmp_path):
    assert main(["workspaces", "--cursor-dir", str(tmp_path / "nowhere")]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "No Cursor found. Looked for:",
        f"  {tmp_path}/nowhere",
        "If yours is elsewhere, name its User directory with --cursor-dir.",
    ]


def test_a_directory_that_is_not_a_user_directory_is_doubted(capsys, tmp_path):
    assert main(["workspaces", "--cursor-dir", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[-1].startswith(f"No workspace in {tmp_path}: is it a Cursor User directory")
    assert json.loads(out)["why"] == "there is no such file"


def workspaces_of(capsys, user_dir, *options):
    assert main(["workspaces", "--cursor-dir", str(user_dir), *options]) == 0
    return {item["id"]: item for item in map(json.loads, capsys.readouterr().out.splitlines())}


def test_what_may_be_excluded_is_not_read_and_workspaces_says_why(capsys, monkeypatch, user_dir):
    database = cursor_files.make_workspace(user_dir, "torn", [cursor_files.ring_item()])
    database.with_name("workspace.json").write_text('{"folder": "file:///ho')
    folderless = cursor_files.make_workspace(user_dir, "folderless", [cursor_files.ring_item()])
    folderless.with_name("workspace.json").unlink()
    monkeypatch.setenv("TRIO_CURSOR_CURSOR__EXCLUDE", '["/home/secret"]')
    found = workspaces_of(capsys, user_dir)
    assert found["torn"]["entries"] is None
    assert found["torn"]["why"] == (
        "workspace.json is not JSON; left out: its folder is not known, and exclude is set"
    )
    assert found["folderless"]["entries"] == 1


def test_what_has_to_be_copied_is_copied_below_the_state_directory_and_removed(capsys, user_dir, tmp_path):
    killed_copies.make_what_is_copied(user_dir)
    state = tmp_path / "state"
    for _ in range(2):
        killed_copies.start_and_kill("workspaces", user_dir, state)
        assert len(killed_copies.copies_in(state)) == 2
    assert workspaces_of(capsys, user_dir, "--state-dir", str(state))["w1"]["entries"] == 1
    assert killed_copies.copies_in(state) == []
    assert [path.name for path in state.iterdir()] == ["workspaces-0"]


def test_two_that_look_at_the_same_time_do_not_take_each_others_copies(capsys, user_dir, state):
    killed_copies.make_what_is_copied(user_dir)
    with place_for_copies(state) as place:
        Path(place).mkdir()
        assert workspaces_of(capsys, user_dir, "--state-dir", str(state))["w1"]["entries"] == 1
        assert Path(place).exists()
    assert not Path(place).exists()


def test_without_a_state_directory_workspaces_tells_what_can_be_seen(capsys, user_dir, tmp_path):
    killed_copies.make_what_is_copied(user_dir)
    cursor_files.make_workspace(user_dir, "w2", [cursor_files.ring_item()])
    (tmp_path / "file").touch()
    assert main(["workspaces", "--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "file")]) == 0
    out, err = capsys.readouterr()
    found = {item["id"]: item for item in map(json.loads, out.splitlines())}
    assert err.startswith("nothing can be copied in order to be read: ")
    assert "too large to copy" in found["w1"]["why"]
    assert found["w2"]["entries"] == 1


@pytest.mark.parametrize("is_late", [False, True])
def test_a_directory_that_does_not_answer_is_named_and_the_others_are_shown(
    capsys, monkeypatch, user_dir, tmp_path, is_late
):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    dead = cursor_files.make_user_dir(tmp_path / "dead")
    back, looks = threading.Event(), []
    look = listing.Lister.list

    def hang(lister):
        looks.append(lister)
        if str(dead) in lister.dirs and (not is_late or len(looks) > 2):
            back.wait()
        return look(lister)

    monkeypatch.setattr(listing.Lister, "list", hang)
    monkeypatch.setattr(looking, "LIST_SECONDS", 1.0)
    try:
        assert main(["workspaces", "--cursor-dir", str(user_dir), "--cursor-dir", str(dead)]) == 0
    finally:
        back.set()
    out, err = capsys.readouterr()
    assert f"passed over: {dead}: it does not answer" in err
    # When all of them are listed together nobody can tell any more which one it is.
    assert ('"id": "a1"' in out) is not is_late
    assert (f"passed over: {user_dir}: it does not answer" in err) is is_late


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_directory_that_does_not_answer_does_not_keep_ctrl_c_from_ending_it(user_dir, state):
    program = """
import sys, time
from trio_cursor.cli import main
from trio_cursor.cursor import listing
from trio_cursor.doctor import looking

looking.LIST_SECONDS = 600

def hang(_):
    print("hangs", flush=True)
    time.sleep(600)

listing.Lister.list = hang
sys.exit(main(sys.argv[1:]))
"""
    words = ["workspaces", "--cursor-dir", str(user_dir), "--state-dir", str(state)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")


# -- What was announced --------------------------------------------------------------------------------


def announced(session_id, hash_=ELSEWHERE, database=None, **more):
    """An open session, as the log has it."""
    known = Session(session_id, database and str(database), "redis", NOW, workspace_hash=hash_, heard_at=NOW)
    return attrs.evolve(known, **more)


def remember(state, *found):
    """Write sessions and mappings into the log of this state directory."""
    with closing(open_for_writing(state)) as connection, transaction(connection):
        for one in found:
            (save_mapping if isinstance(one, FoundMapping) else save_session)(connection, one)


def looked(capsys, user_dir, state):
    """What is said of workspaces by id, what of those that are none of them by hash, and what on stderr."""
    assert main(["workspaces", "--cursor-dir", str(user_dir), "--state-dir", str(state)]) == 0
    out, err = capsys.readouterr()
    items = [json.loads(line) for line in out.splitlines()]
    found = {item["id"]: item for item in items if "announced" not in item}
    return found, {item["hash"]: item for item in items if "announced" in item}, err


def on_paper(user_dir, state):
    """The text for a person."""
    places = ["--cursor-dir", str(user_dir), "--state-dir", str(state)]
    code, text = on_terminal("workspaces", "--no-color", *places)
    assert code == 0
    return text


def test_a_run_with_session_files_leaves_what_workspaces_tells(capsys, user_dir, state, tmp_path):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    cursor_files.make_workspace(user_dir, "b2", [cursor_files.ring_item()])
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    for hash_, path in ((SITE, "/home/demo/a1"), (ELSEWHERE, "/elsewhere")):
        told = {"CURSOR_SESSION_ID": f"of {path}", "CURSOR_WORKSPACE_HASH": hash_, "workspace_path": path}
        (sessions / f"{hash_}.json").write_text(json.dumps({**told, "updated_at": time.time()}))
    run_once(
        user_dir,
        state,
        TRIO_CURSOR_SESSIONS__MODE="extension",
        TRIO_CURSOR_SESSIONS__FILES_DIR=str(sessions),
    )
    found, missing, err = looked(capsys, user_dir, state)
    [mapped], [session] = found["a1"]["mapped"], found["a1"]["sessions"]
    assert NOW <= mapped.pop("found_at") <= time.time() * 1000
    assert mapped == {"hash": SITE, "path": "/home/demo/a1", "strategy": "workspace_json", "why": {}}
    assert (session["id"], session["source"], found["a1"]["entries"]) == ("of /home/demo/a1", "files", 1)
    assert (found["b2"]["mapped"], found["b2"]["sessions"]) == ([], [])
    item = missing[ELSEWHERE]
    assert (item["announced"], item["path"], item["sessions"][0]["id"]) == (
        True, "/elsewhere", "of /elsewhere",
    )  # fmt: skip
    assert list(item["why"]) == ["cache", "workspace_json", "directory_name"]
    assert item["why"]["workspace_json"].startswith("none of 2 workspace.json has the hash or names")
    assert err == "No service runs: the sessions are those that were open when the last one ended.\n"


def test_what_matched_says_why_earlier_strategies_did_not(capsys, user_dir, state):
    name = ELSEWHERE * 2
    by_name = cursor_files.make_workspace(user_dir, name, [cursor_files.ring_item()])
    by_session = cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    remember(
        state,
        FoundMapping(ELSEWHERE, str(by_name), "directory_name", None, NOW),
        FoundMapping("f" * 16, str(by_session), "session_id", f"/{EVIL}", NOW),
        announced("one", database=by_name, is_uncertain=True),
    )
    found, missing, _ = looked(capsys, user_dir, state)
    assert missing == {}
    [mapped] = found[name]["mapped"]
    assert mapped["why"] == {
        "workspace_json": "none of 2 workspace.json has the hash, and no path was announced"
    }
    assert found[name]["sessions"] == [{"id": "one", "source": "redis", "started_at": NOW, "uncertain": True}]
    [mapped] = found["a1"]["mapped"]
    assert list(mapped["why"]) == ["workspace_json", "directory_name"]
    text = on_paper(user_dir, state)
    assert f"  announced as {'f' * 16}, /{SAFE}: found by session_id at " in text
    assert "\n    directory_name: none of 2 directories is called by the hash\n" in text
    assert "\n  sessions: one (redis, uncertain)\n" in text


def test_the_path_that_is_the_workspaces_own_is_not_said_twice(user_dir, state):
    database = cursor_files.make_workspace(user_dir, "a1", [])
    remember(state, FoundMapping(SITE, str(database), "workspace_json", "/home/demo/a1", NOW))
    assert f"  announced as {SITE}: found by workspace_json at " in on_paper(user_dir, state)


def test_the_service_says_best_why_something_is_not_found(capsys, user_dir, state):
    cursor_files.make_workspace(user_dir, "a1", [])
    other = "f" * 16
    remember(state, announced("one"), announced("two", other), announced("gone", "e" * 16, "/gone"))
    why = {"session_id": "no database names a session that was announced (7 looked at)"}
    with held(state):
        write_status(state, attrs.evolve(disabled(), unmapped=(UnmappedStatus(ELSEWHERE, None, (), why),)))
        _, missing, err = looked(capsys, user_dir, state)
    assert missing[ELSEWHERE]["why"] == why
    # Of that one it does not say anything, and of the third it knows better than we do where it is.
    assert missing[other]["why"]["workspace_json"].startswith("none of 1 ")
    assert missing.keys() == {ELSEWHERE, other}
    assert err == ""


@pytest.mark.parametrize(
    "unmapped", ["none", [7], [{"workspace_hash": ELSEWHERE}], [{"workspace_hash": ELSEWHERE, "why": {}}]]
)
def test_a_service_that_says_it_in_another_way_counts_as_one_that_does_not(capsys, user_dir, state, unmapped):
    remember(state, announced("one"))
    with held(state):
        (state / STATUS_NAME).write_text(json.dumps({"unmapped": unmapped}))
        _, missing, _ = looked(capsys, user_dir, state)
    assert missing[ELSEWHERE]["why"]["cache"] == "nothing was found before"


def test_what_has_appeared_since_is_told_as_found_now(capsys, user_dir, state):
    database = cursor_files.make_workspace(user_dir, "a1", [])
    remember(state, announced("one", SITE), announced("two", SITE))
    found, missing, _ = looked(capsys, user_dir, state)
    assert missing == {}
    assert [item["id"] for item in found["a1"]["sessions"]] == ["one", "two"]
    assert found["a1"]["mapped"] == [
        {
            "hash": SITE,
            "path": None,
            "strategy": "workspace_json",
            "found_at": None,
            "why": {"cache": "nothing was found before"},
        }
    ]
    assert ": found by workspace_json now, and nothing has used it yet\n" in on_paper(user_dir, state)
    remember(state, FoundMapping(SITE, str(database), "workspace_json", None, NOW))
    [mapped] = looked(capsys, user_dir, state)[0]["a1"]["mapped"]
    assert mapped["found_at"] == NOW


def test_a_database_that_is_gone_has_lost_its_sessions(capsys, user_dir, state):
    gone = str(user_dir / "workspaceStorage" / "gone" / "state.vscdb")
    remember(
        state,
        FoundMapping(ELSEWHERE, gone, "session_id", None, NOW),
        FoundMapping("f" * 16, gone, "session_id", None, NOW - KEPT_MS - 1),
        announced("one", database=gone),
        announced("two", "f" * 16),
        announced("made up", None, gone, source="discovery"),
        announced("ended", "e" * 16, ended_at=NOW),
    )
    _, missing, _ = looked(capsys, user_dir, state)
    assert missing[ELSEWHERE]["why"]["cache"] == "the database that was found is gone, or not to be read"
    assert missing["f" * 16]["why"]["cache"] == "what was found is older than 30 days"
    assert missing.keys() == {ELSEWHERE, "f" * 16}


def test_what_is_left_out_is_said_to_be(capsys, monkeypatch, user_dir, state):
    cursor_files.make_workspace(user_dir, "a1", [])
    remember(state, announced("one", SITE))
    monkeypatch.setenv("TRIO_CURSOR_CURSOR__EXCLUDE", '["**/a1"]')
    _, missing, _ = looked(capsys, user_dir, state)
    assert "a1 is it, but include, exclude or rollout_percent" in missing[SITE]["why"]["workspace_json"]


def test_on_a_terminal_what_was_not_found_stands_below_and_of_much_only_some(user_dir, state):
    cursor_files.make_workspace(user_dir, "a1", [])
    late = announced("late", workspace_path=f"/{EVIL}/{'long ' * 30}end", started_at=NOW + 1)
    remember(state, announced("early", workspace_path="/early"), late, announced(EVIL, "not a hash"))
    text = on_paper(user_dir, state)
    described, below = text.split("announced, not found:", maxsplit=1)
    assert "/home/demo/a1\n" in described
    assert below.startswith(f" /{SAFE}/long long ")
    assert f"  hash {ELSEWHERE}\n  sessions: early (redis), late (redis)\n  cache: nothing" in below
    assert f"announced, not found: not a hash\n  sessions: {SAFE} (redis)\n" in below
    assert max(map(cell_len, below.splitlines())) <= 100
    assert "more" not in below
    remember(state, *(announced("one", f"{number:016x}") for number in range(30)))
    text = on_paper(user_dir, state)
    assert text.count("announced, not found:") == 20
    assert text.endswith("\nand 12 more, announced and not found: --json has them\n")


def test_every_spelling_counts_however_many_workspaces_there_are(capsys, user_dir, state):
    for number in range(450):
        home = user_dir / "workspaceStorage" / f"w{number}"
        home.mkdir()
        folder = json.dumps({"folder": f"file:///home/demo/w{number}"})
        (home / "workspace.json").write_text(folder)
    cursor_files.make_workspace(user_dir, "a1", [])
    (user_dir / "workspaceStorage" / "w449" / "state.vscdb").touch()
    slashed = workspace_hash("/home/demo/w449/")
    remember(state, announced("one", slashed))
    found, missing, _ = looked(capsys, user_dir, state)
    assert missing == {}
    assert [item["hash"] for item in found["w449"]["mapped"]] == [slashed]


# -- Logs that say nothing -----------------------------------------------------------------------------


def test_without_a_log_or_with_an_empty_one_nothing_was_announced(capsys, user_dir, state):
    cursor_files.make_workspace(user_dir, "a1", [])
    for _ in range(2):
        found, missing, err = looked(capsys, user_dir, state)
        assert (found["a1"]["mapped"], found["a1"]["sessions"], missing, err) == ([], [], {}, "")
        remember(state)


def test_a_log_of_an_older_format_says_nothing_and_stays_as_it_is(capsys, user_dir, state):
    cursor_files.make_workspace(user_dir, "a1", [])
    remember(state, announced("one"))
    cursor_files.execute(state / LOG_NAME, ("DROP TABLE mappings", ()), ("PRAGMA user_version=2", ()))
    _, missing, err = looked(capsys, user_dir, state)
    assert (missing, err) == ({}, "")
    with pytest.raises(subprocess.CalledProcessError):
        cursor_files.execute(state / LOG_NAME, ("SELECT * FROM mappings", ()))


@pytest.mark.parametrize("damage", [b"no database at all" * 300, None])
def test_a_log_that_cannot_be_read_is_told_and_the_rest_is_shown(capsys, user_dir, state, damage):
    cursor_files.make_workspace(user_dir, "a1", [])
    remember(state, announced("one"))
    if damage is None:
        cursor_files.execute(state / LOG_NAME, ("DROP TABLE sessions", ()))
    else:
        (state / LOG_NAME).write_bytes(damage)
    found, missing, err = looked(capsys, user_dir, state)
    assert (found["a1"]["mapped"], missing) == ([], {})
    assert err.startswith(f"passed over: the event log {state}/{LOG_NAME} cannot be ")
    assert err.count("\n") == 1
