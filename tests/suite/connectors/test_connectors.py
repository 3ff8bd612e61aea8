"""What every connector does, tried on all of them, and what each says when something is wrong."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from opx.pinning import fetch_fingerprint
from opx.suite.connectors.connector import Connector, ConnectorError, NotPossible, OtherCertificate
from opx.suite.connectors.csv_file import CsvError, CsvFile, parse
from opx.suite.connectors.opx_node import OpxNode, fingerprint_at
from opx.suite.sites.records import Credentials, ReadExtension
from support.live import LiveSite, live_office
from support.network import LoopbackNetwork

EXTENSIONS = """
[[extension]]
number = "1500"
name = "Hot desk"
type = "SIP hot desk"
password = "icp-1500-Secret"
"""


@dataclass
class Rig:
    """A PBX with 1101, and 1500 for hot desking; `take_away` lets nothing of it be read any more."""

    connector: Connector
    node: str
    take_away: Callable[[], Awaitable[None]]


async def over_https(site: LiveSite) -> OpxNode:
    url = f"https://{site.pbx_address}:8445/"
    token = (site.folder / "pbx.token").read_text()
    return OpxNode(url, await fingerprint_at(url), token, site.network.at("20.10"))


@pytest.fixture(params=["opx", "csv"])
async def rig(request: pytest.FixtureRequest, loopback: LoopbackNetwork, tmp_path: Path) -> AsyncIterator[Rig]:
    if request.param == "csv":
        file = tmp_path / "extensions.csv"
        file.write_text(
            "Number;Name;Authorization name;Password;Hot desk;Node\n"
            "1101;;1101;icp-1101-Secret;no;10.9.8.20\n"
            "1500;Hot desk;;icp-1500-Secret;yes;10.9.8.20\n"
        )

        async def remove() -> None:
            file.unlink()

        yield Rig(CsvFile(file), "10.9.8.20", remove)
        return
    async with live_office(loopback, tmp_path, ["1101"], EXTENSIONS) as site:
        connector = await over_https(site)
        yield Rig(connector, site.pbx_address, site.pbx.stop)
        await connector.close()


async def test_a_connector_reads_every_extension_with_its_credentials(rig: Rig) -> None:
    wanted = {
        "1101": ReadExtension("1101", "", False, Credentials("1101", "icp-1101-Secret"), rig.node),
        "1500": ReadExtension("1500", "Hot desk", True, Credentials("1500", "icp-1500-Secret"), rig.node),
    }
    for _ in range(2):
        reading = await rig.connector.read()
        assert {extension.number: extension for extension in reading.extensions} == wanted
        assert set(reading.software) <= {rig.node}
    await rig.take_away()
    with pytest.raises(ConnectorError) as refused:
        await rig.connector.read()
    assert "Secret" not in str(refused.value)


async def test_a_node_tells_its_releases_and_notifies_and_every_refusal_has_words(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_office(loopback, tmp_path, ["1101"]) as site:
        connector = await over_https(site)
        reading = await connector.read()
        assert (reading.software, reading.ct_gateway) == ({site.pbx_address: "6.3 SP1"}, "5.0.64")
        assert await connector.notify("1101", "check-sync") == 480
        with pytest.raises(ConnectorError, match="no such extension"):
            await connector.notify("1102", "check-sync")
        assert await connector.registered() == frozenset()
        # An extension without a PIN, and one that is not for hot desking.
        assert await connector.check_pin("1101", "2468", "14:00:E9:00:00:01") is False
        await connector.close()

        url = f"https://{site.pbx_address}:8445/"
        wrong = OpxNode(url, await fingerprint_at(url), "wrong-token")
        with pytest.raises(ConnectorError, match="does not accept the token"):
            await wrong.read()
        await wrong.close()
        stranger = OpxNode(url, "ab" * 32, "token")
        with pytest.raises(OtherCertificate) as other:
            await stranger.read()
        assert other.value.fingerprint == await fetch_fingerprint(site.pbx_address, 8445)
        await stranger.close()


@pytest.mark.parametrize("url", ["", "http://10.0.0.20:8445/", "https://", "https://a:99999/", "https://u@10.0.0.20/"])
async def test_what_is_no_address_of_a_management_api_is_refused(url: str) -> None:
    with pytest.raises(ConnectorError, match="expected the management API's address"):
        OpxNode(url, "ab" * 32, "token")
    with pytest.raises(ConnectorError, match="expected the management API's address"):
        await fingerprint_at(url)


def test_a_node_without_pin_or_token_is_not_asked() -> None:
    with pytest.raises(ConnectorError, match="not trusted yet"):
        OpxNode("https://10.0.0.20/", "", "token")
    with pytest.raises(ConnectorError, match="token"):
        OpxNode("https://10.0.0.20/", "ab" * 32, "")


# --- CSV


async def test_phones_of_a_pbx_that_is_a_file_cannot_be_notified(tmp_path: Path) -> None:
    with pytest.raises(NotPossible):
        await CsvFile(tmp_path / "none.csv").notify("1101", "check-sync")
    with pytest.raises(NotPossible):
        await CsvFile(tmp_path / "none.csv").check_pin("1500", "2468", "")
    with pytest.raises(NotPossible):
        await CsvFile(tmp_path / "none.csv").registered()


def test_columns_come_in_any_order_and_most_may_be_missing() -> None:
    reading = parse('\ufeffpassword,NUMBER\r\n"a,b;c""",1001\r\n\r\n,1002\r\n'.encode())
    assert reading.extensions == (
        ReadExtension("1001", credentials=Credentials("1001", 'a,b;c"')),
        ReadExtension("1002"),
    )


def test_every_mistake_is_told_with_line_and_column_and_no_password() -> None:
    text = (
        "number,name,authorization name,password,hot desk,node\n"
        "1001,Anna,1001,gehe1m,no,\n"
        "x7,Ben,1002,gehe1m,no,\n"
        f"1003,{'n' * 65},1003,gehe1m\u00e4,perhaps,-\n"
        "1001,Dora,1001,gehe1m,no,\n"
        "1004,Emil,1004,,no,\n"
        "1005,Fred,1005,gehe1m,more,no,10.0.0.20\n"
        '1006,"Gerd\n'
        'Huber",a b,gehe1m,no,\n'
        "1007,Ida,1007,gehe1m,no,10.0.0.256\n"
    )
    with pytest.raises(CsvError) as refused:
        parse(text.encode())
    found = [(mistake.line, mistake.column) for mistake in refused.value.mistakes]
    assert found == [(3, 1), (4, 2), (4, 4), (4, 5), (4, 6), (5, 1), (6, 4), (7, 0), (7, 5), (8, 3), (10, 6)]
    assert "gehe1m" not in str(refused.value)
    assert "line 5, column 1: extension 1001 stands in line 2 already" in str(refused.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "line 1: there is no column number"),
        (b"1001,gehe1m\n", "line 1: there is no column number"),
        (b"number,gehe1m\n1001,x\n", "line 1, column 2: column 2 has a name that is not known"),
        (b"number,name,number\n", "line 1, column 3: there are two columns number"),
        (b"number,name\n1001,\xff\n", "line 2: is no UTF-8"),
        (b'number,password\n1001,"gehe1m" x\n', "line 2: is no CSV from here on"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(CsvError) as refused:
        parse(data)
    assert str(refused.value).startswith(said)
    assert "gehe1m" not in str(refused.value)


def test_only_so_many_mistakes_are_told_at_once() -> None:
    with pytest.raises(CsvError) as refused:
        parse(b"number\n" + b"x\n" * 1000)
    assert len(refused.value.mistakes) == 50
