"""MBG Security > Port Forwarding (guide, stage 2)."""

import re
from pathlib import Path

import pytest

from opx.gateway.control.forwards import ForwardLive, ForwardsLive
from opx.gateway.forwarding.rules import ForwardSpec, Ports, Protocol, parse_address, parse_sources
from opx.gateway.web.service import WebService
from opx.web.accounts import Role
from support.console import StandIn, Visitor, open_console, signed_in

SUITE = "192.168.20.10"


def desktop(**changes: object) -> ForwardSpec:
    values: dict[str, object] = {"description": "Phone Manager Desktop", **changes}
    return ForwardSpec(Protocol.TCP, Ports.of(8186, 8187), parse_address(SUITE), **values)  # type: ignore[arg-type]


async def add(visitor: Visitor, **values: str) -> None:
    await visitor.get("/port-forwarding/add")
    await visitor.send("/port-forwarding/add", **{"ports": "8186 & 8187", "host": SUITE, **values})


async def rules(web: WebService) -> list[ForwardSpec]:
    return [rule.spec for rule in await web.forwards.all()]


async def test_a_rule_is_added_as_the_guide_says_with_snat_ticked_from_the_start(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await add(visitor, description="Phone Manager Desktop")
        assert "The rule for TCP 8186, 8187 to 192.168.20.10 is saved." in visitor.text
        assert await rules(web) == [desktop()]
        entries, _ = await web.console.audit.entries("port forwarding rule 1", 0, 1)
        assert entries[0].detail == "TCP 8186, 8187 to 192.168.20.10, SNAT"


async def test_a_rule_with_all_that_it_can_have(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await add(visitor, ports="9000-9010", host_port="22", protocol="UDP", sources="203.0.113.0/24 198.51.100.1")
        (spec,) = await rules(web)
        assert (spec.protocol, str(spec.ports), spec.host_port) == (Protocol.UDP, "9000-9010", 22)
        assert spec.sources == parse_sources("203.0.113.0/24, 198.51.100.1")


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"ports": "5060"}, "ports", "port 5060 is SIP signalling, which the gateway itself takes"),
        ({"ports": "5000-5100"}, "ports", "SIP signalling"),
        ({"ports": "5060", "forced": "yes"}, "ports", "SIP signalling"),
        ({"ports": "389"}, "ports", "port 389 is LDAP, which the guide keeps closed; a forced rule may"),
        ({"ports": "8202-8205"}, "ports", "port 8203"),
        ({"ports": "69", "protocol": "UDP"}, "ports", "TFTP"),
        ({"ports": "x"}, "ports", "is no port"),
        ({"ports": ""}, "ports", "is no port"),
        ({"host": "192.168.20.1"}, "host", "is the gateway itself"),
        ({"host": "239.0.0.1"}, "host", "multicast is never forwarded"),
        ({"host": "suite.example"}, "host", "is no address"),
        ({"host_port": "99999"}, "host_port", "is no port"),
        ({"sources": "everyone"}, "sources", "is no network"),
        ({"description": "x" * 256}, "description", "at most 255"),
        ({"ports": "8187"}, "ports", "TCP 8187 is forwarded by rule 1 already"),
    ],
)
async def test_each_refusal_is_named_at_its_field(
    tmp_path: Path, values: dict[str, str], field: str, said: str
) -> None:
    async with open_console(tmp_path) as web:
        await web.forwards.add(desktop())
        visitor = await signed_in(web)
        await add(visitor, **values)
        assert visitor.page.status_code == 422
        assert said in visitor.text
        assert f'id="e-{field}"' in visitor.html
        assert visitor.form("/port-forwarding/add")[field] == values[field]
        assert len(await rules(web)) == 1


