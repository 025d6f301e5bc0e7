"""What an attacker types stays text, wherever it is read (WS-01), as a real browser sees it."""

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import Engine

from tests.markup import A_FEW, PAYLOADS, open_lookout
from tests.post_office import PostOffice
from tests.smuggling import Smuggler


# What a browser makes of a page hangs on no database, and thirty pages take their time.
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_no_script_of_a_request_runs_on_a_page_of_staff_or_in_a_letter(
    app: Flask, engine: Engine, office: PostOffice, site: str, browser: Browser
) -> None:
    """WS-01; three hundred of them: ``python -m tests.proofs --only smuggled``."""
    smuggler = Smuggler(app, engine, office, site)
    assert smuggler.smuggle(browser, A_FEW) == []
    assert len(office.letters) >= len(A_FEW)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_page_that_lets_markup_through_is_noticed(site: str, browser: Browser) -> None:
    """Or a page without any fault would prove nothing."""
    with open_lookout(browser, site) as lookout:
        for payload in A_FEW:
            lookout.read(f"<title>x</title><p>{payload}</p>", payload)
        noted = len({one.partition(":")[0] for one in lookout.noted})
        assert any("a script ran: ran" in one for one in lookout.noted)
        assert noted >= len(A_FEW) // 2
        lookout.noted.clear()
        lookout.page.goto("/en")
        with lookout.page.expect_console_message(lambda told: "policy" in told.text):
            smuggled = "document.body.insertAdjacentHTML('beforeend', '<b onclick=x()>')"
            lookout.page.evaluate(smuggled)
        assert [one for one in lookout.noted if "policy" in one]
    assert len(PAYLOADS) >= 300
