"""The PBX node: its calls, in memory, and its management API, over HTTPS."""

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest

from opx import sdp
from opx.pbx.node import PbxNode
from opx.pbx.repository import ExtensionRecord
from opx.phone.softphone import Account, Softphone
from opx.sip import events
from opx.sip.digest import Algorithm, DigestClient, DigestVerifier
from opx.sip.flow import Destination
from opx.sip.nonces import NonceIssuer
from opx.sip.registration import ClientRegistration, RegistrationResult
from opx.sip.session import Session
from opx.sip.transactions import ServerTransaction
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.sipnet import Face, Node, Wire

PBX = ("10.9.8.20", 5060)


class Desk:
    """An office phone, driven by the test."""

    def __init__(self, office: "Office", number: str, host: str) -> None:
        self.node = Node(office.wire, number, (host, 5060), on_request_do=self._on_request)
        self.events: list[events.SessionEvent] = []
        self.sessions: list[Session] = []
        self.results: list[RegistrationResult] = []
        self.number = number
        self.sdp = sdp.encode(sdp.offer(host, 6000, origin=sdp.Origin.of(host, 1, 1)))
        self.credentials = DigestClient(number, f"pw-{number}")
        self.registration = ClientRegistration(
            self.node.agent,
            Destination("UDP", *PBX),
            aor=f"sip:{number}@{PBX[0]}",
            registrar=f"sip:{PBX[0]}",
            contact=f"sip:{number}@{host}:5060",
            credentials=self.credentials,
            on_result=self.results.append,
        )

    def call(self, number: str) -> Session:
        session = Session.call(
            self.node.agent,
            self.events.append,
            Destination("UDP", *PBX),
            uri=f"sip:{number}@{PBX[0]}",
            from_=f"<sip:{self.number}@{PBX[0]}>",
            to=f"<sip:{number}@{PBX[0]}>",
            contact=f"sip:{self.number}@{self.node.address[0]}",
            sdp=self.sdp,
            credentials=self.credentials,
        )
        self.sessions.append(session)
        return session

    def _on_request(self, transaction: ServerTransaction) -> None:
        if transaction.method == "INVITE":
            session = Session.incoming(
                self.node.agent, self.events.append, transaction, contact=f"sip:{self.number}@{self.node.address[0]}"
            )
            self.sessions.append(session)
            session.progress(180)
        else:
            transaction.reply(200, to_tag="n")


class Office:
    """A node with extensions 1001 to 1003, the first two registered."""

    def __init__(self) -> None:
        self.wire = Wire()
        numbers = ("1001", "1002", "1003")
        self.node = PbxNode(
            wheel=self.wire.wheel,
            flows=Face(PBX),
            verifier=DigestVerifier("pbx", NonceIssuer(b"k"), [Algorithm.MD5]),
            extensions={n: ExtensionRecord(n, f"Desk {n}", "SIP", f"pw-{n}") for n in numbers},
            tests={},
            calls_per_extension=1,
        )
        self.wire.attach("pbx", PBX, self.node.agent)
        self.one, self.two = Desk(self, "1001", "10.9.8.101"), Desk(self, "1002", "10.9.8.102")
        for desk in (self.one, self.two):
            desk.registration.start()
        self.wire.advance(0.1)

    def connected(self) -> None:
        self.one.call("1002")
        self.wire.deliver()
        self.two.sessions[0].accept(self.two.sdp)
        self.wire.deliver()


def test_extensions_call_each_other_with_their_own_descriptions() -> None:
    office = Office()
    office.connected()
    assert office.one.events[-1] == events.Answered(office.two.sdp)
    office.one.sessions[0].hang_up()
    office.wire.deliver()
    assert office.two.events[-1] == events.Ended(events.Cause.BYE)
    assert office.node.calls == set()


def test_a_wrong_password_does_not_register() -> None:
    office = Office()
    stranger = Desk(office, "1003", "10.9.8.103")
    stranger.registration._credentials = DigestClient("1003", "wrong")
    stranger.registration.start()
    office.wire.advance(0.1)
    assert stranger.results[-1].status == 401
    assert office.node.registrar.contacts("1003") == []


