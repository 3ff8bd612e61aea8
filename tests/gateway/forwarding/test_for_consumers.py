"""The rules and origins as the web services have them, from the database and the running gateway."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from opx.gateway.control.client import ControlClient
from opx.gateway.control.protocol import Changed, Done
from opx.gateway.control.server import ControlServer, Handler
from opx.gateway.forwarding.desk import ForwardingDesk
from opx.gateway.web.forwards import KeptForwards
from opx.gateway.webservices.ports import (
    ForwardOutdated,
    ForwardRefused,
    Forwards,
    ForwardUnknown,
    ForwardWish,
    OriginState,
    OriginUnknown,
)
from support.forwarding_office import Office


@pytest.fixture
async def server(office: Office) -> AsyncIterator[ControlServer]:
    async def changed(question: Changed) -> Done:
        await office.forwarding.changed()
        return Done()

    handlers = {**ForwardingDesk(office.forwarding).handlers, Changed.name: Handler(Changed, changed)}
    made = ControlServer(office.socket, handlers)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def forwards(office: Office) -> AsyncIterator[Forwards]:
    control = ControlClient(office.socket)
    yield KeptForwards(office.rules, control)
    await control.close()


def wish(office: Office, ports: str = "8185") -> ForwardWish:
    return ForwardWish("TCP", ports, office.hosts.host, None, True, ("127.0.0.0/8",), "Mobile", True, False)


@pytest.mark.usefixtures("server")
async def test_a_rule_of_a_consumer_is_in_force_when_it_is_answered(office: Office, forwards: Forwards) -> None:
    made = await forwards.add(wish(office))
    assert (made.version, made.wish, made.in_force, made.trouble) == (1, wish(office), True, "")
    assert await forwards.all() == [made] == [await forwards.get(made.id)]
    listener = office.hosts.listener(8185)
    client = await office.hosts.connect(8185)
    _, source = await office.hosts.accept(listener)
    address, port = client.getsockname()
    assert await forwards.origin("TCP", source, (office.hosts.host, 8185)) == OriginState(address, port, 8185, made.id)
    assert await forwards.origin("UDP", source, None) is None
    many = [(source, (office.hosts.host, 8185)), ((source[0], 1), (office.hosts.host, 8185))]
    assert await forwards.origins_of("TCP", many) == [OriginState(address, port, 8185, made.id), None]
    changed = await forwards.change(made.id, 1, replace(wish(office), snat=False))
    assert (changed.version, changed.in_force) == (2, False)
    assert "nftables driver" in changed.trouble and "teleworkers" in changed.warnings[0]
    with pytest.raises(ForwardOutdated):
        await forwards.change(made.id, 1, wish(office))
    with pytest.raises(ForwardOutdated):
        await forwards.remove(made.id, 1)
    await forwards.remove(made.id, 2)
    with pytest.raises(ForwardUnknown):
        await forwards.get(made.id)


async def test_without_a_gateway_rules_are_kept_and_origins_are_not_known(office: Office, forwards: Forwards) -> None:
    made = await forwards.add(wish(office))
    assert made.in_force is None and "no gateway listens" in made.trouble
    with pytest.raises(OriginUnknown, match="no gateway listens"):
        await forwards.origin("TCP", ("127.0.0.1", 1), None)


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("ports", {"ports": "5060"}),
        ("ports", {"ports": "x"}),
        ("host", {"host": "suite"}),
        ("sources", {"sources": ("10.0.0.1/8",)}),
        ("description", {"description": "a\nb"}),
        ("host_port", {"host_port": 0}),
    ],
)
async def test_a_refusal_names_the_field(
    office: Office, forwards: Forwards, field: str, more: dict[str, object]
) -> None:
    with pytest.raises(ForwardRefused) as caught:
        await forwards.add(replace(wish(office), **more))  # type: ignore[arg-type]
    assert caught.value.field == field and str(caught.value)
