"""What reaches a log, and what never does."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.config import ConfigError
from opx.logging import MASK, MAX_TEXT, one_line, redact, set_up

SECRET = "Tr0ub4dor-3"


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(*, as_json: bool, level: str = "info") -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    set_up(level, as_json=as_json, stream=stream)
    return logging.getLogger("opx.trial"), stream


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        f'Authorization: Digest username="tw1", response="{SECRET}"',
        f"REGISTER sip:gw SIP/2.0\r\nProxy-Authorization:Digest nonce={SECRET}\r\nTo: x",
        f"b'Authorization: Digest response={SECRET}\\r\\nTo: x'",
        f"challenge answered with Digest username=tw1, response={SECRET}",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SECRET}",
        f"Bearer {SECRET}",
        f"password={SECRET}",
        f"icp_password = '{SECRET}'",
        f'{{"token": "{SECRET}", "x": 1}}',
        f"ha1: {SECRET}",
        f"client_secret={SECRET}&x=1",
        f"INVITE sip:100:{SECRET}@10.0.0.1",
        f"postgresql+asyncpg://opx:{SECRET}@db/opx",
    ],
)
def test_a_secret_in_a_text_is_masked(text: str, as_json: bool) -> None:
    log, stream = logged(as_json=as_json)
    log.warning("got %s", text)
    assert SECRET not in stream.getvalue()
    assert MASK in stream.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("key", ["password", "icp_password", "client_secret", "ha1", "access-token", "Authorization"])
def test_a_value_under_a_secret_name_is_masked_at_any_depth(key: str, as_json: bool) -> None:
    log, stream = logged(as_json=as_json)
    log.warning("got it", extra={"details": [{key: SECRET}], key: SECRET})
    assert stream.getvalue().count(MASK) == 2
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_secret_in_an_exception_is_masked(as_json: bool) -> None:
    log, stream = logged(as_json=as_json)
    try:
        raise ValueError(f"cannot use password={SECRET} here")
    except ValueError:
        log.exception("it failed")
    assert "ValueError: cannot use" in stream.getvalue()
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "gateway: set side UDP 127.0.10.1:5060, ICP side UDP [::1]:5060",
        "device sip:1001@10.0.0.1:5060 registered, expires in 300 s",
        "password_file = /etc/opx/password",
        "Digest was stale, Basic settings hold",
        "at 12:30:05 tw1@home",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(None, "info", {"event": text})["event"] == text


def test_a_line_for_people_holds_time_level_text_and_origin() -> None:
    log, stream = logged(as_json=False)
    log.warning("ICP %s does not answer", "Node 1")
    line = stream.getvalue()
    assert line.endswith("ICP Node 1 does not answer [opx.trial]\n")
    assert "[warning  ]" in line


def test_a_line_of_json_holds_the_same_as_fields() -> None:
    log, stream = logged(as_json=True)
    log.warning("ICP %s does not answer", "Node 1", extra={"device": "tw1"})
    fields = json.loads(stream.getvalue())
    assert fields.pop("timestamp").endswith("Z")
    assert fields == {
        "event": "ICP Node 1 does not answer",
        "level": "warning",
        "logger": "opx.trial",
        "device": "tw1",
    }


def test_what_is_below_the_level_is_not_logged() -> None:
    log, stream = logged(as_json=False, level="warning")
    log.info("nothing")
    assert stream.getvalue() == ""


def test_an_unknown_level_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'loud': unknown; expected one of debug, info, warning, error"):
        set_up("loud")


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_stranger_sent_begins_no_line_and_steers_no_terminal(as_json: bool) -> None:
    log, stream = logged(as_json=as_json)
    log.info("from %s", "x\n2030-01-01 [error] forged\x1b[2J\u2028y\x9b")
    assert len(stream.getvalue().splitlines()) == 1
    assert not set("\x1b\x9b\u2028") & set(stream.getvalue())


@given(st.text())
def test_no_control_character_survives_in_any_text(text: str) -> None:
    written = one_line(None, "info", {"event": text, "exception": text})
    event, exception = written["event"], written["exception"]
    assert isinstance(event, str)
    assert isinstance(exception, str)
    assert len(event.splitlines()) <= 1
    assert all(line.startswith("    ") for line in exception.splitlines())


@pytest.mark.parametrize("piece", ["a-", "password", "sip:a:", "Authorization:", "Digest a=", "token=x "])
def test_a_text_of_any_length_makes_a_line_of_bounded_length(piece: str) -> None:
    text = redact(None, "info", {"event": piece * MAX_TEXT})["event"]
    assert isinstance(text, str)
    assert text.startswith(piece[:5])
    assert len(text) < 2 * MAX_TEXT
