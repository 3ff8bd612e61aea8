"""ICPs and devices from a file."""

import logging
from pathlib import Path

import pytest

from opx.config import ConfigError
from opx.gateway.importing import import_file
from opx.gateway.repository import Repository
from opx.sip.digest import Algorithm, ha1
from support.gateway_store import REALM, opened

pytestmark = pytest.mark.usefixtures("each_database")

FILE = """\
[[icp]]
name = "Node 1"
type = "MiVoice Office 250"
host = "10.0.0.20"

[[device]]
username = "tw1"
password = "Set-Side-7secret"
icp = "Node 1"
icp_username = "1001"
icp_password = "Icp-Side-8secret"
description = "At home"

[[device]]
username = "1002"
password = "Other-9word"
icp = "Node 1"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "devices.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


async def imported(repository: Repository, folder: Path, text: str, *, permit_weak: bool = False) -> tuple[int, ...]:
    done = await import_file(repository, written(folder, text), permit_weak=permit_weak)
    return done.icps, done.devices, done.changed


async def problems(folder: Path, text: str) -> list[str]:
    """What is said of the file; nothing of it may have been stored."""
    async with opened(folder) as repository:
        with pytest.raises(ConfigError) as refused:
            await imported(repository, folder, text)
        assert (await repository.icps(), await repository.devices()) == ([], [])
    return [problem.removeprefix(f"{folder}/") for problem in refused.value.problems]


async def test_a_file_becomes_icps_and_devices(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        assert await imported(repository, tmp_path, FILE) == (1, 2, 3)
        (icp,) = await repository.icps()
        second, first = await repository.devices()

    assert (icp.name, icp.type, icp.host, icp.port, icp.transport) == (
        "Node 1",
        "MiVoice Office 250",
        "10.0.0.20",
        5060,
        "UDP",
    )
    assert (first.set_username, first.icp_username, first.icp_password) == ("tw1", "1001", "Icp-Side-8secret")
    assert first.set_ha1["SHA-256"] == ha1(Algorithm.SHA256, "tw1", REALM, "Set-Side-7secret")
    assert (second.icp_username, second.icp_password, second.enabled) == ("1002", "Other-9word", True)


async def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await imported(repository, tmp_path, FILE)
        before = await repository.icps(), await repository.devices()

        assert await imported(repository, tmp_path, FILE) == (1, 2, 0)
        assert (await repository.icps(), await repository.devices()) == before


async def test_only_what_differs_is_changed_and_only_new_credentials_count_as_a_revision(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await imported(repository, tmp_path, FILE)
        changed = FILE.replace("At home", "At work").replace("Other-9word", "Newer-10word").replace("10.0.0.20", "node")

        assert await imported(repository, tmp_path, changed) == (1, 2, 3)
        second, first = await repository.devices()

    assert (first.description, first.revision) == ("At work", 1)
    assert (second.icp_password, second.revision) == ("Newer-10word", 2)


async def test_nothing_is_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await imported(repository, tmp_path, FILE)
        await imported(repository, tmp_path, "")

        assert len(await repository.devices()) == 2


async def test_passwords_may_stand_in_files_and_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set.password").write_text("Set-Side-7secret\n")
    monkeypatch.setenv("OPX_TEST_ICP_PASSWORD", "Icp-Side-8secret")
    text = FILE.replace('"Set-Side-7secret"', '{ file = "set.password" }')
    text = text.replace('"Icp-Side-8secret"', '{ env = "OPX_TEST_ICP_PASSWORD" }')
    async with opened(tmp_path) as repository:
        await imported(repository, tmp_path, FILE)

        assert await imported(repository, tmp_path, text) == (1, 2, 0)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            '"Set-Side-7secret"',
            '{ file = "none" }',
            "8: device[0].password: {folder}/none cannot be read (No such",
        ),
        ('"Set-Side-7secret"', '{ file = "empty" }', "8: device[0].password: {folder}/empty is empty or too large;"),
        ('"Set-Side-7secret"', '{ file = "binary" }', "8: device[0].password: {folder}/binary is not UTF-8 text;"),
        ('"Set-Side-7secret"', '{ env = "OPX_NONE" }', "8: device[0].password: the environment has no OPX_NONE;"),
        ('"Set-Side-7secret"', "{ }", "8: device[0].password: names no place, or two; expected either file or env"),
        ('"Set-Side-7secret"', '{ file = "a", env = "B" }', "8: device[0].password: names no place, or two; expected"),
        ('"Set-Side-7secret"', "17", "8: device[0].password: is neither text nor a table; expected the password,"),
        ('"Set-Side-7secret"', '"short1"', "8: device[0].password: the set-side password is weak (it is too short);"),
        ('"Set-Side-7secret"', '""', "8: device[0].password: "),
        ('"Icp-Side-8secret"', '"a\\tb"', "11: device[0].icp_password: the ICP-side password of tw1 is not allowed;"),
        ('"tw1"', '"t w1"', "7: device[0].username: 't w1' is no set-side user name; expected 1 to 128 letters"),
        ('"1001"', '"10 01"', "10: device[0].icp_username: '10 01' is no ICP-side user name; expected"),
        ('"1001"', '"1002"', "10: device[0].icp_username: another device has the ICP-side user name 1002"),
        ('"1002"', '"tw1"', "15: device[1].username: tw1 stands here a second time; expected each once"),
        ('icp = "Node 1"\nicp_', 'icp = "Node 9"\nicp_', "9: device[0].icp: there is no ICP Node 9"),
        ('"10.0.0.20"', '"::1"', "4: icp[0].host: ::1 is IPv6; expected IPv4, media is carried over IPv4 only so far"),
        ('"10.0.0.20"', '"node"\nport = 0', "5: icp[0].port: 0 is no port; expected 1 to 65535"),
        ('"10.0.0.20"', '"node"\ntransport = "TLS"', "5: icp[0].transport: is not allowed; expected"),
        ('host = "10.0.0.20"', "", "1: icp[0].host: is missing; expected"),
        ("description", "descripton", "12: device[0].descripton: unknown key; did you mean description?"),
    ],
)
async def test_a_mistake_is_named_with_line_and_key_and_nothing_is_stored(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    found = await problems(tmp_path, FILE.replace(old, new, 1))

    assert found[0].startswith("devices.toml:" + problem.format(folder=tmp_path))
    assert not any("secret" in text or "short1" in text for text in found)


async def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = FILE.replace("tw1", "t w1").replace("Other-9word", "weak").replace("10.0.0.20", "::1")

    assert len(await problems(tmp_path, text)) == 3


async def test_weak_passwords_can_be_permitted(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        text = FILE.replace("Other-9word", "1002")
        assert await imported(repository, tmp_path, text, permit_weak=True) == (1, 2, 3)


async def test_a_file_with_passwords_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with opened(tmp_path) as repository:
        path = written(tmp_path, FILE)
        await import_file(repository, path, permit_weak=False)
        assert caplog.text == ""
        path.chmod(0o644)
        await import_file(repository, path, permit_weak=False)
    assert "devices.toml: others can read the passwords in it (chmod 600)" in caplog.text


async def test_further_nodes_of_an_icp_stand_in_its_table(tmp_path: Path) -> None:
    text = """\
[[icp]]
name = "Node 1"
host = "pbx.example"
nodes = [{ host = "10.0.0.21" }, { host = "10.0.0.22", port = 5070, transport = "TCP" }]
"""
    async with opened(tmp_path) as repository:
        await imported(repository, tmp_path, text)
        (icp,) = await repository.icps()
    assert [str(node) for node in icp.addresses] == ["pbx.example/UDP", "10.0.0.21:5060/UDP", "10.0.0.22:5070/TCP"]


async def test_a_mistake_in_a_further_node_is_named_with_its_line(tmp_path: Path) -> None:
    text = """\
[[icp]]
name = "Node 1"
host = "10.0.0.20"
nodes = [{ host = "10.0.0.20" }]
"""
    assert await problems(tmp_path, text) == [
        "devices.toml:4: icp[0].nodes: a node stands here twice; expected each once"
    ]
