"""What the tests of the page do in a browser: wait, press, click, look; and a server to look at."""

from __future__ import annotations

import os
import time
from importlib import resources

import chromium
import pytest
from deadlines import until as eventually
from http_client import World

from trio_cursor.web.journal import Journal

if not (chromium.PROGRAM and chromium.DRIVER):
    if os.environ.get("TESTS_NEED_BROWSER"):
        raise RuntimeError("neither chromium nor chromedriver on PATH, and TESTS_NEED_BROWSER is set")
    pytest.skip("no Chromium with its driver on PATH", allow_module_level=True)

from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By

_PATIENCE_SECONDS = 40


def until(is_so):
    """Wait for what comes by itself in the browser."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not (found := is_so()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def get(driver, address):
    """Open a page, as soon as there is a server."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            driver.get(address)
        except WebDriverException:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            return


def sequences(driver):
    return set(
        driver.execute_script(
            "return [...document.querySelectorAll('#rows > li')].map(li => +li.dataset.sequence)"
        )
    )


def arrived(driver, address):
    """Wait until a page is there whose address has this end, and hears keys."""

    def is_there():
        is_read = driver.execute_script("return document.readyState") == "complete"
        return is_read and driver.current_url.endswith(address)

    until(is_there)


def click(driver, by, value):
    """Click on something that may just be drawn anew."""

    def clicked():
        try:
            driver.find_elements(by, value)[-1].click()
        except (StaleElementReferenceException, IndexError):
            return False
        return True

    until(clicked)


def press(driver, *keys):
    """Press keys where the focus is; what has it may just be drawn anew."""

    def pressed():
        try:
            driver.switch_to.active_element.send_keys(*keys)
        except StaleElementReferenceException:
            return False
        return True

    until(pressed)


def press_until(driver, is_so, *keys):
    """Press keys until they have their effect: a page that has just been loaded may not hear them yet."""

    def has_effect():
        press(driver, *keys)
        end = time.monotonic() + 3
        while not (found := is_so()) and time.monotonic() < end:
            time.sleep(0.05)
        return found

    if not is_so():
        until(has_effect)


def focused(driver):
    return driver.execute_script("return document.activeElement.getAttribute('href') || ''")


def is_open(driver, dialog):
    return driver.execute_script("return document.getElementById(arguments[0]).open", dialog)


def is_live(driver):
    return driver.find_element(By.ID, "live").text == "live"


def faults(driver):
    """What axe finds that keeps anybody from using the page."""
    driver.execute_script((resources.files("axe_core_python") / "axe.min.js").read_text())
    found = driver.execute_async_script("axe.run().then(arguments[0])")
    assert found["passes"]
    return [(item["id"], [node["html"] for node in item["nodes"]]) for item in found["violations"]]


async def served(nursery, log, listen="127.0.0.1:0", **changes):
    """A server on a log that is in the index."""
    world = World(journal=Journal(log, "full"), **changes)
    await world.serve(nursery, listen)
    await world.journal.up_to_date()
    await eventually(lambda: not world.journal.progress.missing)
    return world
