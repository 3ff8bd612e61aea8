"""Home routers that rewrite SIP: what gives them away, what does not, and that calls go on all the same."""

import pytest

from opx.gateway.signalling.alg import MAX_FLOWS, AlgWatch, in_description, in_registration
from opx.gateway.signalling.bindings import Change, LiveBinding
from opx.gateway.signalling.timeline import Entry, Timeline
from opx.lab.mangling import inward, outward
from opx.lab.plan import Alg
from opx.sip.events import Answered
from opx.sip.flow import Address, Flow
from opx.sip.message import Request
from opx.sip.parser import parse
from support.site import HOME, OUTSIDE, Phone, Site, description

SOURCE = (HOME, 40001)
PRIVATE = "192.168.1.1"
PUBLIC_URI = f"sip:tw1@{HOME}:40001"


def said(site: Site) -> list[str]:
    return [text for text in site.texts() if "ALG" in text]


# --- what one message shows


def register(via: str, contact: str, call_id: str = "a7", more: str = "") -> Request:
    text = (
        f"REGISTER sip:{OUTSIDE} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n"
        f"From: <sip:tw1@{OUTSIDE}>;tag=1\r\nTo: <sip:tw1@{OUTSIDE}>\r\nCall-ID: {call_id}\r\nCSeq: 1 REGISTER\r\n"
        f"Contact: {contact}\r\n{more}Content-Length: 0\r\n\r\n"
    )
    request = parse(text.encode())
    assert isinstance(request, Request)
    request.stamp_source(*SOURCE)
    return request


def test_a_via_that_shows_the_source_beside_a_private_contact_is_proof() -> None:
    finding = in_registration(register(f"{HOME}:40001", "<sip:tw1@192.168.1.1:5060>"), SOURCE)
    assert finding is not None and finding.proof
    assert finding.text == (
        "its home router rewrites SIP (ALG): Via shows the public address 203.0.113.7:40001 but Contact the private "
        "192.168.1.1; switch SIP ALG off in the router, or use TCP or another port"
    )


@pytest.mark.parametrize(
    ("via", "contact", "call_id", "shows"),
    [
        ("192.168.1.1:5060", f"<{PUBLIC_URI}>", "a7", "Contact shows the public address 203.0.113.7:40001 but Via the"),
        ("10.1.2.3", f"<{PUBLIC_URI}>", "a7", "but Via the private 10.1.2.3"),
        ("172.31.0.9", f"<{PUBLIC_URI};ob>", "a7", "but Via the private 172.31.0.9"),
        (f"{HOME}:40001", f"<{PUBLIC_URI}>", "a7@192.168.1.1", "but Call-ID the private 192.168.1.1"),
        (f"{HOME}:31000", "<sip:tw1@192.168.1.1>", "a7", "Via shows the public address 203.0.113.7:31000 but Contact"),
    ],
)
def test_what_stun_could_explain_too_is_a_hint(via: str, contact: str, call_id: str, shows: str) -> None:
    finding = in_registration(register(via, contact, call_id), SOURCE)
    assert finding is not None and not finding.proof
    assert shows in finding.shows
    assert "seems to rewrite" in finding.text and "unless the phone uses STUN" in finding.text


@pytest.mark.parametrize(
    ("via", "contact", "call_id"),
    [
        pytest.param("192.168.1.1:5060", "<sip:tw1@192.168.1.1:5060>", "a7@192.168.1.1", id="NAT and no ALG"),
        pytest.param(f"{HOME}:40001", f"<{PUBLIC_URI}>", f"a7@{HOME}", id="a phone at a public address"),
        pytest.param(f"{HOME}:40001", f"<{PUBLIC_URI}>", "a7@phone.example", id="a Call-ID with a name"),
        pytest.param("192.168.1.1:5060", f"<sip:tw1@{HOME}:5060>", "a7", id="an address from its settings"),
        pytest.param("phone.example:5060", f"<{PUBLIC_URI}>", "a7", id="a Via with a name"),
        pytest.param("203.0.113.77:40001", "<sip:tw1@192.168.1.1>", "a7", id="another address that begins alike"),
        pytest.param("203.0.113.77", "<sip:tw1@203.0.113.77>", "a7@192.168.1.1", id="the same in Via and Contact"),
        pytest.param(f"{HOME}:40001", "<tel:+49301234>", "a7", id="no SIP Contact"),
        pytest.param(f"{HOME}:40001", "*", "a7", id="no Contact at all"),
        pytest.param(f"{HOME}:40001", f"<sip:{HOME}", "a7", id="an unreadable Contact"),
    ],
)
def test_what_honest_phones_send_shows_nothing(via: str, contact: str, call_id: str) -> None:
    assert in_registration(register(via, contact, call_id), SOURCE) is None


