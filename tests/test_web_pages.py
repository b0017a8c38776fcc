"""The page as the server draws it: everything that works without a script, and what a script asks for."""

from __future__ import annotations

import base64
import random
import re
import threading
from contextlib import closing
from datetime import datetime, time, timedelta
from html import unescape

import attrs
import invented_history as history
import pytest
import trio
import trio.testing
from deadlines import until
from http_client import World, request
from jinja2 import Template
from log_events import gap

from trio_cursor import page_index
from trio_cursor.eventlog import FILE_NAME as LOG_NAME
from trio_cursor.eventlog import Entry, open_event_log
from trio_cursor.page_index.file import connected
from trio_cursor.privacy import METADATA, Privacy
from trio_cursor.status import (
    OutputStatus,
    PrivacyStatus,
    ServerStatus,
    SourceStatus,
    WorkspaceStatus,
    disabled,
)
from trio_cursor.web import views
from trio_cursor.web.asked import asked
from trio_cursor.web.journal import Journal

EVIL = "<script>alert(1)</script>\x1b[2J\u202e\"'>"
SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;"
TOKEN = "0123456789abcdef-token"
#: By local time; noon of a day on which no clock is changed: no test runs over midnight.
NOW = datetime(2026, 11, 18, 12)  # noqa: DTZ001 - local
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
WS = WorkspaceStatus(
    "/db",
    "w1",
    "0" * 16,
    f"/home/{EVIL}",
    "error",
    "ring",
    ({"id": "s"},),
    1,
    2,
    3,
    {},
    {},
    {},
    1,
    f"why {EVIL}",
    f"note {EVIL}",
    "wal",
    12_345,
)


@pytest.fixture
async def log(state):
    async with open_event_log(state) as opened:
        yield opened


@pytest.fixture
async def world(log, nursery):
    world = World(journal=Journal(log, "full"), now_ms=lambda: int(NOW.timestamp() * 1000))
    await world.serve(nursery)
    return world


def made(number, at_ms, **fields):
    return history.generation(
        random.Random(number), at_ms, fields.pop("place", history.workspace("shop")), **fields
    )


async def append(log, *generations):
    await log.append(Entry(tuple(((one.key,), history.event_of(one)) for one in generations)))


async def look(world, path, **headers):
    async with world.client() as client:
        answer = await client.ask("GET", path, **headers)
    return attrs.evolve(answer, body=answer.body.decode())


def questions(answer):
    return [
        unescape(re.sub("<[^>]+>", "", found)).strip()
        for found in re.findall(
            r'<span class="question">(.*?)</span>\s*(?=<span class="answer"|</span>)', answer.body, re.DOTALL
        )
    ]


def at(hour, days_ago=0, minute=5):
    day = NOW.date() - timedelta(days=days_ago)
    return int(datetime.combine(day, time(hour, minute)).timestamp() * 1000)


async def test_what_was_asked_yesterday_at_three_in_a_workspace(world, log):
    notes = history.workspace("notes")
    await append(
        log,
        made(1, at(15, 1), prompt_text="that one", place=notes),
        made(2, at(15, 1), prompt_text="other workspace"),
        made(3, at(14, 1), prompt_text="other hour", place=notes),
        made(4, at(15, 2), prompt_text="other day", place=notes),
    )
    page = await look(world, "/")
    assert page.status == 200
    assert questions(page) == ["other workspace", "that one", "other hour", "other day"]
    # As a person goes: the workspace, the day, the hour.
    workspace = re.search(r'<a href="([^"]+)" title="[^"]*notes[^"]*"', page.body)[1]
    page = await look(world, unescape(workspace))
    assert questions(page) == ["that one", "other hour", "other day"]
    page = await look(world, unescape(re.search(r'<a href="([^"]+)" rel="prev">Yesterday', page.body)[1]))
    assert questions(page) == ["that one", "other hour"]
    page = await look(
        world,
        unescape(re.search(r'<a href="([^"]+)" aria-label="15:00 to 16:00: 1 generation"', page.body)[1]),
    )
    assert questions(page) == ["that one"]
    assert "15:00 to 16:00" in page.body
    whole = await look(world, re.search(r'href="(/generations/[0-9]+)"', page.body)[1])
    assert "that one" in whole.body


