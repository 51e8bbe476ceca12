"""A browser for the tests of the page, and the thread that it belongs to.

Playwright's synchronous interface runs an asyncio loop under greenlets of its own, and
pytest-twisted runs tests inside greenlets of the reactor's thread: the two cannot share one.
So everything here, fixtures that touch the browser and the tests themselves, runs in one thread
of its own, which neither the reactor nor pytest ever enters; tests are plain functions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, Page, Playwright, Route, sync_playwright

import vidlink
from tests.browser.onlooker import Onlooker
from tests.rigs.daemons import Site
from tests.rigs.needs import need

T = TypeVar("T")

_FOLDER = Path(vidlink.__file__).parent / "page"
_ORIGIN = "http://modules.test"

_thread = ThreadPoolExecutor(1, "browser")


def in_browser_thread(call: Callable[[], T]) -> T:
    """What `call` gives, or raises, in the browser's thread."""
    return _thread.submit(call).result()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run a test of this folder in the browser's thread."""
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    in_browser_thread(lambda: pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests; what they leave behind is in contexts of their own."""
    program = need("chromium")
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []

    def begin() -> tuple[Playwright, Browser]:
        playwright = sync_playwright().start()
        launch = playwright.chromium.launch
        return playwright, launch(executable_path=program, headless=True, args=arguments)

    playwright, launched = in_browser_thread(begin)
    yield launched
    in_browser_thread(launched.close)
    in_browser_thread(playwright.stop)


@pytest.fixture
def site(tmp_path: Path, browser: Browser) -> Iterator[Site]:
    """A place for daemons, all of which are ended after the test."""
    place = Site(tmp_path)
    yield place
    place.stop()


@pytest.fixture
def onlooker(browser: Browser, site: Site) -> Iterator[Onlooker]:
    """Somebody at the page of `site`, for whom nothing may go wrong unsaid."""
    somebody = in_browser_thread(lambda: Onlooker(browser, site.url))
    yield somebody
    in_browser_thread(somebody.leave)


@pytest.fixture(scope="module")
def modules(browser: Browser) -> Iterator[Page]:
    """A blank page in whose origin the modules of the page lie, without any server."""

    def serve(route: Route) -> None:
        name = route.request.url.removeprefix(_ORIGIN + "/")
        if name:
            route.fulfill(path=_FOLDER / name, content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")

    def begin() -> Page:
        page = browser.new_context(timezone_id="Europe/Berlin").new_page()
        page.route(f"{_ORIGIN}/**", serve)
        page.goto(_ORIGIN)
        return page

    page = in_browser_thread(begin)
    yield page
    in_browser_thread(page.context.close)
