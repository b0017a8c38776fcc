"""The page in Chromium: clicked through while a fake Cursor works, by keys, on a phone, over a restart."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, contextmanager

import chromium
import invented_history as history
import pytest
import trio
from looking import (
    arrived,
    click,
    faults,
    focused,
    get,
    is_live,
    is_open,
    press,
    press_until,
    sequences,
    served,
    until,
)
from running import logged_events, start
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from trio_cursor.demo.process import FakeCursorProcess
from trio_cursor.eventlog import Entry, open_event_log

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def driver():
    with chromium.browser() as found:
        yield found


@pytest.fixture(autouse=True)
def _as_new(driver):
    chromium.make_new(driver)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def service(cursor, state, port):
    """A service of its own on Cursor's files; ended as by a person."""
    places = ("--cursor-dir", cursor / "User", "--state-dir", state, "--http", f"127.0.0.1:{port}")
    with start("run", *places, "-q", stdout=-3, stderr=-3) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def by_keys(driver, address):
    """Down, up, open, close; the help; the search, and out of it."""
    press_until(driver, lambda: "/generations/" in focused(driver), "j")
    first = focused(driver)
    press_until(driver, lambda: focused(driver) not in {"", first}, "j")
    press_until(driver, lambda: is_open(driver, "whole"), "k", Keys.ENTER)
    until(lambda: "What is known of it" in driver.find_element(By.ID, "whole").text)
    press(driver, "j")
    until(lambda: "What is known of it" in driver.find_element(By.ID, "whole").text)
    press_until(driver, lambda: not is_open(driver, "whole"), Keys.ESCAPE)
    press_until(driver, lambda: is_open(driver, "help"), "?")
    press_until(driver, lambda: not is_open(driver, "help"), Keys.ESCAPE)
    press_until(driver, lambda: driver.execute_script("return document.activeElement.id") == "q", "/")
    press(driver, "the", Keys.ENTER)
    arrived(driver, "/?q=the&workspace=&day=&hour=")
    assert {item.text.lower() for item in driver.find_elements(By.TAG_NAME, "mark")} >= {"the"}
    press_until(driver, lambda: driver.current_url.endswith(f"{address}/"), Keys.ESCAPE)
    arrived(driver, f"{address}/")


def by_hand(driver, address):
    """Today, an hour of it; a model; what is watched."""
    click(driver, By.LINK_TEXT, "Today")
    until(lambda: "day=" in driver.current_url)
    click(driver, By.CSS_SELECTOR, ".columns.n24 li:last-child a")
    arrived(driver, "&hour=23")
    click(driver, By.ID, "everything")
    arrived(driver, f"{address}/")
    click(driver, By.CSS_SELECTOR, "#facets section:first-child li:first-child a")
    until(lambda: "model=" in driver.current_url)
    click(driver, By.CLASS_NAME, "health")
    arrived(driver, "/watching")
    press_until(driver, lambda: driver.current_url.endswith(f"{address}/"), Keys.ESCAPE)
    arrived(driver, f"{address}/")
    until(lambda: is_live(driver))


def on_a_phone(driver, address):
    """Nothing is wider than it."""
    chromium.look_like(driver, width=390, height=844)
    for path in ("/", "/watching", f"/generations/{max(sequences(driver))}", "/?q=the"):
        driver.get(f"{address}{path}")
        wide = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], path
    driver.get(address)
    until(lambda: is_live(driver))


def missing(driver, state):
    """What the page does not show of the hundred that are newest by time."""
    newest = sorted(logged_events(state), key=lambda item: (item.timestamp, item.sequence))[-100:]
    return {item.sequence for item in newest} - sequences(driver)


def test_a_living_cursor_is_seen_by_hand_by_keys_and_over_a_restart(driver, tmp_path, unmeasured):
    state, port = tmp_path / "state", free_port()
    address = f"http://127.0.0.1:{port}"
    with ExitStack() as cursor:
        cursor.enter_context(FakeCursorProcess(tmp_path / "cursor", "--rate", "3"))
        with service(tmp_path / "cursor", state, port):
            get(driver, address)
            until(lambda: is_live(driver) and len(sequences(driver)) > 5)
            # It comes by itself.
            seen = max(sequences(driver))
            until(lambda: max(sequences(driver)) > seen)
            # When the first look is over.
            until(lambda: driver.find_elements(By.CSS_SELECTOR, ".health.green"))
            by_keys(driver, address)
            by_hand(driver, address)
            on_a_phone(driver, address)
            assert chromium.complaints(driver) == []
        until(lambda: not is_live(driver))
        seen = max(sequences(driver))
        with service(tmp_path / "cursor", state, port):
            until(lambda: is_live(driver) and max(sequences(driver)) > seen)
            cursor.close()
            until(lambda: not missing(driver, state))
    # While the server was away the browser said so; nothing else.
    assert [line for line in chromium.complaints(driver) if "net::ERR_" not in line] == []


