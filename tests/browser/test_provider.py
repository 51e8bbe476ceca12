"""Logging in at an identity provider with a browser: its rules for cookies between two sites."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.onlooker import Onlooker
from tests.browser.test_access import REFUSED
from tests.live.server.test_oidc import PASSWORD, School
from tests.rigs.daemons import Site


@pytest.fixture
def school(site: Site) -> Iterator[School]:
    """A server and its provider, both of them running."""
    made = School(site)
    try:
        made.start()
        yield made
    finally:
        made.provider.end()


def log_in_there(page: Page, name: str) -> None:
    """Follow the link to the provider, and log in at its page."""
    page.click("text=Log in with the school")
    page.wait_for_selector("#on")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("#on")


def test_there_and_back(onlooker: Onlooker, school: School) -> None:
    """The login page leads to the provider, whose page leads back to the one that was wanted, with
    somebody logged in; and whoever has no role is told so."""
    school.provider.user("ada", "teachers", "room-1")
    school.provider.user("eve", "pupils")
    onlooker.forgiven += REFUSED
    page = onlooker.page
    onlooker.open("#/")
    onlooker.until("() => location.pathname === '/login.html'")
    onlooker.forgiven += ["status of 403"]
    log_in_there(page, "eve")
    page.wait_for_selector("text=gives you a role here")
    page.click("text=Back")
    onlooker.until("() => location.pathname === '/login.html'")

    page.context.clear_cookies()
    log_in_there(page, "ada")
    onlooker.until("() => location.pathname === '/'")
    onlooker.until(
        "() => document.querySelector('.bar nav:not([hidden]) a')?.textContent.startsWith('oidc:')"
    )
    (cookie,) = (one for one in page.context.cookies() if one["name"].startswith("vidlink"))
    assert (cookie["name"], cookie["sameSite"], cookie["httpOnly"]) == ("vidlink", "Strict", True)
