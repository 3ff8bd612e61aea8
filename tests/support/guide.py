"""What the guide has an engineer do "on the MBG", stages 2 to 4, in a browser: by menu places and labels alone."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import requests
from playwright.sync_api import Page, expect

from support.web_services import OAuth1Session

NAME, CONSUMER_ID = "MiVoice Office Application Suite", "MiVOAppSuite"
PASSWORD = "four quiet red kettles"

Shot = Callable[[str], None]


def no_shot(name: str) -> None:
    """For those who want no pictures."""


def sign_in_first(page: Page, link: str, name: str = "ada") -> None:
    """Become the first administrator by the one-time link."""
    page.goto(link)
    page.get_by_label("User name").fill(name)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Save and sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")


def go(page: Page, *way: str) -> None:
    """A way through the menu, such as "MBG Security", "Port Forwarding"."""
    level = page.get_by_role("navigation", name="Main menu")
    if not level.is_visible():
        page.get_by_role("link", name="Menu", exact=True).click()
    for label in way[:-1]:
        level = level.locator("li.level").filter(has=page.locator(f"> .heading:text-is('{label}')"))
    level.get_by_role("link", name=way[-1], exact=True).click()


def stage_2(page: Page, suite: str, shot: Shot = no_shot) -> None:
    """MBG Security > Port Forwarding: rules for every client, those for Mobile by hand and the others by the preset."""
    go(page, "MBG Security", "Port Forwarding")
    page.get_by_role("link", name="Add a rule").click()
    page.get_by_label("Port", exact=True).fill("5060")
    page.get_by_label("Destination Host IP Address").fill(suite)
    expect(page.get_by_label("SNAT")).to_be_checked()
    page.get_by_label("Description").fill("Phone Manager Mobile: configuration, user data, chat")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#e-ports")).to_contain_text("port 5060 is SIP signalling")
    shot("refusal")
    page.get_by_label("Port", exact=True).fill("8185")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text(f"The rule for TCP 8185 to {suite} is saved.")).to_be_visible()
    page.get_by_role("link", name="Preset").click()
    page.get_by_label("Destination Host IP Address").fill(suite)
    for client in ("Phone Manager Desktop", "Personal Wallboard", "Phone Manager Mobile", "69xx phones"):
        page.get_by_label(client, exact=True).check()
    page.get_by_role("button", name="Show the rules").click()
    expect(page.get_by_role("row", name=re.compile("TCP 8185"))).to_contain_text("there already")
    shot("preset")
    page.get_by_role("button", name="Make 4 rules").click()
    expect(page.get_by_text("The preset's rules are there, 4 of them new.")).to_be_visible()
    for ports in ("8185", "8186, 8187", "2001", "8200, 8204", "8202"):
        row = page.get_by_role("row", name=re.compile(f"^TCP {ports} "))
        expect(row).to_contain_text(suite)
        expect(row.get_by_role("cell", name="in force")).to_be_visible()
    shot("forwards")


def stage_3(page: Page, node: str, name: str = "Node 1", shot: Shot = no_shot) -> None:
    """MiVoice Border Gateway > Service configuration > ICPs: one for the PBX node."""
    go(page, "MiVoice Border Gateway", "Service configuration", "ICPs")
    page.get_by_role("link", name="Add an ICP").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Hostname or IP Address").fill(node)
    shot("icp")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.get_by_text(node, exact=True)).to_be_visible()


class AsksForToken(Protocol):
    """Whoever plays the application suite's side of stage 4."""

    def request_token(self, secret: str) -> None: ...
    def retrieve_final_token(self, verifier: str) -> None: ...
    def works(self) -> None: ...


class Suite:
    """The application suite's side of stage 4: an OAuth 1.0a client that is not ours."""

    def __init__(self, url: str, authority: Path) -> None:
        self._url = f"{url}webservices"
        self._authority = str(authority)
        self._secret = ""
        self.session = OAuth1Session(CONSUMER_ID)

    def request_token(self, secret: str) -> None:
        """Press 'Save & Test API Credentials'."""
        self._secret = secret
        self.session = OAuth1Session(CONSUMER_ID, client_secret=secret, callback_uri="oob")
        self._trust(self.session)
        self.session.fetch_request_token(f"{self._url}/oauth/request_token")

    def retrieve_final_token(self, verifier: str) -> None:
        """Press 'Retrieve Final Access Token'."""
        self.session._client.client.verifier = verifier
        self.session.fetch_access_token(f"{self._url}/oauth/access_token")

    def works(self) -> None:
        assert self.get("MBG/v1/icps").status_code == 200

    def get(self, resource: str) -> requests.Response:
        answer: requests.Response = self.session.get(f"{self._url}/{resource}")
        return answer

    def _trust(self, session: requests.Session) -> None:
        session.verify = self._authority
        session.trust_env = False


def stage_4(page: Page, suite: AsksForToken, shot: Shot = no_shot) -> None:
    """Administration > Web services: the consumer of step 1, and the token exchange of step 2."""
    go(page, "Administration", "Web services")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("link", name="Add a new consumer").click()
    expect(page.get_by_label("Active")).to_be_checked()
    page.get_by_label("Name", exact=True).fill(NAME)
    page.get_by_label("ConsumerID").fill(CONSUMER_ID)
    for resource, permission in (
        ("Base/managetoken", "Read/Write"),
        ("MBG/v1/icps", "Read"),
        ("MBG/v1/devices", "Read/Write"),
    ):
        page.get_by_label(resource, exact=True).select_option(permission)
    shot("consumer")
    page.get_by_role("button", name="Save").click()
    secret = page.locator(".note code").inner_text()
    suite.request_token(secret)
    go(page, "Administration", "Web services")
    page.get_by_role("button", name=f"Approve the request of {NAME}").click()
    verifier = page.get_by_role("region", name="Temporary tokens").locator("code").inner_text()
    shot("verifier")
    suite.retrieve_final_token(verifier)
    suite.works()
    page.reload()
    final = page.get_by_role("region", name="Final tokens").get_by_role("row", name=re.compile(NAME))
    expect(final).to_contain_text("holds")
    final.get_by_role("button", name=f"Renew the token of {NAME}").click()
    expect(page.get_by_text("The token is renewed.")).to_be_visible()