async def test_everybody_can_use_it_in_light_and_in_dark(driver, state, nursery):
    history.write_log(state, history.month(history.local_now())[-80:])
    async with open_event_log(state) as log:
        address = (await served(nursery, log)).url

        def look():
            for scheme in ("light", "dark"):
                chromium.look_like(driver, scheme=scheme)
                for path in ("/", "/?q=index", "/watching", "/generations/80", "/generations/999"):
                    driver.get(f"{address}{path}")
                    assert faults(driver) == [], (scheme, path)

            # The switch wins over the system, and stays.
            def paper():
                return driver.execute_script("return getComputedStyle(document.body).backgroundColor")

            driver.get(address)
            dark = paper()
            driver.find_element(By.ID, "theme").click()
            assert paper() != dark
            driver.get(f"{address}/watching")
            assert paper() != dark
            return [line for line in chromium.complaints(driver) if "/generations/999" not in line]

        assert await trio.to_thread.run_sync(look) == []
        nursery.cancel_scope.cancel()


async def test_ten_thousand_generations_are_a_page_like_any_other(driver, state, nursery):
    chance, place = random.Random(1), history.workspace("large")
    now_ms = int(history.local_now().timestamp() * 1000)

    def some(first, number):
        return [history.generation(chance, now_ms + first + n, place) for n in range(number)]

    history.write_log(state, some(-600_000, 10_000))
    async with open_event_log(state) as log:
        address = (await served(nursery, log)).url
        in_thread = trio.to_thread.run_sync

        def nodes():
            return driver.execute_script("return document.querySelectorAll('*').length")

        await in_thread(driver.get, address)
        assert len(sequences(driver)) == 50
        begun = nodes()
        await in_thread(until, lambda: is_live(driver))
        for burst in range(12):
            made = some(burst * 1000, 40)
            await log.append(Entry(tuple(((one.key,), history.event_of(one)) for one in made)))
            newest = log.last_sequence
            await in_thread(until, lambda newest=newest: newest in sequences(driver))
        shown = sequences(driver)
        assert max(shown) == 10_480
        # What is shown is what is newest, without a hole, however it came.
        assert shown == set(range(10_481 - len(shown), 10_481))
        assert len(shown) <= 200
        assert nodes() < begun + 200 * 25
        older = driver.find_element(By.ID, "older").get_attribute("href")
        await in_thread(driver.get, older)
        assert max(sequences(driver)) == min(shown) - 1
        assert chromium.complaints(driver) == []
        nursery.cancel_scope.cancel()


async def test_what_a_prompt_holds_is_only_read(driver, state, nursery):
    evil = "</span><img src=x onerror=document.title='gone'><script>document.title='gone'</script>"
    evil += "\x1b[2J\u202edlrow"
    place = history.workspace("<b>x</b>")
    one = history.generation(
        random.Random(1),
        int(history.local_now().timestamp() * 1000),
        place,
        prompt_text=evil,
        response_text=f"{evil}\n```\n{evil}\n```",
        model=evil,
        tool_calls=({"name": evil, "status": evil},),
    )
    history.write_log(state, [one])
    async with open_event_log(state) as log:
        address = (await served(nursery, log)).url

        def look():
            for path in ("/", "/generations/1", "/?q=dlrow"):
                driver.get(f"{address}{path}")
                assert "gone" not in driver.title
                assert "\\u202edlrow" in driver.find_element(By.TAG_NAME, "main").text
                assert driver.find_elements(By.TAG_NAME, "img") == []
            driver.get(address)
            driver.find_element(By.CSS_SELECTOR, "#rows a").click()
            until(lambda: "\\u202edlrow" in driver.find_element(By.ID, "whole").text)
            assert driver.find_elements(By.TAG_NAME, "img") == []
            assert "gone" not in driver.title
            return chromium.complaints(driver)

        assert await trio.to_thread.run_sync(look) == []
        nursery.cancel_scope.cancel()
