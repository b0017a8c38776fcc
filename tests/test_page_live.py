"""A page that is open in Chromium: what comes by itself is not lost, and what is no longer so is said."""

from __future__ import annotations

import random
import re
from contextlib import closing
from datetime import datetime

import attrs
import chromium
import invented_history as history
import pytest
import trio
from looking import arrived, focused, is_live, is_open, press, press_until, sequences, served, until
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from trio_cursor import page_index
from trio_cursor.errors import StateError
from trio_cursor.eventlog import FILE_NAME as LOG_NAME
from trio_cursor.eventlog import Entry, open_event_log
from trio_cursor.sqlite_library import sqlite3
from trio_cursor.status import disabled
from trio_cursor.web import views

pytestmark = pytest.mark.timeout(240)
#: By local time; no test runs over midnight but one that wants to.
NOW_MS = int(datetime(2026, 11, 18, 12).timestamp() * 1000)  # noqa: DTZ001 - local
DAY_MS = 86_400_000
in_thread = trio.to_thread.run_sync


@pytest.fixture(scope="module")
def driver():
    with chromium.browser() as found:
        yield found


@pytest.fixture(autouse=True)
def _as_new(driver):
    chromium.make_new(driver)


@pytest.fixture
async def log(state):
    history.write_log(state, some(60, NOW_MS - 600_000))
    async with open_event_log(state) as opened:
        yield opened


def some(number, at_ms):
    chance, place = random.Random(at_ms), history.workspace("shop")
    return [history.generation(chance, at_ms + n, place) for n in range(number)]


async def append(log, *made):
    """Returns the sequence of the last one."""
    await log.append(Entry(tuple(((one.key,), history.event_of(one)) for one in made)))
    return log.last_sequence


async def open_page(driver, world, path="/"):
    await in_thread(driver.get, f"{world.url}{path}")
    if path == "/":
        await in_thread(until, lambda: is_live(driver))


async def comes(driver, sequence):
    await in_thread(until, lambda: sequence in sequences(driver))


async def test_a_line_comes_that_was_not_there_when_it_was_asked_for(driver, log, nursery, monkeypatch):
    world = await served(nursery, log)
    lines, failures, highs = views.lines, [], []

    def answering(index, asked):
        if failures and asked.after is not None:
            raise StateError(failures.pop())
        found = lines(index, asked)
        highs.append(found["high"])
        return found

    monkeypatch.setattr(views, "lines", answering)
    await open_page(driver, world)
    # The server has no answer, twice.
    failures += ["not now"] * 2
    await comes(driver, await append(log, *some(1, NOW_MS)))
    assert not failures
    # The answer comes before the index has the line.
    held = object()
    await world.journal._filling.acquire_on_behalf_of(held)
    highs.clear()
    newest = await append(log, *some(1, NOW_MS + 1))
    await in_thread(until, lambda: len(highs) >= 2)
    assert newest not in {*highs, *sequences(driver)}
    world.journal._filling.release_on_behalf_of(held)
    await comes(driver, newest)
    nursery.cancel_scope.cancel()


async def test_what_is_below_the_last_line_is_behind_older(driver, log, nursery):
    world = await served(nursery, log)
    await open_page(driver, world)
    late = await append(log, *some(1, NOW_MS - 20 * DAY_MS))
    await comes(driver, await append(log, *some(1, NOW_MS)))
    assert sequences(driver) == {*range(11, 61), 62}
    await in_thread(driver.get, driver.find_element(By.ID, "older").get_attribute("href"))
    assert sequences(driver) == {*range(1, 11), late}
    nursery.cancel_scope.cancel()


#: The first answer of a kind waits until it is let go.
_SLOW = """
const real = window.fetch;
let isFirst = true;
window.fetch = async (...said) => {
  const answer = await real(...said);
  if (isFirst && String(said[0]).includes(KIND)) {
    isFirst = false;
    await new Promise((done) => { window.letGo = done; });
  }
  return answer;
};
"""


def slow(driver, kind):
    driver.execute_script(_SLOW.replace("KIND", repr(kind)))


async def held(driver):
    await in_thread(until, lambda: driver.execute_script("return Boolean(window.letGo)"))