async def test_words_are_found_and_marked(world, log):
    await append(
        log,
        made(1, at(3), prompt_text="needle in hay"),
        made(2, at(2), prompt_text="x", response_text="a needle"),
    )
    page = await look(world, "/?q=needle")
    assert questions(page) == ["needle in hay", "x"]
    assert page.body.count("<mark>needle</mark>") == 2
    assert "2 generations found" in page.body
    page = await look(world, "/?q=needle&day=2020-01-01")
    assert "2 generations at other times" in page.body
    page = await look(world, "/?q=nothing")
    assert "Nothing is like that" in page.body
    assert "How long they took" not in page.body


async def test_an_id_leads_to_its_generation(world, log):
    one = made(1, at(3))
    await append(log, one)
    for text in (one.generation_id.upper(), "%231"):
        answer = await look(world, f"/?q={text}")
        assert (answer.status, answer.headers["location"]) == (303, "/generations/1")
    assert (await look(world, "/?q=%2399")).status == 200


async def test_pages_are_bounded_and_follow_each_other(world, log):
    await append(
        log, *(made(number, at(1) + number * 1000, prompt_text=f"q{number}") for number in range(120))
    )
    await until(lambda: world.journal.progress.total == 0 or not world.journal.progress.missing)
    seen, path = [], "/"
    while path:
        page = await look(world, path)
        if "being read" in page.body:
            continue
        seen += questions(page)
        found = re.search(r'id="older" href="([^"]+)"', page.body)
        path = found and unescape(found[1])
    assert seen == [f"q{number}" for number in range(119, -1, -1)]


async def test_hostile_texts_are_only_read(world, log):
    place = attrs.evolve(history.workspace("x"), path=f"/home/{EVIL}")
    await append(
        log,
        made(
            1,
            at(1),
            place=place,
            prompt_text=EVIL,
            response_text=f"```{EVIL}\n{EVIL}\n```\n{EVIL}",
            model=EVIL,
            generation_type=EVIL,
            tool_calls=({"name": EVIL, "status": EVIL},),
        ),
    )
    world.status = attrs.evolve(
        disabled(), workspaces=(WS,), alarms=(EVIL, f"/x: error: why {EVIL}"), log_error=EVIL
    )
    for path in (
        "/",
        "/?q=alert",
        "/generations/1",
        "/watching",
        "/?part=overview",
        "/generations/1?part=whole",
    ):
        page = await look(world, path)
        assert page.status == 200, path
        assert "<script>alert" not in page.body
        # What is chosen from must come back as it was.
        assert not {"\x1b", "\u202e"} & set(re.sub(r'value="[^"]*"', "", page.body))
        assert SHOWN in page.body or "<mark>alert</mark>" in page.body
    page = await look(
        world, "/?q=%3Cscript%3Ealert(1)&workspace=%22%3E%3Cscript%3E&model=%3Cscript%3E&kind=%3Cscript%3E"
    )
    assert page.body.count("<script") == 1


async def test_a_generation_says_what_is_not_known(world, log):
    await append(
        log,
        made(
            1,
            at(1),
            tokens_used=None,
            model=None,
            duration_ms=None,
            prompt_text=None,
            response_text=None,
            tool_calls=None,
        ),
        made(2, at(2), tokens_used=1234, truncated=("response_text",)),
    )
    page = await look(world, "/generations/1")
    assert re.search(r'<dt>Tokens</dt><dd class="unknown"><bdi>unknown', page.body)
    assert page.body.count("nothing is known of it") == 2
    assert 'href="/generations/2" rel="next"' in page.body
    page = await look(world, "/generations/2")
    assert re.search(r"<dt>Tokens in all</dt><dd><bdi>1,234", page.body)
    assert re.search(r'<dt>Tokens of the answer</dt><dd class="unknown"', page.body)
    assert "cut: it was too long" in page.body
    assert 'href="/generations/1" rel="prev"' in page.body