@pytest.mark.parametrize(("number", "status"), [("1003", 480), ("4711", 404)])
def test_a_call_that_leads_nowhere_says_why(number: str, status: int) -> None:
    office = Office()
    office.one.call(number)
    office.wire.deliver()
    assert office.one.events[-1] == events.Refused(status)


def test_a_third_caller_hears_busy() -> None:
    office = Office()
    office.connected()
    third = Desk(office, "1003", "10.9.8.103")
    third.registration.start()
    office.wire.advance(0.1)
    third.call("1002")
    office.wire.deliver()
    office.one.sessions[0].hang_up()
    office.wire.advance(1)
    third.call("1002")
    office.wire.deliver()
    assert third.events == [events.Refused(486), events.Progress(180, b"")]


def test_an_extension_that_does_not_answer_stops_ringing() -> None:
    office = Office()
    office.one.call("1002")
    office.wire.advance(31)
    assert office.one.events[-1] == events.Refused(480)
    assert office.two.events[-1] == events.Cancelled()


def test_hold_goes_through() -> None:
    office = Office()
    office.connected()
    office.two.sessions[0].offer(office.two.sdp)
    office.wire.deliver()
    assert office.one.events[-1] == events.Offered(office.two.sdp)
    office.one.sessions[0].answer_offer(office.one.sdp)
    office.wire.deliver()
    assert office.two.events[-1] == events.OfferAnswered(office.one.sdp)


def test_notify_reaches_the_phone_and_its_answer_comes_back() -> None:
    office = Office()
    statuses: list[int] = []
    office.node.notify("1001", "check-sync", "", b"", statuses.append)
    office.node.notify("1003", "check-sync", "", b"", statuses.append)
    office.wire.deliver()
    assert sorted(statuses) == [200, 480]
    assert office.one.node.requests[-1].method == "NOTIFY"


def client(site: LiveSite, token: str) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(site.folder / "pbx-certificates" / "ca.pem"))
    return httpx.AsyncClient(
        base_url=f"https://{site.pbx_address}:8445/api/v1/",
        verify=context,
        trust_env=False,
        headers={"Authorization": f"Bearer {token}"},
    )


async def test_the_management_api_gives_credentials_versions_and_notify(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_site(loopback, tmp_path) as site:
        token = (tmp_path / "pbx.token").read_text()
        async with client(site, token) as api:
            assert (await api.get("system")).json() == {
                "name": "MiVO 250",
                "version": "6.3 SP1",
                "ct_gateway_version": "5.0.64",
            }
            assert "/api/v1/extensions" in (await api.get("openapi.json")).json()["paths"]
            made = (await api.put("extensions/1500", json={"name": "New", "type": "SIP hot desk"})).json()
            assert made["hot_desk"] and len(made["auth_password"]) >= 20 and made["auth_name"] == "1500"
            listed = {entry["number"]: entry for entry in (await api.get("extensions")).json()}
            assert listed["1500"]["auth_password"] == made["auth_password"]
            assert not listed["1500"]["registered"]
            heard: list[str] = []
            phone = Softphone(
                Account("1500", made["auth_password"], site.pbx_address),
                loopback.at("20.150"),
                on_event=heard.append,
            )
            await phone.start()
            phone.register()
            async with asyncio.timeout(20):
                await phone.tried.wait()
            answer = await api.post("extensions/1500/notify", json={"event": "check-sync"})
            assert answer.json() == {"status": 200}
            assert "was notified: check-sync" in heard
            await phone.stop()
            assert (await api.delete("extensions/1500")).status_code == 204
            assert (await api.get("extensions/1500")).status_code == 404


@pytest.mark.parametrize("token", ["wrong", "Bearer", "x" * 5000])
async def test_without_the_token_the_api_says_nothing(loopback: LoopbackNetwork, tmp_path: Path, token: str) -> None:
    async with live_site(loopback, tmp_path) as site, client(site, token) as api:
        for path in ("system", "extensions", "extensions/1001", "../../openapi.json", "nothing"):
            answer = await api.get(path)
            assert answer.status_code in (401, 404)
            assert "password" not in answer.text
