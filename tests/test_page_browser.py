"""The page in Chromium: clicked through while a fake Cursor works, by keys, on a phone, over a restart."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, contextmanager

import attrs
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
from trio_cursor.status import disabled

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
    without_letters(driver)
    press_until(driver, lambda: driver.execute_script("return document.activeElement.id") == "q", "/")
    press(driver, "the", Keys.ENTER)
    arrived(driver, "/?q=the&workspace=&day=&hour=")
    assert {item.text.lower() for item in driver.find_elements(By.TAG_NAME, "mark")} >= {"the"}
    press_until(driver, lambda: driver.current_url.endswith(f"{address}/"), Keys.ESCAPE)
    arrived(driver, f"{address}/")


def without_letters(driver):
    """Letters can be switched off as keys, and are then on no page; Escape leaves all the same."""

    def switch():
        click(driver, By.ID, "keys")
        click(driver, By.ID, "letters")
        press_until(driver, lambda: not is_open(driver, "help"), Keys.ESCAPE)

    switch()
    driver.refresh()
    until(lambda: is_live(driver))
    assert not driver.find_element(By.ID, "letters").is_selected()
    press(driver, "?")
    assert not is_open(driver, "help")
    switch()
    press_until(driver, lambda: is_open(driver, "help"), "?")
    press_until(driver, lambda: not is_open(driver, "help"), Keys.ESCAPE)


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


def shows_the_newest(driver, state):
    """Whether all that is newest by time is there, down to the last line, and at least a page of it."""
    newest = sorted(logged_events(state), key=lambda item: (item.timestamp, item.sequence), reverse=True)
    shown = sequences(driver)
    is_page = len(shown) >= min(50, len(newest))
    return is_page and shown == {item.sequence for item in newest[: len(shown)]}


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
            until(lambda: shows_the_newest(driver, state))
    # While the server was away the browser said so; nothing else.
    assert [line for line in chromium.complaints(driver) if "net::ERR_" not in line] == []


async def test_everybody_can_use_it_in_light_and_in_dark(driver, state, nursery):
    history.write_log(state, history.month(history.local_now())[-80:])
    async with open_event_log(state) as log:
        world = await served(nursery, log)
        address = world.url
        # Red, with its reasons, and amber ones, and more than are shown.
        world.status = attrs.evolve(disabled(), log_error="no room", alarms=("late", "later", "latest"))

        def look():
            # Each colour and each width once: neither changes with the other.
            for scheme, width in (("light", 390), ("dark", 1200)):
                chromium.look_like(driver, scheme=scheme, width=width)
                for path in ("/", "/?q=index", "/watching", "/generations/80", "/generations/999"):
                    driver.get(f"{address}{path}")
                    assert faults(driver) == [], (scheme, width, path)
                assert "and 3 more" in driver.find_element(By.ID, "health").text
                driver.get(address)
                press_until(driver, lambda: is_open(driver, "help"), "?")
                assert faults(driver) == [], (scheme, width, "help")
                press_until(driver, lambda: not is_open(driver, "help"), Keys.ESCAPE)
                click(driver, By.CSS_SELECTOR, "#rows a")
                until(lambda: "What is known of it" in driver.find_element(By.ID, "whole").text)
                assert faults(driver) == [], (scheme, width, "whole")

            # The switch wins over the system, and stays.
            def paper():
                return driver.execute_script("return getComputedStyle(document.body).backgroundColor")

            chromium.look_like(driver, scheme="dark")
            driver.get(address)
            dark = paper()
            driver.find_element(By.ID, "theme").click()
            assert paper() != dark
            driver.get(f"{address}/watching")
            assert paper() != dark
            return [line for line in chromium.complaints(driver) if "/generations/999" not in line]

        assert await trio.to_thread.run_sync(look) == []
        nursery.cancel_scope.cancel()


async def test_ten_thousand_come_while_a_page_of_ten_thousand_is_open(driver, state, nursery):
    chance, place = random.Random(1), history.workspace("large")
    at_ms = int(history.local_now().timestamp() * 1000)
    in_thread = trio.to_thread.run_sync

    def some(number):
        nonlocal at_ms
        at_ms += number
        return [history.generation(chance, at_ms - n, place) for n in range(number, 0, -1)]

    def nodes():
        return driver.execute_script("return document.querySelectorAll('*').length")

    history.write_log(state, some(10_000))
    async with open_event_log(state) as log:
        address = (await served(nursery, log)).url

        async def come(number):
            await log.append(Entry(tuple(((one.key,), history.event_of(one)) for one in some(number))))

        async def all_are_there():
            newest = log.last_sequence
            await in_thread(until, lambda: newest in sequences(driver))
            # What is shown is what is newest, without a hole, however it came.
            shown = sequences(driver)
            assert shown == set(range(newest + 1 - len(shown), newest + 1))
            return shown

        await in_thread(driver.get, address)
        assert len(sequences(driver)) == 50
        begun = nodes()
        await in_thread(until, lambda: is_live(driver))
        driver.execute_script(
            "window.stalls = [];"
            "new PerformanceObserver((list) => stalls.push(...list.getEntries().map((one) => one.duration)))"
            ".observe({type: 'longtask'})"
        )
        for _ in range(20):
            await come(500)
            # Meanwhile it does what it is told.
            await in_thread(click, driver, By.CSS_SELECTOR, "#rows a")
            await in_thread(until, lambda: is_open(driver, "whole"))
            await in_thread(press_until, driver, lambda: not is_open(driver, "whole"), Keys.ESCAPE)
        shown = await all_are_there()
        title = "document.getElementById('found-title').textContent"
        await in_thread(until, lambda: driver.execute_script(f"return {title}") == "20,000 generations")
        # Some tenths of what people call a stall, where a machine has nothing else to do.
        assert max(driver.execute_script("return stalls"), default=0) < 5000
        driver.execute_script("document.querySelector('#rows > li:last-child a').focus()")
        for _ in range(6):
            await come(40)
            # Down to where somebody is all are there; then no more than anybody wants.
            assert min(await all_are_there()) == min(shown)
        driver.execute_script("document.activeElement.blur()")
        await come(1)
        shown = await all_are_there()
        assert len(shown) == 200
        assert nodes() < begun + 200 * 25
        older = driver.find_element(By.ID, "older").get_attribute("href")
        await in_thread(driver.get, older)
        assert max(sequences(driver)) == min(shown) - 1
        assert chromium.complaints(driver) == []
        nursery.cancel_scope.cancel()


async def test_without_scripts_a_generation_is_found_all_the_same(state, nursery):
    history.write_log(state, history.month(history.local_now())[-80:])
    async with open_event_log(state) as log:
        address = (await served(nursery, log)).url

        def look():
            with chromium.browser(**{"profile.managed_default_content_settings.javascript": 2}) as driver:
                driver.get(address)
                # No script has run.
                assert not driver.find_element(By.ID, "theme").is_displayed()
                driver.find_element(By.ID, "q").send_keys("which index")
                driver.find_element(By.CSS_SELECTOR, ".search .go").click()
                arrived(driver, "/?q=which+index&workspace=&day=&hour=")
                found = driver.find_elements(By.CSS_SELECTOR, "#rows a")
                assert found
                assert all("Which index does this query need?" in item.text for item in found)
                found[0].click()
                until(lambda: "/generations/" in driver.current_url)
                assert "What is known of it" in driver.find_element(By.TAG_NAME, "main").text

        await trio.to_thread.run_sync(look)
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
        tool_calls=({"name": evil, "status": evil}, {"name": "x" * 400, "status": "y" * 400}),
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
            # Nor does it make a phone's page wider than the phone.
            chromium.look_like(driver, width=390, height=844)
            driver.get(f"{address}/generations/1")
            assert driver.execute_script("return document.documentElement.scrollWidth") == 390
            return chromium.complaints(driver)

        assert await trio.to_thread.run_sync(look) == []
        nursery.cancel_scope.cancel()
