"""What may be stored as an ICP or a device."""

from dataclasses import replace
from pathlib import Path

import pytest

from opx.gateway.records import IcpSpec, RepositoryError
from support.gateway_store import SPEC, opened, with_icp


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"set_username": ""}, "set_username"),
        ({"set_username": "a b"}, "set_username"),
        ({"set_username": "a@b"}, "set_username"),
        ({"set_username": "tw1\n"}, "set_username"),
        ({"set_username": "x" * 129}, "set_username"),
        ({"icp_username": "10 01"}, "icp_username"),
        ({"set_password": ""}, "set_password"),
        ({"set_password": "Secret\x00-word-1"}, "set_password"),
        ({"set_password": "\udcff-Secret-word-1"}, "set_password"),
        ({"icp_password": "x" * 129}, "icp_password"),
        ({"description": "two\nlines"}, "description"),
        ({"description": "\x1b[2J"}, "description"),
        ({"description": "x" * 256}, "description"),
        ({"icp": "Node 9"}, "icp"),
    ],
)
async def test_a_device_that_is_not_allowed_is_refused_with_its_field(
    tmp_path: Path, change: dict[str, str], field: str
) -> None:
    async with opened(tmp_path) as repository:
        await with_icp(repository)

        with pytest.raises(RepositoryError) as refused:
            await repository.put_device(replace(SPEC, **change))  # type: ignore[arg-type]

        assert refused.value.field == field
        assert "secret" not in str(refused.value).lower()
        assert await repository.devices() == []


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("2001:db8::5", "IPv6; expected IPv4"),
        ("::ffff:10.0.0.1", "IPv6; expected IPv4"),
        ("0.0.0.0", "not the address of one host"),
        ("224.0.0.1", "not the address of one host"),
        ("10.0.0.256", "no host name or address"),
        ("1.2.3", "no host name or address"),
        ("node one", "no host name or address"),
        ("node..example", "no host name or address"),
        ("-node.example", "no host name or address"),
        ("node.example:5060", "no host name or address"),
        ("x" * 64 + ".example", "no host name or address"),
        ("", "no host name or address"),
    ],
)
def test_an_icp_needs_a_host_that_can_be_reached(host: str, why: str) -> None:
    with pytest.raises(RepositoryError, match=why):
        IcpSpec("Node 1", host).check()


@pytest.mark.parametrize("host", ["10.0.0.20", "127.0.20.20", "node", "node-1.office.example", "node.example."])
def test_addresses_and_host_names_are_hosts(host: str) -> None:
    IcpSpec("Node 1", host).check()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a\tb"}, "name"),
        ({"type": "x" * 33}, "type"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"transport": "TLS"}, "transport"),
    ],
)
def test_an_icp_that_is_not_allowed_is_refused_with_its_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(RepositoryError) as refused:
        replace(IcpSpec("Node 1", "10.0.0.20"), **changes).check()  # type: ignore[arg-type]
    assert refused.value.field == field