async def test_what_may_not_leave_the_log_is_not_on_the_page(state, nursery):
    async with open_event_log(state) as log:
        await append(
            log, made(1, at(1), prompt_text="secretword", response_text="secretword", model="a name")
        )
        log.outgoing = Privacy(METADATA, b"k" * 32).sent
        world = World(journal=Journal(log, METADATA))
        await world.serve(nursery)
        for path in ("/", "/?q=secretword", "/generations/1", "/?q=%231"):
            page = await look(world, path)
            assert "secretword" not in page.body.replace('value="secretword"', "").replace(
                "<bdi>secretword</bdi>", ""
            ).replace("search secretword", "").replace("q=secretword", "")
            assert "/home/demo/projects/shop" not in page.body
        assert "10 characters, not kept (digest" in (await look(world, "/generations/1")).body
        assert "0 generations found" in (await look(world, "/?q=secretword")).body
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "path", ["/generations/9", "/generations/x", "/generations/0", f"/generations/{'9' * 40}", "/static/x"]
)
async def test_what_is_not_there_is_said_so(world, log, path):
    await append(log, made(1, at(1)))
    page = await look(world, path)
    assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such" in page.body


async def test_a_gap_record_is_no_generation(world, log):
    await log.append(Entry((((), gap()),)))
    assert (await look(world, "/generations/1")).status == 404
    assert "Nothing was reported yet" in (await look(world, "/")).body


async def test_a_page_allows_nothing_but_its_own_files(world):
    for path in ("/", "/watching", "/static/page.js", "/static/page.css", "/generations/1"):
        page = await look(world, path)
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert (page.headers["referrer-policy"], page.headers["x-content-type-options"]) == (
            "no-referrer",
            "nosniff",
        )
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
    page = await look(world, "/")
    assert not re.search(r"\son[a-z]+=|style=|javascript:|https?://", page.body)


async def test_the_theme_is_that_of_the_cookie(world):
    assert 'data-theme="dark"' in (await look(world, "/", Cookie="theme=dark")).body
    for cookie in ("theme=<b>", "x=y"):
        assert "data-theme" not in (await look(world, "/", Cookie=cookie)).body


async def test_what_is_watched_is_told(world):
    world.status = attrs.evolve(
        disabled(),
        state="running",
        first_pass_done=True,
        workspaces=(attrs.evolve(WS, workspace_path="/x/green", status="synced", last_error=None), WS) * 300,
        outputs=(OutputStatus("lines", "error", 1, 2, 3, "full"),),
        sources=(
            SourceStatus("discovery", "connected", 0, {}, 0, None),
            SourceStatus("http", "error", 1, {}, 1, "gone"),
            SourceStatus("files", "waiting", 0, {}, 0, "not yet"),
        ),
        privacy=PrivacyStatus("full", 0),
        http=ServerStatus("x", "listening", None),
        alarms=(f"w: error: why {EVIL}", "output lines: full"),
    )
    page = await look(world, "/watching")
    assert page.status == 200
    assert page.body.index("why &lt;script&gt;") < page.body.index("green")
    assert "And 100 more workspaces" in page.body
    # As red as its mark.
    assert '<p class="alarm"><bdi>gone</bdi></p>' in page.body
    assert '<p class="small"><bdi>not yet</bdi></p>' in page.body
    assert "Alarm:" in (await look(world, "/?part=health")).body
    world.status = attrs.evolve(disabled(), searched=("/here",))
    assert "<code>/here</code>" in (await look(world, "/watching")).body


