"""`/metrics` of a running service: as Prometheus reads it, and as the ledger has it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import attrs
import cursor_files
import prometheus_client
import pytest
import running
import trio
from deadlines import until, within
from scraped import OPENMETRICS, scrape
from serving import MONITOR, reported, running_service
from small_logs import generation, write_log

from trio_cursor import state_dir
from trio_cursor.config import (
    AssemblyConfig,
    Config,
    CursorConfig,
    HttpConfig,
    JsonLinesConfig,
    LogConfig,
    OutputsConfig,
    SessionsConfig,
    StateConfig,
)
from trio_cursor.demo.canaries import CANARY
from trio_cursor.demo.process import FakeCursorProcess
from trio_cursor.meters import Meters
from trio_cursor.metrics import METRICS, Metrics
from trio_cursor.settings import Reloaded
from trio_cursor.states import OutputState

pytestmark = pytest.mark.usefixtures("unmeasured")


def config_of(directory, user, *, lines=None):
    return Config(
        http=HttpConfig(listen="127.0.0.1:0"),
        cursor=CursorConfig(dirs=(str(user),)),
        state=StateConfig(dir=str(directory / "state")),
        sessions=SessionsConfig(files_dir=str(directory / "sessions")),
        assembly=AssemblyConfig(ring_grace_seconds=0.1, conversation_wait_seconds=0.3),
        outputs=OutputsConfig(json_lines=JsonLinesConfig(path=lines and str(lines))),
        cursor_database_monitor=MONITOR,
    )


def hash_of(path):
    return hashlib.sha256(path.encode()).hexdigest()[:16]


def items(count):
    return [cursor_files.ring_item(number, type="cmdk") for number in range(count)]


async def all_reported(handle, count):
    await until(lambda: handle.progress().generations == count)


@within(60)
async def test_figures_are_those_of_the_ledger(tmp_path):
    lines = tmp_path / "events.jsonl"
    options = (
        "--rate",
        "60",
        "--workspaces",
        "4",
        "--generations",
        "80",
        "--window-seconds",
        "1.5",
        "--stay",
    )
    with FakeCursorProcess(tmp_path / "cursor", *options) as cursor:
        async with running_service(config_of(tmp_path, cursor.cursor_dir, lines=lines)) as handle:
            first = await scrape(handle)
            await until(lambda: handle.progress().generations > 40)
            second = await scrape(handle, OPENMETRICS)
            await trio.to_thread.run_sync(cursor.stop)
            ledger = cursor.ledger()
            await reported(handle, *ledger.committed, *ledger.turns)
            while True:
                await until(lambda: handle.progress().outputs[0].lag == 0)
                status = handle.status()
                text, opened = await scrape(handle), await scrape(handle, OPENMETRICS)
                # What was in flight at the end may come whenever its time is over.
                if handle.progress().last_sequence == status.last_sequence:
                    break
            written = len(lines.read_text().splitlines())
    assert (first.kind, opened.kind) == (
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )
    running.assert_exactly_once(running.reported(tmp_path / "state"), ledger)
    events = running.logged_events(tmp_path / "state")
    events = [event for event in events if event.sequence <= status.last_sequence]
    for found in (text, opened):
        assert found.by("trio_cursor_generations_total", "workspace") == Counter(
            event.metadata["workspace_hash"] or "none" for event in events
        )
        assert found.by("trio_cursor_generation_results_total", "status") == Counter(
            event.payload["status"] for event in events
        )
        assert found.value("trio_cursor_output_events_total", output="json_lines", outcome="taken") == written
        assert found.value("trio_cursor_output_lag_events", output="json_lines") == 0
        assert found.value("trio_cursor_log_last_sequence") == len(events)
        assert found.value("trio_cursor_gaps_total") == 0
        # Some have no time in Cursor's files but that at which we found them.
        timed = [event for event in events if event.metadata["timestamp_source"] != "capture"]
        live = [event for event in timed if event.timestamp >= status.started_at]
        assert found.value("trio_cursor_start_to_log_seconds_count") == len(live) > 0
        assert found.value("trio_cursor_log_to_output_seconds_count", output="json_lines") == len(events)
        assert found.value("trio_cursor_ready") == found.value("trio_cursor_log_up") == 1
        assert found.by("trio_cursor_databases", "status") == Counter(
            item.status for item in status.workspaces
        )
        assert found.by("trio_cursor_sessions", "source")["discovery"] > 0
    assert text.value("trio_cursor_commit_to_log_seconds_count") > 0
    assert text.by("trio_cursor_lock_seconds_count", "journal_mode").keys() == {"delete", "wal"}
    assert_declared(first, second, text, opened)
    assert_never_less(first, second, text, opened)
    assert_nothing_private(text, tmp_path, events)


def assert_declared(*scrapes):
    """What is on the page is what was declared, and all of it."""
    for found in scrapes:
        kinds = {"info"} if found.kind.startswith("app") else {"gauge"}
        for metric in METRICS:
            name = metric.name.removesuffix("_total").removesuffix("_info" if "info" in kinds else "\n")
            [family] = [one for one in found.families if one.name == name]
            assert family.type in ({metric.kind} if metric.kind != "info" else kinds)
            assert family.documentation == metric.meaning
            labels = {frozenset(sample.labels) - {"le"} for sample in family.samples}
            assert labels <= {frozenset(metric.labels)}
        assert len(found.families) == len(METRICS)


def assert_never_less(*scrapes):
    highest = {}
    for found in scrapes:
        counters = found.counters()
        assert {name: value for name, value in highest.items() if counters.get(name, 0) < value} == {}
        highest |= counters
    assert highest


def assert_nothing_private(found, directory, events):
    texts = {event.payload[name] for event in events for name in ("prompt_text", "response_text")}
    paths = {event.metadata["workspace_path"] for event in events} | {str(directory), "/home", "/tmp"}
    ids = {event.session_id for event in events} | {event.generation_id for event in events}
    private = [text for text in texts | paths | ids | {CANARY} if text]
    assert len(private) > 40
    # A short prompt may be a part of anything.
    assert [text for text in private if len(text) > 3 and text in found.text] == []


@within(60)
async def test_a_run_begins_at_nothing_and_counts_on(user_dir, tmp_path):
    database = cursor_files.make_workspace(user_dir, "a1", items(3))
    config, hash_ = config_of(tmp_path, user_dir), hash_of("/home/demo/a1")
    async with running_service(config) as handle:
        await all_reported(handle, 3)
        before = await scrape(handle)
    async with running_service(config) as handle:
        await handle.synced()
        again = await scrape(handle)
        cursor_files.write_ring(database, items(2))
        await all_reported(handle, 2)
        after = await scrape(handle)
    assert before.by("trio_cursor_generations_total", "workspace") == {hash_: 3}
    assert again.by("trio_cursor_generations_total", "workspace") == {}
    assert after.by("trio_cursor_generations_total", "workspace") == {hash_: 2}
    assert after.value("trio_cursor_start_time_seconds") > before.value("trio_cursor_start_time_seconds")
    assert_never_less(again, after)
    # What was there already when the run began says nothing of how quick it is.
    assert before.value("trio_cursor_start_to_log_seconds_count") == 0


@within(60)
async def test_two_services_in_one_process_know_nothing_of_each_other(tmp_path):
    globally = sorted(metric.name for metric in prometheus_client.REGISTRY.collect())
    users = [cursor_files.make_user_dir(tmp_path / name) for name in ("one", "two")]
    for number, user in enumerate(users):
        cursor_files.make_workspace(user, f"w{number}", items(3 + number))
    async with (
        running_service(config_of(tmp_path / "one", users[0])) as one,
        running_service(config_of(tmp_path / "two", users[1])) as two,
    ):
        await all_reported(one, 3)
        await all_reported(two, 4)
        found = [await scrape(handle) for handle in (one, two, one)]
    assert [item.by("trio_cursor_generations_total", "workspace") for item in found] == [
        *({hash_of("/home/demo/w0"): 3}, {hash_of("/home/demo/w1"): 4}, {hash_of("/home/demo/w0"): 3})
    ]
    assert sorted(metric.name for metric in prometheus_client.REGISTRY.collect()) == globally


def test_outputs_are_called_by_what_they_are():
    names = (
        "json_lines:/home/me/x",
        "redis_stream:redis://host/0 {s:0}",
        "redis_stream:redis://host/0 {s:1}",
    )
    outputs = [OutputState(name) for name in (*names, "otlp")]
    metrics = Metrics(SimpleNamespace(outputs=outputs), None, Meters())
    assert list(metrics.outputs()) == list(
        zip(("json_lines", "redis_stream_0", "redis_stream_1", "otlp"), outputs, strict=True)
    )


def many_workspaces(user, count):
    """Databases of which each has one generation more than the one before, ten at most."""
    for number in range(count):
        database = cursor_files.make_workspace(user, f"w{number:03}")
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(cursor_files.ITEM_TABLE)
            value = json.dumps(items(number // 30 + 1))
            connection.execute(cursor_files.SET_ITEM, (cursor_files.RING_KEY, value))


@within(60)
async def test_of_300_workspaces_the_100_busiest_have_a_label(user_dir, tmp_path):
    many_workspaces(user_dir, 300)
    total = 30 * sum(range(1, 11))
    config = config_of(tmp_path, user_dir)
    monitor = attrs.evolve(config.cursor_database_monitor, poll_interval_seconds=30)
    async with running_service(attrs.evolve(config, cursor_database_monitor=monitor)) as handle:
        await all_reported(handle, total)
        found = await scrape(handle)
    counts = found.by("trio_cursor_generations_total", "workspace")
    assert len(counts) == 101
    assert sum(counts.values()) == total
    names = {hash_of(f"/home/demo/w{number:03}") for number in range(210, 300)}
    assert names < counts.keys()
    assert all(len(name) == 16 for name in counts.keys() - {"other"})
    assert len(found.samples) < 1000


@within(60)
async def test_what_is_wrong_is_counted(user_dir, tmp_path):
    unknown = cursor_files.make_workspace(user_dir, "unknown")
    cursor_files.execute(unknown, ("CREATE TABLE other (id INTEGER)", ()))
    broken = cursor_files.make_workspace(user_dir, "broken", items(1))
    broken.write_bytes(b"no database at all" * 1000)
    absent = tmp_path / "no" / "directory" / "lines.jsonl"
    async with running_service(config_of(tmp_path, user_dir, lines=absent)) as handle:
        await handle.synced()
        good = cursor_files.make_workspace(user_dir, "good", items(1))
        await all_reported(handle, 1)
        await until(lambda: handle.progress().outputs[0].errors > 1)
        found = await scrape(handle)
        later = await scrape(handle)
    assert good.exists()
    databases = found.by("trio_cursor_databases", "status")
    assert (databases["unknown_schema"], databases["error"], databases["synced"]) == (1, 1, 1)
    errors = found.by("trio_cursor_read_errors_total", "workspace")
    assert errors.keys() == {hash_of("/home/demo/unknown"), hash_of("/home/demo/broken")}
    assert found.by("trio_cursor_reads_total", "outcome")["unreadable"] >= 1
    assert found.value("trio_cursor_ready") == found.value("trio_cursor_output_up", output="json_lines") == 0
    assert found.value("trio_cursor_output_lag_events", output="json_lines") == 1
    assert found.value("trio_cursor_output_errors_total", output="json_lines") >= 1
    ages = [item.value("trio_cursor_output_lag_seconds", output="json_lines") for item in (found, later)]
    assert 0 < ages[0] <= ages[1]
    assert "trio_cursor_output_last_taken_timestamp_seconds{" not in found.text
    assert str(Path(absent).parent) not in found.text


@within(60)
async def test_what_the_size_limit_takes_from_an_output_is_counted_and_an_alarm(user_dir, tmp_path):
    config = attrs.evolve(
        config_of(tmp_path, user_dir, lines=tmp_path / "no" / "lines.jsonl"), log=LogConfig(max_megabytes=1)
    )
    state_dir.prepare(tmp_path / "state")
    write_log(
        tmp_path / "state",
        *(generation(f"g{number}", response_text="x" * 20_000) for number in range(100)),
    )
    async with running_service(config) as handle:
        await until(lambda: handle.status().lost and handle.status().episodes)
        status, found = handle.status(), await scrape(handle)
    assert 50 < status.lost < 100
    [words] = [words for words in status.alarms if words.startswith("the size limit")]
    assert words.startswith(f"the size limit deleted {status.lost} events since the start")
    assert words in [one.words for one in status.episodes if one.kind == "lost"]
    assert found.value("trio_cursor_lost_events_total") == status.lost
    assert found.by("trio_cursor_alarms_active", "kind")["lost"] == 1


@within(60)
async def test_a_workspace_that_goes_takes_no_count_with_it(user_dir, tmp_path):
    broken = cursor_files.make_workspace(user_dir, "broken", items(1))
    broken.write_bytes(b"no database at all" * 1000)
    async with running_service(config_of(tmp_path, user_dir)) as handle:
        await until(lambda: [item for item in handle.status().workspaces if item.errors])
        before = await scrape(handle)
        broken.unlink()
        (broken.parent / "workspace.json").unlink()
        broken.parent.rmdir()
        await until(lambda: not any(item.errors for item in handle.status().workspaces))
        after = await scrape(handle)
    assert before.by("trio_cursor_read_errors_total", "workspace").keys() == {hash_of("/home/demo/broken")}
    assert_never_less(before, after)


@within(60)
async def test_while_it_is_switched_off_nothing_says_that_it_looks(user_dir, tmp_path):
    cursor_files.make_workspace(user_dir, "a1", items(1))
    config = config_of(tmp_path, user_dir)
    async with running_service(config) as handle:
        await all_reported(handle, 1)
        looking = await scrape(handle)
        monitor = attrs.evolve(config.cursor_database_monitor, enabled=False)
        assert isinstance(handle.reload(attrs.evolve(config, cursor_database_monitor=monitor)), Reloaded)
        await until(lambda: not handle.status().workspaces)
        off = await scrape(handle)
    began, swept, read = (
        looking.value(f"trio_cursor_{name}_seconds")
        for name in ("start_time", "last_sweep_timestamp", "last_read_timestamp")
    )
    # The clock of the sweeps is another one than that of the rest.
    assert began - 1 < swept
    assert began - 1 < read
    assert "\ntrio_cursor_last_sweep_timestamp_seconds " not in off.text
