"""Client Locations: saved, told, and in the suite's certificate."""

from pathlib import Path

import pytest

from opx.suite.certificates import server_certificate
from opx.suite.settings import SuiteSettings
from opx.suite.sites.records import Locations
from opx.web.certificates import read_certificates
from support.console import signed_in
from support.suite_console import open_suite_console
from support.suite_store import open_suite, suite_file


async def test_a_location_is_saved_where_the_guide_has_it(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get("/locations/remote")
        assert "Client Locations Local Remote" in visitor.text
        assert "NAT IP Address/Full Hostname" in visitor.text
        await visitor.send("/locations/remote", remote="gateway.example.com")
        await visitor.get("/locations/local")
        await visitor.send("/locations/local", local="192.168.20.10")
        assert await suite.sites.locations() == Locations("192.168.20.10", "gateway.example.com")
        await visitor.get("/audit-log")
        assert 'remote nothing to "gateway.example.com"' in visitor.text


async def test_what_is_no_host_is_refused(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        for host in ("not a host", "203.0.113.300", "https://gateway.example.com/"):
            await visitor.get("/locations/remote")
            await visitor.send("/locations/remote", remote=host)
            assert visitor.page.status_code == 422 and "is no host name or IPv4 address" in visitor.text, host


async def test_the_certificate_follows_the_locations_and_its_authority_stays(tmp_path: Path) -> None:
    settings = suite_file(tmp_path).settings(SuiteSettings)
    folder = tmp_path / "suite-certificates"

    async def one_look(seconds: float) -> None:
        if looks:
            raise StopAsyncIteration
        looks.append(seconds)

    async with open_suite(tmp_path) as sites:
        certificate = await server_certificate(settings, sites)
        certificate.open()
        authority = (folder / "ca.pem").read_bytes()
        for remote in ("203.0.113.1", "gateway.example.com", "Other.Example.org"):
            looks: list[float] = []
            await sites.save_locations(Locations("192.168.20.10", remote))
            with pytest.raises(StopAsyncIteration):
                await certificate.watch(one_look)
            names = set(read_certificates(folder / "server.pem")[0].names)
            assert names == {"127.0.20.10", "192.168.20.10", remote.lower()}
        assert (folder / "ca.pem").read_bytes() == authority


async def test_the_page_says_what_the_certificate_lacks(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        (await server_certificate(suite.settings, suite.sites)).open()
        visitor = await signed_in(suite)
        await visitor.get("/locations/remote")
        assert "has all names" in visitor.text
        await visitor.send("/locations/remote", remote="203.0.113.1")
        assert "lacks 203.0.113.1" in visitor.text and "It is being made anew." in visitor.text
