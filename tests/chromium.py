"""Debian's Chromium, driven: one browser with nothing of its own, and what it has complained of."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # The shared memory of a container is small.
    "--disable-dev-shm-usage",
)


@contextmanager
def browser(**preferences):
    """A browser that is closed at the end with everything that it has written."""
    from selenium import webdriver  # noqa: PLC0415 - where there is no browser nobody needs it
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415 - as above

    with tempfile.TemporaryDirectory(prefix="trio-cursor-browser-", ignore_cleanup_errors=True) as place:
        options = webdriver.ChromeOptions()
        options.binary_location = PROGRAM
        for flag in (*_FLAGS, f"--user-data-dir={Path(place) / 'profile'}"):
            options.add_argument(flag)
        options.add_experimental_option("prefs", preferences)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # Whatever proxy there is, it is not for this machine's own addresses.
        environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        service = Service(DRIVER, env={**environ, "HOME": place})
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield driver
        finally:
            driver.quit()


def make_new(driver):
    """As it was when it was opened."""
    driver.get("about:blank")
    look_like(driver)
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    complaints(driver)


def look_like(driver, *, width=1200, height=900, scheme="light"):
    """Be a screen of this size, of somebody who likes it light or dark."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    likes = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", likes)


def complaints(driver):
    """What stands in the console since the last time it was asked."""
    return [item["message"] for item in driver.get_log("browser")]