async def test_force_opens_what_the_guide_keeps_closed_and_warns(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await add(visitor, ports="389", forced="yes")
        assert "Mind: port 389 is LDAP" in visitor.text
        assert (await rules(web))[0].forced


async def test_a_rule_without_snat_warns_that_the_suite_will_not_know_teleworkers(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await add(visitor, snat="")
        assert "Mind: without SNAT the suite sees the clients' own addresses" in visitor.text
        await visitor.get("/port-forwarding")
        assert "does not know teleworkers" in visitor.text


async def test_the_rules_in_force_are_shown_beside_the_wanted_ones(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await web.forwards.add(desktop())
        await web.forwards.add(ForwardSpec(Protocol.TCP, Ports.of(8202), parse_address(SUITE)))
        await web.forwards.add(ForwardSpec(Protocol.TCP, Ports.of(8185), parse_address(SUITE), enabled=False))
        visitor = await signed_in(web)
        await visitor.get("/port-forwarding")
        assert "The gateway does not answer. What is in force is not known" in visitor.text
    live = ForwardsLive(
        driver="userspace",
        remark="the addresses are loopback",
        problem="",
        rules=(
            ForwardLive(id=1, version=1, state="in force", why="", connections=3, open=1, bytes_up=1500, refused=2),
            ForwardLive(id=2, version=1, state="not in force", why="8202 is taken by another program"),
        ),
    )
    async with open_console(tmp_path, control=StandIn(forwards=live)) as web:
        visitor = await signed_in(web, "bob")
        await visitor.get("/port-forwarding")
        assert "In force by the userspace driver: the addresses are loopback" in visitor.text
        assert "in force 3 connections, 1 open 1.5 kB in, 0 bytes out 2 refused" in visitor.text
        assert "not in force 8202 is taken by another program" in visitor.text
        assert "everyone off" in visitor.text
        await web.forwards.change(1, desktop(description="changed"))
        await visitor.get("/port-forwarding")
        assert "changed being taken over" in visitor.text


async def test_a_rule_is_switched_off_on_and_deleted(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await web.forwards.add(desktop())
        visitor = await signed_in(web)
        await visitor.get("/port-forwarding")
        await visitor.send("/port-forwarding/1/disable")
        assert not (await rules(web))[0].enabled
        await web.forwards.add(desktop(description="in the way"))
        await visitor.send("/port-forwarding/1/enable")
        assert "The rule stays off: TCP 8186 is forwarded by rule 2 already" in visitor.text
        await visitor.get("/port-forwarding/2/delete")
        await visitor.send("/port-forwarding/2/delete")
        assert "is deleted." in visitor.text
        await visitor.send("/port-forwarding/1/enable")
        assert await rules(web) == [desktop()]


async def test_two_writers_do_not_overwrite_each_other_unseen(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await web.forwards.add(desktop())
        ada, bob = await signed_in(web, "ada"), await signed_in(web, "bob")
        await ada.get("/port-forwarding/1")
        await bob.get("/port-forwarding/1")
        await bob.send("/port-forwarding/1", host="192.168.20.11")
        page = await ada.send("/port-forwarding/1", snat="")
        assert page.status_code == 409
        assert "Destination Host IP Address 192.168.20.11 192.168.20.10" in ada.text and "SNAT yes no" in ada.text
        await ada.send("/port-forwarding/1")
        (spec,) = await rules(web)
        assert (str(spec.host), spec.snat) == (SUITE, False)


async def test_the_preset_shows_exactly_the_guides_rules_first_and_then_makes_them(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/port-forwarding/preset")
        every = ["desktop", "integration", "wallboard", "mobile", "mobile-softphone", "69xx"]
        await visitor.send("/port-forwarding/preset", host=SUITE, clients=every, step="show")
        assert await rules(web) == []
        shown = re.findall(r'<th scope="row" class="steady">TCP ([\d, ]+)</th>', visitor.html)
        assert shown == ["8186, 8187", "8188", "2001", "8200, 8204", "8185", "8190", "8202"]
        await visitor.send("/port-forwarding/preset", step="create")
        assert "The preset's rules are there, 7 of them new." in visitor.text
        made = await rules(web)
        assert [str(spec.ports) for spec in made] == shown
        assert all(spec.snat and str(spec.host) == SUITE for spec in made)
        await visitor.get("/port-forwarding/preset")
        await visitor.send("/port-forwarding/preset", host=SUITE, clients=every, step="show")
        assert "All of them are there." in visitor.text


async def test_the_preset_makes_nothing_while_one_of_its_rules_is_not_possible(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await web.forwards.add(ForwardSpec(Protocol.TCP, Ports.of(8202), parse_address("192.168.20.99")))
        visitor = await signed_in(web)
        await visitor.get("/port-forwarding/preset")
        await visitor.send("/port-forwarding/preset", host=SUITE, clients=["69xx", "mobile"], step="create")
        assert "TCP 8202 is forwarded by rule 1 already" in visitor.text
        assert len(await rules(web)) == 1
        for values in ({"host": "x", "clients": ["69xx"]}, {"host": SUITE, "clients": ""}):
            await visitor.get("/port-forwarding/preset")
            page = await visitor.send("/port-forwarding/preset", step="show", **values)
            assert page.status_code == 422


async def test_a_read_only_user_sees_the_rules_and_no_way_to_change_them(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await web.forwards.add(desktop())
        visitor = await signed_in(web, role=Role.READ_ONLY)
        await visitor.get("/port-forwarding")
        assert "8186, 8187" in visitor.text and "Add a rule" not in visitor.text and "Delete" not in visitor.text
        token = visitor.form("/sign-out")["form_token"]
        for path in ("add", "preset", "1", "1/disable", "1/delete"):
            answer = await visitor.client.post(f"/port-forwarding/{path}", data={"form_token": token})
            assert answer.status_code == 403, path
        assert await rules(web) == [desktop()]


async def test_hostile_descriptions_are_shown_as_text(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await web.forwards.add(desktop(description="<script>alert(1)</script>"))
        visitor = await signed_in(web)
        for path in ("/port-forwarding", "/port-forwarding/1", "/port-forwarding/1/delete"):
            await visitor.get(path)
            assert "<script>alert" not in visitor.html and "alert(1)" in visitor.html
