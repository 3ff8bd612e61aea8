"""`opx gateway` on the command line."""

import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from opx.gateway.commands import app
from support.gateway_store import stored_bytes

SETTINGS = """\
[set_side]
address = "127.0.10.1"
[icp_side]
address = "127.0.20.1"
"""
SECRET = "Set-Side-7secret"
NO_GATEWAY = "(no gateway is running here; it takes this over at its next start)\n"


class Cli:
    """Runs commands on the settings in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "gateway.toml").write_text(SETTINGS)
        (folder / "password").write_text(SECRET + "\n")

    def run(self, *arguments: str, stdin: str = "") -> Result:
        environment = {"OPX_GATEWAY_CONFIG": str(self.folder / "gateway.toml")}
        result = CliRunner().invoke(app, arguments, input=stdin, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def done(self, *arguments: str, stdin: str = "") -> str:
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, *arguments: str, stdin: str = "", status: int = 1) -> str:
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.output

    def add(self, username: str = "tw1", *more: str) -> str:
        password = str(self.folder / "password")
        return self.done("device", "add", username, "--icp", "Node 1", "--password-file", password, *more)

    def query(self, text: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.folder / "gateway.db") as connection:
            return connection.execute(text).fetchall()


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path)
    cli.done("icp", "add", "Node 1", "10.0.0.20")
    return cli


@contextmanager
def gateway(folder: Path, answer: dict[str, object]) -> Iterator[list[object]]:
    """Something that listens as a running gateway does; what it was asked."""
    told: list[object] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "gateway.sock"))
        server.listen()

        def serve() -> None:
            link, _ = server.accept()
            with link, link.makefile("rwb") as lines:
                question = json.loads(lines.readline())
                told.append(question["ask"])
                lines.write(json.dumps({"id": question["id"], **answer}).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield told
        finally:
            thread.join()
    (folder / "gateway.sock").unlink()


def test_icps_are_added_changed_listed_and_removed(cli: Cli) -> None:
    assert cli.done("icp", "add", "Node 1", "10.0.0.21", "--transport", "tcp") == (
        "ICP Node 1: TCP 10.0.0.21:5060\n" + NO_GATEWAY
    )
    assert "10.0.0.21" in cli.done("icp", "list")
    assert cli.done("icp", "remove", "Node 1").startswith("ICP Node 1 is removed\n")
    assert "10.0.0.21" not in cli.done("icp", "list")
    assert cli.refused("icp", "remove", "Node 1") == "there is no ICP Node 1\n"


def test_an_icp_that_is_not_allowed_is_refused(cli: Cli) -> None:
    assert "::1 is IPv6; expected IPv4" in cli.refused("icp", "add", "Node 2", "::1")
    assert cli.refused("icp", "add", "Node 2", "node", "--transport", "tls") == (
        "'TLS' is no transport; expected UDP or TCP\n"
    )


def test_an_icp_in_use_is_not_removed(cli: Cli) -> None:
    cli.add()

    assert cli.refused("icp", "remove", "Node 1") == "devices still use ICP Node 1\n"


def test_a_device_is_added_from_a_password_file(cli: Cli) -> None:
    output = cli.add("tw1", "--icp-username", "1001", "--description", "At [/home] [red]")

    assert output == "device tw1, id 1, revision 1\n" + NO_GATEWAY
    listed = cli.done("device", "list")
    assert "1001" in listed
    assert "At [/home] [red]" in listed


def test_a_password_is_asked_for_twice_and_never_shown(cli: Cli) -> None:
    output = cli.done("device", "add", "tw1", "--icp", "Node 1", stdin=f"{SECRET}\n{SECRET}\n")

    assert "Set-side password:" in output
    assert SECRET not in output
    assert cli.query("SELECT set_username FROM device") == [("tw1",)]


def test_a_password_can_come_from_standard_input(cli: Cli) -> None:
    output = cli.done("device", "add", "tw1", "--icp", "Node 1", "--password-stdin", stdin=f"{SECRET}\n")

    assert output == "device tw1, id 1, revision 1\n" + NO_GATEWAY
    (cli.folder / "password").unlink()
    assert SECRET.encode() not in stored_bytes(cli.folder)
    assert "standard input holds no password" in cli.refused(
        "device", "add", "tw2", "--icp", "Node 1", "--password-stdin"
    )


def test_a_password_made_up_is_shown_once_and_stored_nowhere_in_clear(cli: Cli) -> None:
    output = cli.done("device", "add", "tw1", "--icp", "Node 1", "--generate")

    password = output.partition("set-side password (shown this once): ")[2].splitlines()[0]
    assert len(password) >= 20
    assert password.encode() not in stored_bytes(cli.folder)
    assert password not in cli.done("device", "list")


def test_no_option_takes_a_password(cli: Cli) -> None:
    for command in (("add", "tw1", "--icp", "Node 1"), ("set-password", "tw1")):
        for option in ("--password", "--icp-password"):
            assert "No such option" in cli.refused("device", *command, option, SECRET, status=2)


def test_a_password_comes_from_one_place(cli: Cli) -> None:
    password = str(cli.folder / "password")
    for options in (("--generate", "--password-stdin"), ("--generate", "--password-file", password)):
        assert cli.refused("device", "add", "tw1", "--icp", "Node 1", *options, status=2)
        assert cli.refused("device", "set-password", "tw1", *options, status=2)


def test_a_password_file_that_is_not_there_is_named(cli: Cli) -> None:
    output = cli.refused("device", "add", "tw1", "--icp", "Node 1", "--password-file", "/nowhere/password")

    assert output == (
        "/nowhere/password cannot be read (No such file or directory); expected a file with the password\n"
    )


def test_a_weak_password_is_refused_unless_that_is_permitted(cli: Cli) -> None:
    (cli.folder / "password").write_text("tw1-password")
    arguments = ("device", "add", "tw1", "--icp", "Node 1", "--password-file", str(cli.folder / "password"))

    assert cli.refused(*arguments) == "the set-side password is weak: it holds the user name\n"
    (cli.folder / "gateway.toml").write_text("permit_weak_passwords = true\n" + SETTINGS)
    cli.done(*arguments)


def test_passwords_of_both_sides_can_be_changed(cli: Cli) -> None:
    cli.add()
    cli.add("tw1", "--icp-username", "1001")
    secrets_of = "SELECT set_ha1, icp_password FROM device"
    before = cli.query(secrets_of)

    output = cli.done("device", "set-password", "tw1", "--side", "icp", stdin="From-pbx-8\nFrom-pbx-8\n")
    assert "ICP-side password:" in output
    assert "device tw1, id 1, revision 3\n" in output
    assert "From-pbx-8" not in output
    middle = cli.query(secrets_of)
    output = cli.done("device", "set-password", "tw1", "--generate")
    assert "device tw1, id 1, revision 4\n" in output
    assert len({before[0][1], middle[0][1]}) == 2
    assert cli.query(secrets_of)[0][0] != middle[0][0]


def test_the_icp_side_password_of_a_new_device_can_be_asked_for(cli: Cli) -> None:
    output = cli.done(
        "device",
        "add",
        "tw1",
        "--icp",
        "Node 1",
        "--password-file",
        str(cli.folder / "password"),
        "--ask-icp-password",
        stdin="From-pbx-8\nFrom-pbx-8\n",
    )

    assert "ICP-side password:" in output
    assert "From-pbx-8" not in output
    assert b"From-pbx-8" not in stored_bytes(cli.folder)


def test_the_pbx_decides_on_the_icp_side_password(cli: Cli) -> None:
    cli.add()

    assert cli.refused("device", "set-password", "tw1", "--side", "icp", "--generate", status=2)


def test_devices_are_disabled_enabled_and_removed(cli: Cli) -> None:
    cli.add()
    for command, enabled in (("disable", 0), ("enable", 1)):
        assert cli.done("device", command, "tw1").startswith(f"device tw1 is {command}d\n")
        assert cli.query("SELECT enabled FROM device") == [(enabled,)]
    assert cli.done("device", "remove", "tw1").startswith("device tw1 is removed\n")
    for command in ("disable", "enable", "remove", "timeline"):
        assert cli.refused("device", command, "tw1") == "there is no device tw1\n"


def test_a_timeline_shows_no_escape_sequence_of_a_stranger(cli: Cli) -> None:
    cli.add()
    with sqlite3.connect(cli.folder / "gateway.db") as connection:
        connection.execute(
            "INSERT INTO timeline_entry (device_id, at, kind, text) VALUES (1, 0, 'refusal', ?)",
            ("came as \x1b[2J[bold]x[/bold]",),
        )

    output = cli.done("device", "timeline", "tw1")

    assert "came as ?[2J[bold]x[/bold]" in output
    assert "\x1b" not in output


def test_a_file_is_imported_and_may_be_again(cli: Cli) -> None:
    file = cli.folder / "devices.toml"
    file.write_text(
        '[[icp]]\nname = "Node 2"\nhost = "node2.example"\n'
        f'[[device]]\nusername = "tw7"\npassword = "{SECRET}"\nicp = "Node 2"\n'
    )

    assert cli.done("import", str(file)) == "1 ICPs and 1 devices read, 2 of them new or changed\n" + NO_GATEWAY
    assert "0 of them new or changed" in cli.done("import", str(file))
    file.write_text(file.read_text().replace(SECRET, "weak"))
    assert cli.refused("import", str(file)).startswith(f"{file}:6: device[0].password: the set-side password is weak")


def test_a_running_gateway_is_told(cli: Cli) -> None:
    with gateway(cli.folder, {"answer": {}}) as told:
        output = cli.add()
    assert told == ["changed"]
    assert output == "device tw1, id 1, revision 1\n"


def test_a_gateway_that_cannot_take_a_change_over_is_an_error(cli: Cli) -> None:
    with gateway(cli.folder, {"error": "failed", "text": "no such column"}):
        output = cli.refused("device", "add", "tw1", "--icp", "Node 1", "--password-stdin", stdin=SECRET)
    assert "this is stored, but the running gateway could not take it over; its log says why" in output
    assert cli.query("SELECT set_username FROM device") == [("tw1",)]


def test_check_makes_nothing(tmp_path: Path) -> None:
    cli = Cli(tmp_path)

    assert f"ok       database: {tmp_path}/gateway.db: is made at the first start\n" in cli.run("check").output
    assert {path.name for path in tmp_path.iterdir()} == {"gateway.toml", "password"}


def test_check_says_when_the_database_is_behind_and_leaves_it_there(cli: Cli) -> None:
    with sqlite3.connect(cli.folder / "gateway.db") as connection:
        connection.execute("DELETE FROM alembic_version")

    assert "the next start brings it up to date" in cli.run("check").output
    assert cli.query("SELECT * FROM alembic_version") == []


@pytest.mark.parametrize("command", [("device", "list"), ("icp", "add", "Node 2", "node")])
def test_whatever_is_wrong_with_the_files_is_said_in_a_line(cli: Cli, command: tuple[str, ...]) -> None:
    key, database = cli.folder / "gateway.key", cli.folder / "gateway.db"
    good = key.read_bytes()

    key.chmod(0o644)
    assert cli.refused(*command).startswith(f"{key}: others can read the key file")
    key.chmod(0o600)
    key.write_bytes(bytes(32))
    assert "the key file does not belong to this database" in cli.refused(*command)
    key.unlink()
    assert cli.refused(*command).startswith(f"{key}: the key file is missing")
    key.write_bytes(good)
    key.chmod(0o600)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "the database is at revision 9999, which this release does not know" in cli.refused(*command)
    for path in cli.folder.glob("gateway.db*"):
        path.unlink()
    database.write_text("no database at all\n" * 100)
    assert cli.refused(*command) == f"{database}: the database cannot be used: file is not a database\n"


def test_mistakes_in_the_settings_are_named(cli: Cli) -> None:
    (cli.folder / "gateway.toml").write_text(SETTINGS + "prt = 5060\n")

    assert (
        cli.refused("device", "list") == f"{cli.folder}/gateway.toml:5: icp_side.prt: unknown key; did you mean port?\n"
    )
    (cli.folder / "gateway.toml").unlink()
    assert "gateway.toml: cannot be read: No such file or directory" in cli.refused("check")


def test_an_icp_gets_further_nodes_and_each_part_of_it_is_changed_alone(cli: Cli) -> None:
    output = cli.done("icp", "add", "Node 1", "10.0.0.20", "--node", "10.0.0.21", "--node", "pbx.example:5070/tcp")
    assert output.startswith("ICP Node 1: UDP 10.0.0.20:5060, then UDP 10.0.0.21:5060, then TCP pbx.example:5070\n")
    assert cli.done("icp", "edit", "Node 1", "--host", "pbx.example", "--any-port").startswith(
        "ICP Node 1: UDP pbx.example (SRV), then UDP 10.0.0.21:5060, then TCP pbx.example:5070\n"
    )
    assert cli.done("icp", "edit", "Node 1", "--transport", "tcp", "--node", "10.0.0.22").startswith(
        "ICP Node 1: TCP pbx.example (SRV), then UDP 10.0.0.22:5060\n"
    )
    assert cli.done("icp", "edit", "Node 1", "--no-nodes").startswith("ICP Node 1: TCP pbx.example (SRV)\n")
    assert cli.query("SELECT host, port, transport, type FROM icp") == [
        ("pbx.example", None, "TCP", "MiVoice Office 250")
    ]
    assert cli.query("SELECT * FROM icp_node") == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--node", "10.0.0.20"), "a node stands here twice; expected each once"),
        (("--node", "10.0.0.21:99999"), "99999 is no port"),
        (("--node", "10.0.0.21:sip"), "expected HOST, HOST:PORT or HOST:PORT/TCP"),
        (("--node", "10.0.0.21/sctp"), "'SCTP' is no transport"),
        (("--node", "::1"), "expected HOST, HOST:PORT or HOST:PORT/TCP"),
        (tuple(part for number in range(9) for part in ("--node", f"10.0.1.{number}")), "9 further nodes are too many"),
    ],
)
def test_further_nodes_that_are_not_allowed_are_refused(cli: Cli, options: tuple[str, ...], why: str) -> None:
    assert why in cli.refused("icp", "add", "Node 1", "10.0.0.20", *options)
    assert cli.query("SELECT host FROM icp") == [("10.0.0.20",)]


def test_what_contradicts_itself_or_names_no_icp_is_refused_when_one_is_edited(cli: Cli) -> None:
    assert "opposite" in cli.refused("icp", "edit", "Node 1", "--no-nodes", "--node", "10.0.0.21", status=2)
    assert cli.refused("icp", "edit", "Node 9", "--port", "5070") == "there is no ICP Node 9\n"
