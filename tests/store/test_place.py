"""Where a database is, by one setting; and no password where others could read it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import ProgrammingError

from opx.config import ConfigError, parse_settings
from opx.gateway.live_settings import at_once
from opx.gateway.settings import GatewaySettings
from opx.store.engine import is_new, open_engine
from opx.store.errors import DatabaseUnusable
from opx.store.place import Place, PostgresAddress, ServerPolicy, connect
from support.network import LoopbackNetwork
from support.postgres import ROLE, PostgresServer, needs_postgres, running_server

SIDES = '[set_side]\naddress = "127.0.10.1"\n[icp_side]\naddress = "127.0.20.1"\n'
PASSWORD = "Opx-db-7secret"


def place_of(text: str) -> Place:
    return parse_settings(GatewaySettings, f"{text}\n{SIDES}", "gateway.toml").database_place


def problem_of(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        place_of(text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("postgresql://opx@db.example.com/gateway", PostgresAddress("gateway", "db.example.com", 5432, "opx")),
        ("postgres://db.example.com:5433/gateway", PostgresAddress("gateway", "db.example.com", 5433)),
        ("postgresql:///gateway?host=/run/postgresql", PostgresAddress("gateway", "/run/postgresql")),
        ("postgresql://opx@:5433/g?host=/a%20b", PostgresAddress("g", "/a b", 5433, "opx")),
        ("postgresql:///gateway", PostgresAddress("gateway")),
        ("postgresql://a%40b@[fd00::1]:5433/x%20y", PostgresAddress("x y", "fd00::1", 5433, "a@b")),
    ],
)
def test_one_setting_names_a_server(text: str, address: PostgresAddress) -> None:
    place = place_of(f'database = "{text}"')

    assert place.server == address
    assert PostgresAddress.parse(str(address)) == address
    assert place.file is None
    assert place.policy.application == "opx gateway"


def test_without_it_the_database_is_a_file(tmp_path: Path) -> None:
    assert place_of(f'database = "{tmp_path}/a.db"') == Place(file=tmp_path / "a.db")
    assert place_of("").file == Path("gateway.db").absolute()


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://opx:Opx-db-7secret@h",
        "postgresql://opx:Opx-db-7secret@h/d",
        "postgresql://h",
        "postgresql:///",
        "postgresql://h:99999/d",
        "postgresql://h:x/d",
        "postgresql://h/d?password=Opx-db-7secret",
        "postgresql://h/d/e",
        "mysql://opx:Opx-db-7secret@h/d",
    ],
)
def test_what_is_no_place_is_refused_and_no_password_is_quoted(text: str) -> None:
    problem = problem_of(f'database = "{text}"')

    assert problem.startswith("gateway.toml:1: database: ")
    assert "expected" in problem
    assert PASSWORD not in problem


def test_settings_with_a_server_can_be_taken_apart_and_put_together_again() -> None:
    settings = parse_settings(GatewaySettings, f'database = "postgresql://opx@h/d"\n{SIDES}', "gateway.toml")

    assert at_once(settings, settings) == settings
    assert settings.model_dump(mode="json")["database"] == "postgresql://opx@h:5432/d"


def test_a_root_that_nothing_is_verified_with_is_a_mistake() -> None:
    assert "postgresql.sslrootcert: serves only to verify the server" in problem_of(
        '[postgresql]\nsslrootcert = "ca.pem"'
    )


def test_the_settings_of_the_server_reach_it_with_paths_beside_the_file(tmp_path: Path) -> None:
    text = 'database = "postgresql://h/d"\n[postgresql]\npassword_file = "db.password"\npool_size = 3\n' + SIDES
    settings = parse_settings(GatewaySettings, text, "gateway.toml").beside(tmp_path)

    assert settings.database_place.policy.password_file == tmp_path / "db.password"
    assert settings.database_place.policy.pool_size == 3


# --- a server that asks for a password


@pytest.fixture
def guarded(loopback: LoopbackNetwork) -> Iterator[PostgresServer]:
    """A server on the network that lets nobody in without the password."""
    with running_server(loopback.at("50.1")) as server:
        server.query(f"ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'")
        yield server


def over_tcp(server: PostgresServer, **policy: Any) -> Place:
    return Place(
        server=PostgresAddress("postgres", server.host, username=ROLE),
        policy=ServerPolicy(ssl_mode="disable", **policy),
    )


@needs_postgres()
async def test_the_password_comes_from_a_file_that_is_read_for_each_connection(
    guarded: PostgresServer, tmp_path: Path
) -> None:
    file = tmp_path / "db.password"
    place = over_tcp(guarded, password_file=file)

    with pytest.raises(DatabaseUnusable, match=r"db\.password cannot be read; expected the database's password in it"):
        await connect(place)
    file.write_text("\n")
    with pytest.raises(DatabaseUnusable, match=r"db\.password is empty"):
        await connect(place)
    file.write_text("Wrong-5secret\n")
    with pytest.raises(DatabaseUnusable) as refused:
        await connect(place)
    assert f"postgresql://{ROLE}@{guarded.host}:5432/postgres: the database server refuses: password" in str(
        refused.value
    )
    assert "Wrong" not in str(refused.value)
    file.write_text(PASSWORD + "\n")
    assert await is_new(place)


@needs_postgres()
async def test_postgresqls_own_password_file_serves_too(
    guarded: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pgpass"
    file.write_text(f"{guarded.host}:5432:*:{ROLE}:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))

    connection = await connect(over_tcp(guarded))
    assert await connection.fetchval("SHOW application_name") == "opx"
    assert await connection.fetchval("SHOW lock_timeout") == "10s"
    await connection.close()


@needs_postgres()
async def test_no_password_is_in_what_an_engine_says_of_itself(guarded: PostgresServer, tmp_path: Path) -> None:
    file = tmp_path / "db.password"
    file.write_text(PASSWORD)
    place = over_tcp(guarded, password_file=file)
    engine = open_engine(place)
    try:
        with pytest.raises(ProgrammingError) as failed:
            async with engine.begin() as connection:
                await connection.exec_driver_sql("SELECT $1::text FROM nowhere", ("Some-9secret",))
    finally:
        await engine.dispose()

    for text in (str(place), repr(place), repr(engine), str(engine.url), str(failed.value)):
        assert "secret" not in text


@needs_postgres()
async def test_a_server_or_database_that_is_not_there_is_named(postgres: PostgresServer, tmp_path: Path) -> None:
    nobody = Place(server=PostgresAddress("d", str(tmp_path)))
    with pytest.raises(DatabaseUnusable, match=r"postgresql:///d\?host=.*: the database server cannot be reached: "):
        await is_new(nobody)
    missing = Place(server=PostgresAddress("nothing", str(postgres.folder), username=ROLE))
    with pytest.raises(DatabaseUnusable, match='the database server refuses: database "nothing" does not exist'):
        await is_new(missing)