def test_a_source_that_is_private_itself_shows_nothing() -> None:
    source = ("10.9.8.50", 5060)
    assert in_registration(register("10.9.8.50:5060", "<sip:tw1@192.168.1.1>"), source) is None


def test_nor_does_a_description_from_a_private_source() -> None:
    source = ("10.9.8.50", 5060)
    request = invite(description("10.9.8.50", 40000), via="10.9.8.50:5060", contact="<sip:tw1@10.9.8.50>")
    assert in_description(request, source) is None


def invite(body: bytes, via: str = "192.168.1.1:5060", contact: str = "<sip:tw1@192.168.1.1:5060>") -> Request:
    request = register(via, contact)
    request.body = body
    return request


def test_a_description_with_the_public_address_beside_private_headers_is_a_hint() -> None:
    finding = in_description(invite(description(HOME, 40000)), SOURCE)
    assert finding is not None and not finding.proof
    shows = "the description shows the public address 203.0.113.7 but Via and Contact the private 192.168.1.1"
    assert finding.shows == shows


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(invite(description("192.168.1.1", 40000)), id="a private description"),
        pytest.param(invite(b""), id="no description"),
        pytest.param(
            invite(description(HOME, 40000) + b"a=candidate:1 1 UDP 99 203.0.113.7 40000 typ srflx\r\n"), id="ICE"
        ),
        pytest.param(invite(description(HOME, 40000), contact=f"<{PUBLIC_URI}>"), id="a phone that knows its address"),
        pytest.param(invite(description(HOME, 40000), via=f"{HOME}:40001"), id="a phone that names it in Via"),
    ],
)
def test_other_descriptions_show_nothing(request_: Request) -> None:
    assert in_description(request_, SOURCE) is None


# --- what becomes of it


def behind(site: Site, alg: Alg, phones: list[Phone]) -> None:
    """Home routers with an ALG, which leave ports alone."""
    private = {phone.address: f"192.168.1.{phone.number}" for phone in phones}

    def rewrite(source: Address, target: Address, data: bytes) -> bytes:
        if source in private:
            return _with_port(outward(data, alg, private[source], source[0]), source, outwards=True)
        if target in private:
            return inward(_with_port(data, target, outwards=False), alg, private[target], target[0])
        return data

    site.wire.rewrite = rewrite


def _with_port(data: bytes, public: Address, *, outwards: bool) -> bytes:
    inner, outer = f"{public[0]}:5060".encode(), f"{public[0]}:{public[1]}".encode()
    return data.replace(inner, outer) if outwards else data.replace(outer, inner)


def test_a_careless_router_is_named_once_per_binding_and_refused_nothing() -> None:
    site = Site()
    phone = site.phone(1)
    behind(site, Alg.CARELESS, [phone])
    phone.register()
    assert phone.registration.registered
    (text,) = said(site)
    assert text.startswith("its home router rewrites SIP (ALG): Via shows the public address 203.0.113.7:40001")
    site.wire.advance(600)
    assert said(site) == [text]


def test_a_router_that_rewrites_contact_is_named_with_the_doubt() -> None:
    site = Site()
    phone = site.phone(1)
    behind(site, Alg.CONTACT, [phone])
    phone.register()
    (text,) = said(site)
    assert "Contact shows the public address 203.0.113.7:40001 but Via the private 192.168.1.1" in text


@pytest.mark.parametrize("alg", [Alg.CARELESS, Alg.CONTACT])
def test_calls_both_ways_go_on_through_such_a_router(alg: Alg) -> None:
    site = Site()
    phone = site.phone(1)
    behind(site, alg, [phone])
    phone.register()
    phone.call("1101")
    site.icp.sessions[-1].accept(description("10.9.8.101", 6100))
    site.wire.advance(1)
    assert any(isinstance(event, Answered) for event in phone.events)
    phone.sessions[-1].hang_up()
    site.wire.advance(1)
    site.icp.call("1001")
    phone.sessions[-1].accept(description("192.168.1.1", 40000))
    site.wire.advance(1)
    assert any(isinstance(event, Answered) for event in site.icp.events)
    assert len(said(site)) == 1


def test_a_description_is_named_once_per_binding() -> None:
    site = Site()
    phone = site.phone(1)
    phone.register()
    for _ in range(2):
        phone.call("1101", description(HOME, 40000))
        phone.sessions[-1].hang_up()
        site.wire.advance(100)
    (text,) = said(site)
    assert "the description shows the public address" in text


