"""The small parts on their own: sides, limits, parameters, keys, digests, look-ups of sources."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.gateway_client.errors import Slower, Unreachable
from opx.sip.digest import Algorithm, Challenge, DigestClient
from opx.suite.handsets.catalogue import MODELS, model_of
from opx.suite.handsets.http_digest import HttpDigest, Offer, Shown, hashes_of
from opx.suite.handsets.keys import Key, compressed, merge_keys, parameters_of
from opx.suite.handsets.limits import Distinct, Refusals
from opx.suite.handsets.origins import AT_ONCE, BATCH, Asked, Connection, Origins
from opx.suite.handsets.parameters import Hold, Parameter, ParameterError, locked, merge, render
from opx.suite.handsets.records import Side
from opx.suite.handsets.sides import Sides
from opx.suite.sites.records import Credentials

# --- sides


def test_the_gateways_inside_address_alone_is_the_outside() -> None:
    sides = Sides("100.64.20.10", ["192.168.0.0/16"], "192.168.20.1")
    assert sides.side_of("192.168.20.1") is Side.TELEWORKER
    assert sides.side_of("192.168.20.2") is Side.LOCAL
    assert sides.side_of("100.64.99.1") is Side.LOCAL
    for other in ("203.0.113.9", "10.0.0.1", "100.65.0.1", "::1", "", "192.168.20.1x"):
        assert sides.side_of(other) is None, other


def test_without_a_gateway_there_is_no_outside() -> None:
    assert Sides("192.168.20.10", ["192.168.0.0/16"]).side_of("") is None


def test_a_gateway_that_is_set_later_counts_at_once() -> None:
    sides = Sides("192.168.20.10", ["192.168.0.0/16"])
    assert sides.side_of("192.168.20.1") is Side.LOCAL
    sides.gateway = "192.168.20.1"
    assert sides.side_of("192.168.20.1") is Side.TELEWORKER


# --- limits


def test_refusals_are_counted_within_their_window_and_by_source() -> None:
    refused = Refusals(2, 60.0)
    assert [refused.note("a", at) for at in (0.0, 1.0)] == [1, 2]
    assert refused.too_many("a", 59.0) and not refused.too_many("a", 60.5) and not refused.too_many("b", 2.0)


def test_a_source_that_is_not_known_is_not_counted() -> None:
    refused, unknown = Refusals(1, 60.0), Distinct(1, 60.0)
    for _ in range(5):
        refused.note("", 0.0)
    assert not refused.too_many("", 0.0)
    assert [unknown.note("", name, 0.0) for name in "ab"] == [(0, True), (0, True)]


def test_a_source_names_so_many_different_things_and_the_same_ones_again() -> None:
    unknown = Distinct(2, 60.0)
    noted = [unknown.note("s", name, 0.0) for name in ("a", "b", "c", "a")]
    assert noted == [(1, True), (2, True), (2, False), (2, True)]
    assert unknown.note("s", "c", 61.0) == (1, True)


# --- parameters


def test_a_later_layer_stands_at_the_place_of_the_first() -> None:
    low = [Parameter("tone set", "US"), Parameter("dhcp", True)]
    high = [Parameter("Tone Set", "UK", Hold.LOCKED), Parameter("lldp", False)]
    lines = [parameter.line() for parameter in merge(low, high)]
    assert lines == ["!Tone Set: UK", "dhcp: 1", "lldp: 0"]
    assert [parameter.line() for parameter in locked(low)] == ["!tone set: US", "!dhcp: 1"]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("x+#|xx+*", 'n: "x+#|xx+*"'),
        ("", "n:"),
        (" a", 'n: " a"'),
        ("a;b=c,d", "n: a;b=c,d"),
        ("Zoë", "n: Zoë"),
        (-60, "n: -60"),
    ],
)
def test_a_value_is_quoted_where_it_would_mean_something_else(value: str | int, line: str) -> None:
    assert Parameter("n", value).line() == line


@pytest.mark.parametrize("value", ['a"b', "a\nadmin password: 1", "a\r", "a\x00", "a\u2028b", "x" * 600])
def test_a_value_that_would_break_the_file_is_refused_without_being_told(value: str) -> None:
    with pytest.raises(ParameterError) as error:
        render("c", [Parameter("sip line1 password", value)])
    assert "sip line1 password" in str(error.value) and value not in str(error.value)


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "#a", "!a", "a ", "ä"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ParameterError):
        render("c", [Parameter(name, 1)])


@given(
    st.lists(st.tuples(st.from_regex(r"[a-z][a-z0-9 ]{0,10}[a-z]", fullmatch=True), st.text(max_size=30)), max_size=8)
)
def test_a_file_has_as_many_lines_as_parameters_whatever_their_values(pairs: list[tuple[str, str]]) -> None:
    parameters = merge([Parameter(name, value) for name, value in pairs])
    try:
        text = render("comment", parameters).decode()
    except ParameterError:
        return
    assert text.count("\n") == len(text.splitlines()) == len(parameters) + 1


# --- keys


def test_keys_are_merged_by_their_place_the_handsets_last() -> None:
    default = [Key("top", 1, "line", line=1), Key("top", 3, "blf", "2002")]
    model, handset = [Key("top", 3, "speeddial", "2003")], [Key("bottom", 1, "dnd"), Key("top", 3, "none")]
    merged = merge_keys(default, model, handset)
    assert [(key.location, key.number, key.type) for key in merged] == [
        ("bottom", 1, "dnd"),
        ("top", 1, "line"),
        ("top", 3, "none"),
    ]
    assert [(key.location, key.number) for key in compressed(merged)] == [("bottom", 1), ("top", 1), ("top", 2)]


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("6930", ["topsoftkey1", "topsoftkey22", "softkey1", "expmod1 key84"]),
        ("6920", ["topsoftkey1", "softkey1", "expmod1 key84"]),
        ("6970", ["topsoftkey1", "topsoftkey22"]),
        ("6910", ["prgkey1"]),
        ("6739i", ["softkey1", "softkey22", "softkey1"]),
    ],
)
def test_what_a_model_has_no_room_for_is_left_out(model: str, names: list[str]) -> None:
    keys = [
        Key("top", 1, "blf", "1", free=True),
        Key("top", 22, "blf", "2", free=True),
        Key("top", 99, "blf", "3", free=True),
        Key("bottom", 1, "dnd", free=True),
        Key("expmod1", 84, "blf", "4", free=True),
        Key("expmod3", 85, "blf", "5", free=True),
    ]
    found = [parameter.name for parameter in parameters_of(keys, model_of(model))]
    assert [name.removesuffix(" type") for name in found if name.endswith(" type")] == names


def test_a_key_set_centrally_is_locked_and_a_free_one_is_not() -> None:
    key = Key("top", 2, "blf", "2002", "Anna", 1, ("idle", "connected"))
    lines = [parameter.line() for parameter in parameters_of([key], MODELS["6930"])]
    assert lines == [
        "!topsoftkey2 type: blf",
        "!topsoftkey2 value: 2002",
        "!topsoftkey2 label: Anna",
        "!topsoftkey2 line: 1",
        "!topsoftkey2 states: idle connected",
        "!topsoftkey2 locked: 1",
    ]
    free = parameters_of([Key("top", 2, "none", free=True)], MODELS["6930"])
    assert [parameter.line() for parameter in free] == ["topsoftkey2 type: none"]


# --- digests

OWN = Credentials("opx-1400e9123456", "aVeryLongPassword123")
HASHES = hashes_of(OWN)


def offered(
    digest: HttpDigest, credentials: Credentials, uri: str = "/a.cfg", target: str = "/a.cfg", at: float = 0.0
) -> Offer | None:
    challenges = [Challenge.parse(value) for _, value in digest.challenges(0.0)]
    header = DigestClient(credentials.name, credentials.password).answer(challenges, "GET", uri)
    assert header is not None
    return digest.read([header[1]], "GET", target, at)


@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256",), ("SHA-256", "MD5")])
def test_the_right_credentials_are_right_with_each_algorithm(algorithms: tuple[str, ...]) -> None:
    digest = HttpDigest(algorithms, 300.0)
    assert len(digest.challenges(0.0)) == len(algorithms)
    offer = offered(digest, OWN)
    assert offer is not None and digest.check(offer, OWN.name, HASHES) is Shown.RIGHT


@pytest.mark.parametrize(
    "wrong", [Credentials(OWN.name, "x"), Credentials("x", OWN.password), Credentials(OWN.name.upper(), OWN.password)]
)
def test_each_field_must_be_right(wrong: Credentials) -> None:
    digest = HttpDigest(("MD5",), 300.0)
    offer = offered(digest, wrong)
    assert offer is not None and digest.check(offer, OWN.name, HASHES) is Shown.NOTHING


@pytest.mark.parametrize(
    "change",
    [
        {"username": "opx-1400e9123457"},
        {"realm": "OPX"},
        {"nonce": "A" * 36},
        {"uri": "/b.cfg"},
        {"response": "0" * 32},
        {"response": ""},
        {"qop": ""},
        {"cnonce": "0"},
        {"cnonce": ""},
        {"nc": "00000002"},
        {"nc": ""},
        {"algorithm": Algorithm.SHA256},
    ],
    ids=lambda change: "-".join(change),
)
def test_a_header_with_one_field_changed_shows_nothing(change: dict[str, Any]) -> None:
    digest = HttpDigest(("MD5", "SHA-256"), 300.0)
    challenge = Challenge.parse(digest.challenges(0.0)[0][1])
    header = DigestClient(OWN.name, OWN.password).answer([challenge], "GET", "/a.cfg")
    assert header is not None
    right = digest.read([header[1]], "GET", "/a.cfg", 0.0)
    assert right is not None and digest.check(right, OWN.name, HASHES) is Shown.RIGHT
    changed = replace(right.authorization, **change).header_value()
    wrong = digest.read([changed], "GET", "/a.cfg", 0.0)
    assert wrong is None or digest.check(wrong, OWN.name, HASHES) is Shown.NOTHING


def test_who_has_no_digest_is_checked_all_the_same_and_never_right() -> None:
    digest = HttpDigest(("MD5",), 300.0)
    offer = offered(digest, Credentials("", ""))
    assert offer is not None and digest.check(offer, "", None) is Shown.NOTHING


def test_a_nonce_ends_and_right_credentials_are_told_so() -> None:
    digest = HttpDigest(("MD5",), 300.0)
    old, forged = offered(digest, OWN, at=301.0), offered(HttpDigest(("MD5",), 300.0), OWN)
    assert old is not None and digest.check(old, OWN.name, HASHES) is Shown.STALE
    assert old is not None and digest.check(old, OWN.name, hashes_of(Credentials(OWN.name, "x"))) is Shown.NOTHING
    assert forged is not None
    header = forged.authorization.header_value()
    again = digest.read([header], "GET", "/a.cfg", 0.0)
    assert again is not None and digest.check(again, OWN.name, HASHES) is Shown.STALE


def test_credentials_for_another_address_another_method_or_given_twice_are_none() -> None:
    digest = HttpDigest(("MD5",), 300.0)
    assert offered(digest, OWN, target="/b.cfg") is None
    assert offered(digest, OWN, target="/a.cfg?x=1") is None
    offer = offered(digest, OWN, uri="https://suite:8202/a.cfg")
    assert offer is not None and digest.check(offer, OWN.name, HASHES) is Shown.RIGHT
    header = offer.authorization.header_value()
    post = digest.read([header], "POST", "/a.cfg", 0.0)
    assert post is not None and digest.check(post, OWN.name, HASHES) is Shown.NOTHING
    assert digest.read([header, header], "GET", "/a.cfg", 0.0) is None


@pytest.mark.parametrize(
    "change", [("qop=auth", "qop=auth-int"), ("algorithm=MD5", "algorithm=SHA-512"), ("OPX", "XPO")]
)
def test_what_was_not_offered_is_none(change: tuple[str, str]) -> None:
    digest = HttpDigest(("MD5",), 300.0)
    offer = offered(digest, OWN)
    assert offer is not None
    assert digest.read([offer.authorization.header_value().replace(*change)], "GET", "/a.cfg", 0.0) is None


@given(st.text(max_size=200))
def test_whatever_stands_in_the_header_raises_nothing(value: str) -> None:
    digest = HttpDigest(("MD5",), 300.0)
    offer = digest.read([f"Digest {value}"], "GET", "/a.cfg", 0.0)
    assert offer is None or digest.check(offer, OWN.name, HASHES) is not Shown.RIGHT


def test_hashes_are_of_both_algorithms() -> None:
    assert set(HASHES) == set(Algorithm)


# --- true sources


class Gateway:
    def __init__(self) -> None:
        self.asked: list[int] = []
        self.trouble: Exception | None = None
        self.clock = 0.0

    async def look_up(self, asked: Sequence[Asked]) -> list[str | None]:
        self.asked.append(len(asked))
        if self.trouble is not None:
            raise self.trouble
        return [None if peer[1] == 1 else f"198.51.100.{peer[1] % 250}" for peer, _ in asked]

    def origins(self) -> tuple[Origins, list[str]]:
        said: list[str] = []
        return Origins(self.look_up, 5.0, said.append, monotonic=lambda: self.clock), said


def connection(port: int) -> Connection:
    return Connection(("192.168.20.1", port), ("192.168.20.10", 8202), True)


async def test_many_connections_are_asked_for_at_once_and_each_once() -> None:
    gateway = Gateway()
    origins, _ = gateway.origins()
    connections = [connection(port) for port in range(2, BATCH + 102)]
    found = await asyncio.gather(*(origins.of(one) for one in [*connections, *connections]))
    assert found[:2] == ["198.51.100.2", "198.51.100.3"] and sum(gateway.asked) == BATCH + 100
    assert len(gateway.asked) <= 4
    await origins.stop()


async def test_while_the_gateway_answers_those_that_come_are_gathered() -> None:
    gateway, answering = Gateway(), asyncio.Event()

    async def slowly(asked: Sequence[Asked]) -> Sequence[str | None]:
        await answering.wait()
        return await gateway.look_up(asked)

    origins = Origins(slowly, 60.0, sleep=lambda seconds: asyncio.sleep(0))
    waiting = []
    for port in range(2, 42):
        waiting.append(asyncio.create_task(origins.of(connection(port))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    answering.set()
    await asyncio.gather(*waiting)
    assert len(gateway.asked) <= AT_ONCE + 1 and sum(gateway.asked) == 40
    await origins.stop()


async def test_a_connection_that_the_gateway_does_not_know_has_no_source() -> None:
    origins, said = Gateway().origins()
    assert await origins.of(connection(1)) == "" and said == [""]
    await origins.stop()


@pytest.mark.parametrize("trouble", [Unreachable("no answer"), Slower("slower", 3.0)])
async def test_what_fails_is_said_once_and_not_asked_again_at_once(trouble: Exception) -> None:
    gateway = Gateway()
    gateway.trouble = trouble
    origins, said = gateway.origins()
    assert [await origins.of(connection(port)) for port in (5, 6)] == ["", ""]
    assert (len(gateway.asked), said, origins.trouble) == (1, [str(trouble)], str(trouble))
    gateway.trouble, gateway.clock = None, 31.0
    assert await origins.of(connection(7)) == "198.51.100.7"
    assert said == [str(trouble), ""]
    await origins.stop()


async def test_a_request_that_goes_away_takes_the_answer_from_nobody() -> None:
    gateway = Gateway()
    origins, _ = gateway.origins()
    one = connection(9)
    first, second = asyncio.create_task(origins.of(one)), asyncio.create_task(origins.of(one))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "198.51.100.9"
    await origins.stop()