async def test_when_the_log_has_been_read_the_list_is_fetched_once_more(driver, log, nursery):
    world = await served(nursery, log)
    await open_page(driver, world)

    def as_if_drawn_while_it_was_read(selector):
        """A line was not in the index yet; and somebody is at something."""
        driver.execute_script(
            """
            document.querySelector(arguments[0]).focus();
            document.querySelector("#rows > li:nth-child(9)").remove();
            document.querySelector("#progress").innerHTML = "<p id=reading></p>";
            """,
            selector,
        )
        return focused(driver)

    def is_read():
        return not driver.find_elements(By.ID, "reading")

    for number, selector in enumerate(("#rows > li:nth-child(3) a", "#timeline nav a")):
        at = as_if_drawn_while_it_was_read(selector)
        assert at
        newest = await append(log, *some(1, NOW_MS + number))
        await in_thread(until, is_read)
        assert sequences(driver) == set(range(newest - 49, newest + 1))
        assert focused(driver) == at
    # Between a list and its being put in a line came.
    slow(driver, "part=list")
    as_if_drawn_while_it_was_read("#q")
    await append(log, *some(1, NOW_MS + 2))
    await held(driver)
    newest = await append(log, *some(1, NOW_MS + 3))
    await comes(driver, newest)
    driver.execute_script("letGo()")
    await in_thread(until, is_read)
    await comes(driver, newest)
    nursery.cancel_scope.cancel()


async def test_the_last_generation_that_was_asked_for_is_the_one_that_is_shown(driver, log, nursery):
    world = await served(nursery, log)
    await open_page(driver, world)

    def shows(sequence):
        links = driver.find_elements(By.CSS_SELECTOR, "#whole #newer-one")
        return bool(links) and links[0].get_attribute("href").endswith(f"/generations/{sequence + 1}")

    def look():
        press_until(driver, lambda: focused(driver) == "/generations/60", "j")
        press_until(driver, lambda: focused(driver) == "/generations/59", "j")
        press_until(driver, lambda: is_open(driver, "whole"), Keys.ENTER)
        until(lambda: shows(59))
        slow(driver, "/generations/")
        # Down, and up before that has come.
        press(driver, "j")
        until(lambda: driver.execute_script("return Boolean(window.letGo)"))
        press(driver, "k")
        until(lambda: driver.find_elements(By.CSS_SELECTOR, "#whole #older-one[href$='/59']"))
        driver.execute_async_script("letGo(); setTimeout(arguments[0], 100)")
        assert driver.find_elements(By.CSS_SELECTOR, "#whole #older-one[href$='/59']")

    await in_thread(look)
    await open_page(driver, world)
    # What the log has let go is said on a page of its own, not in the middle of this one.
    await log.retire(before_ms=NOW_MS, max_bytes=10**12, taken=None)
    await in_thread(driver.find_element(By.CSS_SELECTOR, "#rows a").click)
    await in_thread(arrived, driver, "/generations/60")
    assert driver.find_element(By.TAG_NAME, "h1").text == "There is no such generation"
    nursery.cancel_scope.cancel()


def looked_at_again(driver):
    """The window is seen again, so that nobody has to wait until the next look is due."""
    driver.execute_script("document.dispatchEvent(new Event('visibilitychange'))")


async def test_a_page_says_what_is_no_longer_so(driver, log, nursery):
    ahead = [0]
    world = await served(nursery, log, now_ms=lambda: NOW_MS + ahead[0])
    await open_page(driver, world)

    def over_midnight():
        driver.execute_script("document.querySelector('#timeline nav a').focus()")
        assert "Wednesday 18 November" in driver.find_element(By.ID, "hours-title").text
        assert not driver.find_elements(By.CSS_SELECTOR, "#rows .date")
        ahead[0] = DAY_MS
        looked_at_again(driver)
        until(lambda: driver.find_element(By.ID, "hours-title").text == "Today, Thursday 19 November")
        assert len(driver.find_elements(By.CSS_SELECTOR, "#rows .date")) == 50

    await in_thread(over_midnight)
    await open_page(driver, world, "/watching")
    world.status = attrs.evolve(disabled(), searched=("/elsewhere",))
    looked_at_again(driver)
    await in_thread(until, lambda: "/elsewhere" in driver.find_element(By.ID, "watched").text)
    nursery.cancel_scope.cancel()