async def test_amber_has_its_reasons_as_red_has(world):
    world.status = attrs.evolve(disabled(), state="running", first_pass_done=True, gaps=2, workspaces=(WS,))
    page = await look(world, "/?part=health")
    assert re.search(r'<p class="alarm amber"><bdi>2 times Cursor&#39;s list', page.body)
    assert " more</a>" not in page.body
    world.status = attrs.evolve(world.status, log_error="full", alarms=("a", "b", "c"))
    page = await look(world, "/?part=health")
    assert re.findall(r'<p class="alarm (\w+)"><bdi>(\w+)</bdi>', page.body) == [
        *(("red", "full"), ("amber", "a"), ("amber", "b"))
    ]
    assert "and 2 more</a>" in page.body


async def test_news_are_lines_behind_a_sequence(world, log):
    await append(log, *(made(number, at(1) + number, prompt_text=f"q{number}") for number in range(3)))
    await look(world, "/")
    news = await look(world, "/?part=rows&after=1")
    assert questions(news) == ["q2", "q1"]
    assert 'data-high="3" data-deleted="0" data-whole="no"' in news.body
    assert "<html" not in news.body
    # Of a log that was begun anew, and of too many, all is to be asked for.
    assert 'data-whole="yes"' in (await look(world, "/?part=rows&after=99")).body
    assert 'data-whole="yes"' in (await look(world, "/?part=rows&after=1&of=another")).body
    of = re.search('data-of="([^"]+)"', (await look(world, "/")).body)[1]
    assert questions(await look(world, f"/?part=rows&after=1&of={of}")) == ["q2", "q1"]
    await append(log, *(made(number, at(1) + number) for number in range(10, 80)))
    assert 'data-whole="yes"' in (await look(world, "/?part=rows&after=3")).body
    assert len(questions(await look(world, "/?part=list"))) == 50
    assert "73 generations" in (await look(world, "/?part=overview")).body


async def test_an_index_that_is_made_anew_says_so_to_a_page_that_is_open(state, log):
    await append(log, *(made(number, at(1) + number, prompt_text=f"q{number}") for number in range(1, 11)))

    def news(index):
        return [views.lines(index, asked({"after": str(after)}, NOW.date())) for after in (5, 10)]

    page_index.make_index(state, "full")
    with page_index.open_index(state, "full") as index:
        # Its mark is that of the log, and nothing is in it: behind 5 there are lines that would never come.
        assert [(found["high"], found["is_too_much"]) for found in news(index)] == [(10, True), (10, False)]
        assert views.overview(index, asked({}, NOW.date()), 0)["progress"] == page_index.Progress(10, 10)
        page_index.fill(index, log.outgoing, limit=3)
        assert [found["is_too_much"] for found in news(index)] == [True, False]
        page_index.fill(index, log.outgoing, limit=3)
        found = news(index)[0]
        assert not found["is_too_much"]
        assert [line.sequence for line in found["lines"]] == [10, 9, 8, 7, 6]
        while page_index.fill(index, log.outgoing):
            pass
        # What has just come is no reading of the log.
        await append(log, made(11, at(1)))
        assert views.overview(index, asked({}, NOW.date()), 0)["progress"] == page_index.Progress(0, 11)


async def test_what_a_page_is_kept_up_to_date_by(world, log):
    world.status = attrs.evolve(disabled(), workspaces=(WS, attrs.evolve(WS, workspace_id=None)))
    assert 'data-today="2026-11-18"' in (await look(world, "/generations/9")).body
    part = await look(world, "/watching?part=whole")
    assert "<html" not in part.body
    assert "1 workspace and the global database</h2>" in part.body
    assert part.body in (await look(world, "/watching")).body
    # An hour of today, as the form gives it.
    overview = await look(world, "/?part=overview&q=&day=&hour=3")
    assert "Without the hour 03:00 to 04:00" in overview.body
    assert "Without the day Today, Wednesday 18 November" in overview.body


