"""What the guide has an engineer do "on the MCS", stages 1, 4 and 5, in a browser: by menu places and labels alone."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from support.guide import CONSUMER_ID, NAME, Shot, go, no_shot

PBX = "MiVO 250"
SITE_SETTINGS = ("Configuration", "Site Settings")
PHONE_SYSTEMS = (*SITE_SETTINGS, "Phone Systems")
BORDER_GATEWAY = (*PHONE_SYSTEMS, "MiVoice Border Gateway")


def stage_1(page: Page, inside: str, outside: str, shot: Shot = no_shot) -> None:
    """The gateway's internal address; its external one for each node and for remote clients."""
    go(page, *BORDER_GATEWAY)
    page.get_by_label("IP address").fill(inside)
    shot("gateway")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The gateway's address is saved.")).to_be_visible()
    go(page, *PHONE_SYSTEMS, PBX)
    page.get_by_role("link", name="Node 1", exact=True).click()
    page.get_by_label("NAT IP Address").fill(outside)
    expect(page.get_by_label("NAT SIP Port")).to_have_value("5060")
    shot("node")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("row", name=re.compile("^Node 1"))).to_contain_text(outside)
    go(page, *SITE_SETTINGS, "Client Locations", "Remote")
    page.get_by_label("NAT IP Address/Full Hostname").fill(outside)
    shot("location")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The location is saved.")).to_be_visible()


def add_pbx(page: Page, node: str, url: str, token: str, shot: Shot = no_shot) -> None:
    """The PBX itself, with one node and its management API, whose certificate is compared and trusted."""
    go(page, *PHONE_SYSTEMS, "All PBXs")
    page.get_by_role("link", name="Add a PBX").click()
    page.get_by_label("Name", exact=True).fill(PBX)
    page.get_by_label("Address or file").fill(url)
    page.get_by_label("Token of the management API").fill(token)
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("link", name="Add a node").click()
    page.get_by_label("IP Address", exact=True).fill(node)
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("link", name="Look at it").click()
    page.get_by_role("button", name="Trust this certificate").click()
    expect(page.get_by_text("The certificate is trusted from now on.")).to_be_visible()
    page.get_by_role("button", name="Read extensions now").click()
    expect(page.get_by_text(f"{PBX} is read")).to_be_visible()
    shot("pbx")


class SuitePages:
    """The application suite's side of stage 4, in its own console."""

    def __init__(self, page: Page, shot: Shot = no_shot) -> None:
        self._page = page
        self._shot = shot

    def request_token(self, secret: str) -> None:
        """Enable Rest API, and press 'Save & Test API Credentials'."""
        page = self._page
        go(page, *BORDER_GATEWAY)
        page.get_by_label("Enable Rest API").check()
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("link", name="Look at the certificate").click()
        self._shot("certificate")
        page.get_by_role("button", name="Trust this certificate").click()
        page.get_by_role("link", name="Request Access Token").click()
        page.get_by_label("Name", exact=True).fill(NAME)
        page.get_by_label("Consumer ID").fill(CONSUMER_ID)
        page.get_by_label("Shared Secret").fill(secret)
        page.get_by_role("button", name="Save & Test API Credentials").click()
        expect(page.get_by_text("The credentials are right and a token is requested.")).to_be_visible()

    def retrieve_final_token(self, verifier: str) -> None:
        """Press 'Retrieve Final Access Token'."""
        page = self._page
        page.get_by_label("Verifier", exact=True).fill(verifier)
        self._shot("verifier")
        page.get_by_role("button", name="Retrieve Final Access Token").click()
        expect(page.get_by_text("The final access token is stored.")).to_be_visible()

    def works(self) -> None:
        self._page.get_by_role("button", name="Test the connection").click()
        expect(self._page.get_by_text("The gateway answers: OPX")).to_be_visible()
        self._shot("token")


def stage_5(page: Page, number: str, shot: Shot = no_shot) -> None:
    """'Use remote authorization credentials' at an extension, until the gateway's id of it is shown."""
    go(page, *PHONE_SYSTEMS, PBX)
    page.get_by_role("link", name=number, exact=True).click()
    page.get_by_label("Use remote authorization credentials").check()
    expect(page.get_by_label("Remote authorization name")).to_have_value(re.compile(r"^tw-"))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(f"Extension {number} is saved.")).to_be_visible()
    expect(page.locator("#at-gateway-card")).to_contain_text("On the gateway")
    page.reload()
    expect(page.get_by_role("region", name="SIP Authorization")).to_contain_text(re.compile(r"Gateway's id\s*\d+"))
    shot("extension")


def firmware(page: Page, file: Path) -> None:
    """Configuration > Firmware: an image that unboxed phones load in the LAN."""
    go(page, "Configuration", "Firmware")
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("is in the library").first).to_be_visible()


def stage_6(page: Page, mac: str, number: str, shot: Shot = no_shot) -> None:
    """Configuration > Phones: the phone that somebody plugged in at home is found, assigned and approved."""
    go(page, "Configuration", "Phones")
    row = page.get_by_role("row").filter(has_text=mac)
    expect(row).to_contain_text("waiting")
    expect(row).to_contain_text("teleworker")
    shot("waiting")
    row.get_by_role("link", name=mac).click()
    page.get_by_label("Extension").fill(number)
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_text(f"has extension {number} now.")).to_be_visible()
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("is approved:")).to_be_visible()
    shot("approved")
