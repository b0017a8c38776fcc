"""`run`, `replay` and the demo with a collector of OpenTelemetry: what they send, and what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import attrs
import cursor_files
import pytest
from otlp_receiver import Answer, Receiver, partial, receiving, values
from running import command, logged_events
from scans import uuid
from small_logs import generation, recorded

from trio_cursor.cli import main
from trio_cursor.cli.parser import parse
from trio_cursor.outputs import gen_ai
from trio_cursor.outputs.otlp_spans import span_of

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.timeout(60)]

DOCUMENT = Path(__file__).parent.parent / "docs" / "otlp.md"


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


@pytest.fixture
def away():
    """A collector that is not there."""
    found = Receiver()
    with found.listening():
        pass
    return found


def once(user_dir, state, *words, **environ):
    """Code, and what was said."""
    done = subprocess.run(
        command(user_dir, state, "--once", "--log-format", "console", *words),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ},
    )
    return done.returncode, done.stderr


# -- run -----------------------------------------------------------------------------------------------


def test_once_sends_all_and_ends(user_dir, state, receiver):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item(number) for number in range(30)])
    code, err = once(user_dir, state, "--otlp", receiver.url)
    assert (code, err) == (0, "")
    assert receiver.event_ids == [one.event_id for one in logged_events(state)]
    assert len(receiver.event_ids) == 30
    assert once(user_dir, state, "--otlp", receiver.url)[0] == 0
    assert len(receiver.event_ids) == 30


def test_once_says_what_was_not_delivered_and_the_next_run_delivers_it(user_dir, state, away):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    code, err = once(user_dir, state, "--otlp", away.url)
    assert code == 1
    assert f"Not delivered: otlp is 1 event behind: {away.url}: " in err
    with away.listening():
        assert once(user_dir, state, "--otlp", away.url)[0] == 0
    assert away.event_ids == [one.event_id for one in logged_events(state)]


def test_it_says_where_events_go_and_whether_texts_do(capsys, user_dir, tmp_path, receiver, monkeypatch):
    places = ["--cursor-dir", str(user_dir), "--state-dir", str(tmp_path / "state")]
    words = ["run", "--once", "--log-format", "console", *places]
    assert main([*words, "--otlp", receiver.url]) == 0
    said = capsys.readouterr().err
    assert f" and to the OpenTelemetry collector at {receiver.url}. " in said
    assert "The collector gets no prompts and no answers." in said
    assert "Nothing leaves this machine" not in said
    monkeypatch.setenv("TRIO_CURSOR_OUTPUTS__OTLP__TEXTS", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{receiver.url}/?key=hunter2")
    assert main([*words, "--otlp", "env"]) == 0
    said = capsys.readouterr().err
    assert f"collector at {receiver.url}. " in said
    assert "The collector gets also prompts and answers." in said
    assert "hunter2" not in said


def test_variables_of_other_programs_send_nothing(user_dir, state, receiver):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert once(user_dir, state, **variables)[0] == 0
    assert receiver.paths == []


@pytest.mark.parametrize("words", [["run", "--once"], ["replay"]])
def test_what_cannot_be_used_is_refused_at_the_start(capsys, user_dir, state, words, monkeypatch):
    recorded(state, generation("a"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    places = ["--cursor-dir", str(user_dir), "--state-dir", str(state)]
    assert main([*words, *places, "--otlp", "env"]) == 78
    assert "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf" in capsys.readouterr().err


WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Nothing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("opentelemetry", "google"):
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Nothing())
from trio_cursor.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_the_extra_everything_else_works(user_dir, state):
    cursor_files.make_workspace(user_dir, "a1", [cursor_files.ring_item()])
    words = ["run", "--once", "--since", "all", "--cursor-dir", str(user_dir), "--state-dir", str(state)]

    def done(*more):
        child = [sys.executable, "-c", WITHOUT, *words, *more]
        return subprocess.run(child, capture_output=True, text=True, timeout=60, check=False)

    assert done("--json-lines", "-").stdout.count("\n") == 1
    refused = done("--otlp", "env")
    assert refused.returncode == 78
    assert refused.stderr == (
        "trio_cursor: outputs.otlp needs the extra otel, which is not installed:"
        " pip install 'trio-cursor[otel]'\n"
    )


def test_the_demo_sends_nothing_unless_it_is_told_to(receiver, monkeypatch):
    monkeypatch.setenv("TRIO_CURSOR_OUTPUTS__OTLP__ENABLED", "true")
    monkeypatch.setenv("TRIO_CURSOR_OUTPUTS__OTLP__ENDPOINT", receiver.url)
    assert main(["run", "--demo", "--once"]) == 0
    assert receiver.paths == []
    assert main(["run", "--demo", "--once", "--otlp", receiver.url]) == 0
    assert receiver.spans


def test_the_option_means_its_keys():
    assert "outputs.otlp.enabled" not in parse(["run"]).overrides
    for words, endpoint in (["--otlp", "env"], ""), (["--otlp=http://c"], "http://c"):
        overrides = parse(["run", *words]).overrides
        assert (overrides["outputs.otlp.enabled"], overrides["outputs.otlp.endpoint"]) == (True, endpoint)


# -- replay --------------------------------------------------------------------------------------------


def replayed(capsys, state, *words, code=0):
    assert main(["replay", "--json", "--state-dir", str(state), *words]) == code
    out, err = capsys.readouterr()
    return (json.loads(out) if out else None), err


def test_a_window_is_sent_again_as_the_same_spans_without_counting_twice(capsys, state, receiver):
    events = recorded(state, *(generation(uuid(number), prompt_tokens=5) for number in range(600)))
    for _ in range(2):
        assert replayed(capsys, state, "--otlp", receiver.url)[0] == {"sent": 600, "already_there": 0}
    assert receiver.event_ids == [one.event_id for one in events] * 2
    assert len({span.SerializeToString() for span in receiver.spans}) == 600
    assert receiver.metrics == []
    assert replayed(capsys, state, "--otlp", receiver.url, "-n", "1")[0]["sent"] == 1


def test_texts_are_as_the_mode_of_now_has_them(capsys, state, receiver, monkeypatch):
    recorded(state, generation(uuid(1), prompt_text="mail me@example.org"))
    monkeypatch.setenv("TRIO_CURSOR_OUTPUTS__OTLP__TEXTS", "true")
    monkeypatch.setenv("TRIO_CURSOR_PRIVACY__MODE", "redacted")
    replayed(capsys, state, "--otlp", receiver.url)
    assert "gen_ai.input.messages" in values(receiver.spans[0].attributes)
    assert b"me@example.org" not in receiver.traces[0].SerializeToString()


def test_what_is_refused_is_named_and_the_rest_goes(capsys, state, receiver):
    events = recorded(state, *(generation(uuid(number)) for number in range(3)))

    def refuse_the_second(spans):
        is_in = any(str(UUID(bytes=span.trace_id)) == events[1].event_id for span in spans)
        return Answer(status=400, body=b"no", content_type="text/plain") if is_in else None

    receiver.script.extend([refuse_the_second] * 9)
    done, err = replayed(capsys, state, "--otlp", receiver.url)
    assert done == {"sent": 2, "already_there": 0}
    assert err == f"not sent: {events[1].event_id}: the collector refuses it: HTTP 400 (no)\n"
    receiver.script.clear()
    receiver.script.append(attrs.evolve(partial(1), is_taken=True))
    _, err = replayed(capsys, state, "--otlp", receiver.url)
    assert "not sent: the collector did not take 1 of 3 spans" in err


def test_what_cannot_be_done_is_said_in_one_line(capsys, state, receiver, away, monkeypatch):
    recorded(state, generation(uuid(1)))
    assert f"could not replay: {away.url}: " in replayed(capsys, state, "--otlp", away.url, code=1)[1]
    receiver.script.append(Answer(status=503))
    line = replayed(capsys, state, "--otlp", receiver.url, code=1)[1]
    assert (
        line
        == f"trio_cursor: could not replay: {receiver.url}: HTTP 503 (0 events sent; it can be run again)\n"
    )
    for more in (["--json-lines", "-"], ["--force"], ["--stream", "x"]):
        assert "--otlp: not together with" in replayed(capsys, state, "--otlp", "env", *more, code=2)[1]
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert "nothing that could be sent again" in replayed(capsys, state, "--otlp", "env", code=78)[1]


# -- The document --------------------------------------------------------------------------------------


def test_the_document_names_what_is_sent(state):
    text = DOCUMENT.read_text(encoding="utf-8")
    full = generation(
        uuid(1),
        model="m",
        conversation_id="c",
        generation_type="composer",
        status="error",
        prompt_tokens=1,
        completion_tokens=1,
        cached_tokens=1,
        tokens_used=2,
        tokens_source="database",
        tool_calls=(),
        response_text="x",
    )
    (event,) = recorded(state, full)
    sent = set(values(span_of(event, with_texts=True).attributes))
    named = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", text))
    assert len(sent) > 20
    assert sent | set(gen_ai.METRICS) <= named
    assert gen_ai.VERSION in text