async def test_a_page_whose_service_is_dead_does_not_stay_green(driver, log):
    def is_said():
        said = driver.execute_script("return document.querySelector('#health').textContent")
        return re.search("Note: No answer from the service since [0-9]{2}:[0-9]{2}", said)

    listen = "127.0.0.1:0"
    for path in ("/", "/generations/60"):
        async with trio.open_nursery() as nursery:
            world = await served(nursery, log, listen=listen)
            listen = world.state.address
            await open_page(driver, world, path)
            nursery.cancel_scope.cancel()
        looked_at_again(driver)
        await in_thread(until, is_said)
        async with trio.open_nursery() as nursery:
            await served(nursery, log, listen=listen)
            looked_at_again(driver)
            await in_thread(until, lambda: not is_said())
            nursery.cancel_scope.cancel()


async def test_what_is_deleted_goes_from_a_page_that_is_open_and_the_rest_stays(
    driver, state, log, nursery, monkeypatch
):
    monkeypatch.setattr("trio_cursor.web.journal._PRUNE_SECONDS", 0.1)
    world = await served(nursery, log)
    await open_page(driver, world)
    await append(log, *some(40, NOW_MS))
    await comes(driver, 100)
    assert len(await in_thread(sequences, driver)) == 90

    def delete(*gone):
        with closing(sqlite3.connect(state / LOG_NAME)) as connection, connection:
            connection.executemany("DELETE FROM events WHERE seq = ?", [(one,) for one in gone])
        page_index.prune_beside(state)

    def is_without(*gone):
        looked_at_again(driver)
        return not sequences(driver) & set(gone)

    driver.execute_script("document.querySelector('#rows > li:nth-child(80) a').focus()")
    at = focused(driver)
    # Of the newest, of what is below the first fifty, and of what is not here.
    await in_thread(delete, 3, 15, 60, 98, 99)
    # Nothing new comes.
    await in_thread(until, lambda: is_without(15, 60, 98, 99))
    assert await in_thread(sequences, driver) == {*range(11, 101)} - {15, 60, 98, 99}
    assert focused(driver) == at
    title = "return document.getElementById('found-title').textContent"
    await in_thread(until, lambda: driver.execute_script(title) == "95 generations")
    # Something new comes.
    await in_thread(delete, 97)
    await append(log, *some(1, NOW_MS + 1000))
    await comes(driver, 101)
    await in_thread(until, lambda: 97 not in sequences(driver))
    # The last line is gone: "Older" begins behind the one above it.
    await in_thread(delete, 11)
    await in_thread(until, lambda: is_without(11))
    older = "return document.getElementById('older').getAttribute('href')"
    assert driver.execute_script(older).endswith(".12")
    # So many that there is room for what was below.
    await in_thread(delete, *range(30, 97))
    await in_thread(until, lambda: sequences(driver) == {*range(1, 30)} - {3, 11, 15} | {100, 101})
    assert not driver.find_elements(By.ID, "older")
    await in_thread(delete, *range(1, 102))
    await in_thread(until, lambda: is_without(*range(1, 102)))
    await in_thread(until, lambda: "Nothing was reported yet" in driver.find_element(By.ID, "count").text)
    assert chromium.complaints(driver) == []
    nursery.cancel_scope.cancel()


async def test_a_log_begun_anew_that_is_longer_leaves_nothing_of_the_one_before(driver, state, log, tmp_path):
    listen, other = "127.0.0.1:0", tmp_path / "other"
    async with trio.open_nursery() as nursery:
        world = await served(nursery, log, listen=listen)
        listen = world.state.address
        await open_page(driver, world)
        nursery.cancel_scope.cancel()
    other.mkdir(mode=0o700)
    history.write_log(other, some(70, NOW_MS - 500_000))
    async with open_event_log(other) as opened, trio.open_nursery() as nursery:
        await served(nursery, opened, listen=listen)

        def shows_the_other():
            looked_at_again(driver)
            return sequences(driver) == {*range(21, 71)}

        # Ten are more than there were: as if they had come.
        await in_thread(until, shows_the_other)
        times = "return [...document.querySelectorAll('#rows > li')].map((line) => +line.dataset.at)"
        assert min(driver.execute_script(times)) >= NOW_MS - 500_000
        nursery.cancel_scope.cancel()
