"""Tests of the pages for accounts, in a browser: their looks, axe's findings, mails and passkeys."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from proc import put

from .conftest import PASSWORD, check_looks

MEMBERS = [
    "email/",
    "password/change/",
    "logout/",
    "reauthenticate/",
    "2fa/",
    "2fa/totp/activate/",
    "2fa/webauthn/",
    "2fa/webauthn/add/",
    "2fa/recovery-codes/generate/",
]
KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def check(page, url=None):
    if url:
        page.goto(url)
    check_looks(page)
    found = Axe().run(page).response["violations"]
    assert not found, (page.url, [(one["id"], [node["html"] for node in one["nodes"]]) for one in found])


def send(page, *texts):
    """Fill the page's form, and wait for the next page."""
    for number, text in enumerate(texts):
        page.locator("main form input:enabled:visible").nth(number).fill(text)
    with page.expect_navigation():
        page.locator("main form [type=submit]").first.click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_looks(visit, site, development, width, scheme):
    """Each page has the project's looks, fits the window, and has no fault that axe finds. A project's own template
    replaces one."""
    page, accounts = visit(development, width, scheme), f"{development}/accounts"
    check(page, f"{accounts}/signup/")
    check(page, f"{accounts}/login/?next=/accounts/2fa/totp/activate/")
    send(page, "ann@example.org", "guess")
    assert page.locator(".errorlist").count()
    check(page)
    send(page, "ann@example.org", PASSWORD)
    send(page, PASSWORD)
    for path in MEMBERS:
        check(page, f"{accounts}/{path}")
    put(
        site.folder / "project/templates/account/account_inactive.html",
        '{% extends "base.html" %}{% block body %}Ahoy{% endblock %}',
    )
    page.goto(f"{accounts}/inactive/")
    assert page.inner_text("body") == "Ahoy"


@pytest.mark.parametrize("width", [1280, 390])
def test_mails(visit, site, deployed, width):
    """With the code of a mail, a visitor signs up, sets a forgotten password and changes the address."""
    old, new, better = f"bob{width}@example.org", f"robert{width}@example.org", "two ships in a bottle"

    def send_code(receiver):
        send(page, "ABCD-EFGH")
        assert page.locator(".errorlist").count()
        check(page)
        mail = site.mails.getvalue().rpartition("MESSAGE FOLLOWS")[2]
        assert f"\nTo: {receiver}\n" in mail
        send(page, re.findall(r"^\w{4}-\w{4}$", mail, re.MULTILINE)[0])

    page = visit(f"{deployed}/accounts/signup/", width)
    send(page, old, PASSWORD, PASSWORD)
    send_code(old)
    page.context.clear_cookies()
    check(page, f"{deployed}/accounts/password/reset/")
    send(page, old)
    send_code(old)
    check(page)
    send(page, better, better)
    page.goto(f"{deployed}/accounts/login/?next=/accounts/email/")
    send(page, old, better)
    send(page, new)
    send(page, better)  # again, as before all changes of an account
    send_code(new)
    page.goto(f"{deployed}/accounts/email/")
    assert new in page.inner_html("main") and old not in page.inner_html("main")


def test_passkeys(visit, site, deployed):
    """A superuser is led from the admin to a second factor, adds a passkey, and then signs in with that alone. The
    admin's pages work under our Content-Security-Policy."""
    site.manage("createsuperuser", "--noinput", "--username=eve", "--email=eve@example.org")
    page = visit(f"{deployed}/admin/", 1280)
    keys = page.context.new_cdp_session(page)
    keys.send("WebAuthn.enable")
    keys.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
    send(page, "eve@example.org", PASSWORD)
    assert page.url.endswith("/accounts/2fa/?next=/admin/")
    page.goto(f"{deployed}/accounts/2fa/webauthn/add/")
    send(page, PASSWORD)
    page.check("#id_passwordless")
    page.click("#mfa_webauthn_add")
    page.wait_for_url("**/recovery-codes/")
    check(page)
    check(page, f"{deployed}/accounts/2fa/webauthn/")
    page.context.clear_cookies()
    page.goto(f"{deployed}/admin/")
    page.click("#passkey_login")
    page.click("#content a[href$='/accounts/user/']")
    page.fill("#searchbar", "ann")
    page.press("#searchbar", "Enter")
    page.click("#result_list tbody th a")
    assert page.locator("#id_email").input_value() == "ann@example.org"
    page.wait_for_selector(".selector-chooseall, .selector-add")  # made by the admin's own scripts
    check(page, f"{deployed}/accounts/2fa/totp/activate/")
    page.click("#mfa_webauthn_reauthenticate")
    page.wait_for_selector("#authenticator_secret")