def test_a_stranger_behind_such_a_router_leaves_no_word() -> None:
    site = Site()
    phone = site.phone(1, password="guessed")
    behind(site, Alg.CARELESS, [phone])
    phone.register()
    assert said(site) == []


def at_its_public_address(site: Site, port: int = 40001) -> Phone:
    phone = site.phone(1, port=port)
    phone.registration.contact = f"sip:tw1@{HOME}:{port}"
    return phone


def test_a_phone_that_learns_its_address_from_our_answer_is_not_taken_for_a_router() -> None:
    site = Site()
    phone = site.phone(1)
    phone.register()
    phone.registration.contact = PUBLIC_URI
    phone.register()
    assert [binding.contact for binding in site.signalling.registrar.bindings.of(1)] == [PUBLIC_URI]
    assert said(site) == []


def test_nor_is_one_that_keeps_what_it_learnt_after_a_refusal() -> None:
    site = Site()
    phone = site.phone(1, password="mistyped")
    phone.register()
    again = at_its_public_address(site)
    again.register()
    assert again.registration.registered
    assert said(site) == []


def test_nor_one_that_comes_from_another_port_with_the_address_that_it_knew() -> None:
    site = Site()
    before = site.phone(1)
    before.register()
    before.registration.contact = PUBLIC_URI
    before.register()
    before.registration.forget()
    after = site.phone(1, port=40999)
    after.registration.contact = PUBLIC_URI
    after.register()
    assert "moved to 203.0.113.7:40999" in site.texts()
    assert said(site) == []


def test_nor_one_that_names_it_in_via_with_the_port_that_it_knew() -> None:
    site = Site()
    before = site.phone(1)
    before.register()
    before.registration.forget()
    after = site.phone(1, port=40999, local=SOURCE)
    after.register()
    assert "moved to 203.0.113.7:40999" in site.texts()
    assert said(site) == []


def test_but_an_address_that_follows_the_flow_at_once_is_the_routers_work() -> None:
    site = Site()
    before = site.phone(1)
    before.register()
    before.registration.forget()
    after = site.phone(1, port=40999)
    behind(site, Alg.CARELESS, [after])
    after.register()
    (text,) = said(site)
    assert "203.0.113.7:40999" in text


def test_a_phone_that_comes_back_with_credentials_was_told_before() -> None:
    site = Site()
    first = site.phone(1)
    first.register()
    first.registration.stop()
    site.wire.advance(1)
    back = site.phone(1, port=40999)
    back.credentials = back.registration._credentials = first.credentials
    behind(site, Alg.CONTACT, [back])
    back.register()
    assert "registered from 203.0.113.7:40999 over UDP" in site.texts()
    assert said(site) == []


def watching() -> tuple[AlgWatch, list[Entry], Flow]:
    entries: list[Entry] = []
    return AlgWatch(Timeline([entries.append], clock=lambda: 0.0)), entries, Flow("UDP", (OUTSIDE, 5060), SOURCE)


def test_a_router_that_was_named_is_not_named_again_for_its_descriptions() -> None:
    watch, entries, flow = watching()
    watch.registering(register(f"{HOME}:40001", "<sip:tw1@192.168.1.1>"), flow)
    watch.bound(1, flow, Change(fresh=True, moved=False))
    watch.calling(1, invite(description(HOME, 40000)), flow)
    assert len(entries) == 1


def test_another_contact_on_the_same_flow_is_no_new_place() -> None:
    watch, entries, flow = watching()
    watch.registering(register(f"{HOME}:40001", "<sip:tw1@192.168.1.1>"), flow)
    for elsewhere in (False, True):
        old = flow._replace(remote=(HOME, 40999)) if elsewhere else flow
        binding = LiveBinding(1, PUBLIC_URI, "", old, "a7", 1, "", 0.0, 300.0)
        watch.bound(1, flow, Change(fresh=False, moved=False, removed=(binding,)))
        assert len(entries) == elsewhere


def test_what_is_remembered_is_bounded() -> None:
    watch, entries, flow = watching()
    careless = register(f"{HOME}:40001", "<sip:tw1@192.168.1.1>")
    here, there = (flow._replace(serial=serial) for serial in (1, 2))
    watch.registering(careless, here)
    watch.registering(careless, there)
    for port in range(MAX_FLOWS - 1):
        watch.registering(careless, Flow("UDP", (OUTSIDE, 5060), ("198.51.100.99", port)))
    watch.bound(1, here, Change(fresh=True, moved=False))
    assert entries == []
    watch.bound(1, there, Change(fresh=True, moved=False))
    assert len(entries) == 1