async def test_a_browser_asks_its_user_for_the_token(log, nursery):
    world = World(journal=Journal(log, "full"))
    await world.serve(nursery, token=TOKEN)
    answer = await look(world, "/", Accept="text/html,*/*")
    assert (answer.status, answer.headers["www-authenticate"].split()[0]) == (401, "Basic")

    answer = await look(world, "/static/page.css", **{"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["www-authenticate"].startswith("Basic")
    for headers in ({}, {"Sec-Fetch-Site": "none"}):
        assert (await look(world, "/static/page.css", **headers)).headers["www-authenticate"] == "Bearer"

    def shown(text):
        return f"Basic {base64.b64encode(text.encode()).decode()}"

    assert (await look(world, "/", Authorization=shown(f"me:{TOKEN}"))).status == 200
    assert (await look(world, "/generations/1", Authorization=shown(f"me:{TOKEN}"))).status == 404
    for wrong in (shown("me:wrong"), shown(TOKEN), "Basic %%%", "Basic", f"Basic {TOKEN}", "Basic //79"):
        assert (await look(world, "/", Authorization=wrong)).status == 401


async def test_an_index_that_cannot_be_made_is_said(world, log, state, monkeypatch):
    monkeypatch.setattr("trio_cursor.web.journal._AGAIN_SECONDS", 0.01)
    (state / page_index.FILE_NAME).mkdir()
    page = await look(world, "/")
    assert page.status == 503
    assert "cannot be shown at the moment" in page.body
    assert (await look(world, "/generations/1")).status == 503
    assert "the page&#39;s index" in (await look(world, "/watching")).body
    (state / page_index.FILE_NAME).rmdir()
    await until(lambda: world.journal.trouble is None)
    assert (await look(world, "/")).status == 200


async def test_an_index_is_made_when_it_is_asked_for_and_then_followed(state, log, monkeypatch):
    await append(log, made(1, at(1)), made(2, at(2)))
    async with trio.open_nursery() as nursery:
        journal = Journal(log, "full")
        nursery.start_soon(journal.run)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not page_index.exists(state)
        await journal.up_to_date()
        assert page_index.exists(state)
        nursery.cancel_scope.cancel()
    await append(log, made(3, at(3)))
    await log.retire(before_ms=at(1) + 1, max_bytes=10**12, taken=None)
    # Whoever comes later follows it unasked: what the log has deleted is not to be kept here.
    monkeypatch.setattr("trio_cursor.web.journal._PRUNE_SECONDS", 0.01)
    async with trio.open_nursery() as nursery:
        journal = Journal(log, "full")
        nursery.start_soon(journal.run)
        await until(lambda: journal.progress == page_index.Progress(0, 2))
        found = await journal.ask(
            lambda index: index.execute("SELECT seq FROM heads ORDER BY seq").fetchall()
        )
        assert found == [(2,), (3,)]
        await append(log, made(4, at(4)))
        await journal.up_to_date()
        assert journal.progress == page_index.Progress(0, 3)
        nursery.cancel_scope.cancel()


async def test_a_question_that_nobody_waits_for_ends(world, log):
    await append(log, made(1, at(1)))
    await world.journal.up_to_date()
    with trio.fail_after(20), trio.move_on_after(0.05) as scope:
        await world.journal.ask(lambda index: index.execute(ENDLESS).fetchone())
    assert scope.cancelled_caught


async def test_a_question_that_takes_too_long_is_refused_in_words(world, log, monkeypatch):
    await append(log, made(1, at(1)))
    await world.journal.up_to_date()
    monkeypatch.setattr("trio_cursor.web.journal._ANSWER_SECONDS", 0.05)
    monkeypatch.setattr("trio_cursor.web.views.home", lambda index, *_: index.execute(ENDLESS).fetchone())
    page = await look(world, "/?q=%2B%2B")
    assert page.status == 503
    assert "this takes too long: add a word, or choose a day" in page.body
    assert world.journal.trouble is None


async def test_a_question_of_somebody_who_has_gone_ends(world, log, monkeypatch):
    await append(log, made(1, at(1)))
    await world.journal.up_to_date()
    ends = []

    def endless(index, *_):
        try:
            index.execute(ENDLESS).fetchone()
        finally:
            ends.append(index)

    monkeypatch.setattr("trio_cursor.web.views.home", endless)
    monkeypatch.setattr("trio_cursor.web.journal._ANSWER_SECONDS", 3600)
    # More than are answered at once.
    for _ in range(3):
        async with world.client() as client:
            await client.send(request("GET", "/"))
            await until(lambda: world.journal._asking.borrowed_tokens)
        await until(lambda: not world.journal._asking.borrowed_tokens)
    assert len(ends) == 3


async def test_a_file_that_cannot_be_looked_for_is_no_end_of_the_server(world, log, monkeypatch):
    looks = []

    def exists(directory):
        looks.append(directory)
        if len(looks) == 1:
            raise PermissionError(13, "not for you")
        return page_index.exists(directory)

    monkeypatch.setattr("trio_cursor.web.journal._AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("trio_cursor.web.journal.exists", exists)
    async with trio.open_nursery() as nursery:
        journal = Journal(log, "full")
        nursery.start_soon(journal.run)
        await until(lambda: len(looks) == 2)
        await append(log, made(1, at(1)))
        journal._is_wanted.set()
        await until(lambda: journal.progress == page_index.Progress(0, 1))
        assert journal.trouble is None
        nursery.cancel_scope.cancel()


async def test_damage_of_the_log_is_said_and_no_index_is_made_anew_for_it(
    state, nursery, monkeypatch, caplog
):
    made_anew = []

    def make(*arguments):
        made_anew.append(arguments)
        page_index.make_index(*arguments)

    monkeypatch.setattr("trio_cursor.web.journal.make_index", make)
    async with open_event_log(state) as log:
        await append(
            log, *(made(number, at(1) + number, prompt_text=f"word{number}. " * 3000) for number in range(20))
        )
    path = state / LOG_NAME
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(b"word9. ") // 4096 * 4096)
        file.write(b"\xff" * 4096)
    async with open_event_log(state) as log:
        world = World(journal=Journal(log, "full"))
        await world.serve(nursery)
        await look(world, "/")
        await until(lambda: world.journal.progress == page_index.Progress(0, 20))
        assert questions(await look(world, "/?q=word19"))
        assert not questions(await look(world, "/?q=word9"))
        for path in ("/generations/10", "/?q=%2310"):
            page = await look(world, path)
            assert page.status == 503
            assert "the event log cannot be read" in page.body
        assert (await look(world, "/generations/20")).status == 200
        nursery.cancel_scope.cancel()
    assert (len(made_anew), world.journal.trouble) == (1, None)
    said = [record for record in caplog.records if record.name == "trio_cursor.web.journal"]
    assert [record.levelname for record in said] == ["ERROR"]


async def test_a_large_page_keeps_nobody_else_waiting(world, log, monkeypatch):
    await append(log, made(1, at(1)))
    is_free = threading.Event()
    drawn = Template.render

    def slow(template, *values):
        if template.name == "generation.html":
            assert is_free.wait(30)
        return drawn(template, *values)

    monkeypatch.setattr(Template, "render", slow)
    async with world.client() as client:
        await client.send(request("GET", "/generations/1"))
        try:
            assert (await look(world, "/healthz")).status == 200
            assert (await look(world, "/")).status == 200
        finally:
            is_free.set()
        assert (await client.answer()).status == 200


async def test_without_a_log_there_is_no_page(nursery):
    world = World()
    await world.serve(nursery)
    assert (await look(world, "/")).status == 404
    assert (await look(world, "/api/events")).status == 404


async def test_damage_that_a_question_meets_is_mended(world, log, state, monkeypatch):
    made_anew = []

    def make(*arguments):
        made_anew.append(arguments)
        page_index.make_index(*arguments)

    monkeypatch.setattr("trio_cursor.web.journal.make_index", make)
    monkeypatch.setattr("trio_cursor.web.journal._PRUNE_SECONDS", 0.05)
    await append(
        log, *(made(number, at(1) + number, response_text=f"w{number} " * 4000) for number in range(20))
    )
    await look(world, "/")
    await until(lambda: world.journal.progress == page_index.Progress(0, 20))
    assert "<mark>w3</mark>" in (await look(world, "/?q=w3")).body
    [(root, page)] = await world.journal.ask(
        lambda index: index.execute(
            "SELECT rootpage, page_size FROM main.sqlite_master, pragma_page_size WHERE name = 'texts_data'"
        ).fetchall()
    )
    with (state / page_index.FILE_NAME).open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * page)
    assert (await look(world, "/?q=w3")).status == 503
    await until(lambda: len(made_anew) == 2 and world.journal.progress == page_index.Progress(0, 20))
    assert "<mark>w3</mark>" in (await look(world, "/?q=w3")).body


@pytest.mark.parametrize(
    ("nonsense", "path"),
    [
        ("UPDATE heads SET head = 'x'", "/"),
        ("UPDATE heads SET head = '[]'", "/"),
        ("UPDATE heads SET head = '{}'", "/"),
        ("""UPDATE heads SET head = replace(head, '"tools":', '"tools":"x","y":')""", "/"),
        ("UPDATE heads SET head = x'ff'", "/"),
        ("UPDATE heads SET head = CAST(x'7bff7d' AS TEXT)", "/"),
        ("UPDATE facts SET timestamp = 'x'", "/"),
        ("UPDATE facts SET duration = 'x'", "/"),
        ("UPDATE facts SET model = 99", "/?part=overview"),
        ("UPDATE facts SET status = 'x'", "/?part=overview"),
        ("UPDATE names SET name = x'ff' || id", "/"),
        ("UPDATE texts_content SET c1 = x'ff'", "/?q=w1"),
        ("DELETE FROM texts_content", "/?q=w1"),
    ],
)
async def test_nonsense_in_the_index_is_seen_at_once_and_made_anew(world, log, state, nonsense, path):
    await append(log, made(1, at(1), response_text="w1", tool_calls=()))
    well = await look(world, path)
    assert well.status == 200
    await until(lambda: world.journal.progress == page_index.Progress(0, 1))
    with closing(connected(state / page_index.FILE_NAME, state)) as index:
        assert index.execute(nonsense).rowcount
    assert (await look(world, path)).status == 503
    # Not only when the next pruning is due.
    with trio.fail_after(20):
        while world.journal.trouble or (again := await look(world, path)).status != 200:  # noqa: ASYNC110 - by HTTP
            await trio.sleep(0.01)
    assert questions(again) == questions(well)
    assert world.journal.trouble is None


async def test_a_mistake_in_filling_the_index_stops_nothing_else(world, log, monkeypatch, caplog):
    monkeypatch.setattr("trio_cursor.web.journal._AGAIN_SECONDS", 0.01)
    steps = []

    def fill(*arguments):
        steps.append(arguments)
        raise LookupError("ours")

    with monkeypatch.context() as patch:
        patch.setattr("trio_cursor.web.journal.fill", fill)
        await append(log, made(1, at(1)))
        await look(world, "/")
        await until(lambda: len(steps) > 2)
        assert (await look(world, "/healthz")).status == 200
        assert "a mistake in trio_cursor" in (await look(world, "/watching")).body
    await until(lambda: world.journal.trouble is None)
    assert len(questions(await look(world, "/"))) == 1
    said = [record for record in caplog.records if record.name == "trio_cursor.web.journal"]
    assert [record.levelname for record in said] == ["ERROR", "WARNING"]


async def test_what_is_much_is_shown_in_part(world, log):
    places = [history.workspace(f"place-{number}") for number in range(9)]
    await append(log, *(made(number, at(2, number * 9), place=place) for number, place in enumerate(places)))
    page = await look(world, "/")
    assert "3 others" in page.body
    long_ago = NOW.date() - timedelta(days=72)
    page = await look(world, f"/?day={long_ago}")
    assert f"{long_ago:%A} {long_ago.day} {long_ago:%B}: 1 generation" in page.body
    assert "Day after" in page.body
    assert (await look(world, f"/?day={long_ago + timedelta(days=200)}")).status == 200
    assert (await look(world, "/?workspace=/no/such")).body.count('<option value="/no/such" selected>') == 1
