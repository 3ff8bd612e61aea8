"""Digest authentication, both sides."""

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.sip.digest import (
    Algorithm,
    Authorization,
    Challenge,
    DigestClient,
    DigestVerifier,
    Verdict,
    ha1,
    response_of,
)
from opx.sip.errors import RemoteProtocolError
from opx.sip.nonces import NonceIssuer, NonceVerdict

REALM = "office.example"
URI = "sip:office.example"


def secret_of(username: str, algorithm: Algorithm) -> str | None:
    return ha1(algorithm, username, REALM, "right") if username == "alice" else None


class Door:
    """A verifier with a clock."""

    def __init__(self, *algorithms: Algorithm) -> None:
        self.issuer = NonceIssuer(b"secret", 60.0)
        self.verifier = DigestVerifier(REALM, self.issuer, algorithms or tuple(Algorithm))
        self.now = 1000.0

    def challenges(self) -> list[Challenge]:
        return [Challenge.parse(value) for _, value in self.verifier.challenges(self.now)]

    def knock(self, value: str, method: str = "REGISTER", uri: str = URI) -> Verdict:
        return self.verifier.verify(method, [value], secret_of, self.now, uri)


def answer(door: Door, username: str = "alice", password: str = "right") -> str:
    header = DigestClient(username, password).answer(door.challenges(), "REGISTER", URI)
    assert header is not None and header[0] == "authorization"
    return header[1]


def test_the_examples_of_rfc_7616() -> None:
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    for algorithm, expected in (
        (Algorithm.MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm.SHA256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        secret = ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
        assert response_of(algorithm, secret, "GET", "/dir/index.html", nonce, "00000001", cnonce, "auth") == expected


def test_the_example_of_rfc_2069_without_qop() -> None:
    secret = ha1(Algorithm.MD5, "Mufasa", "testrealm@host.com", "CircleOfLife")
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    response = response_of(Algorithm.MD5, secret, "GET", "/dir/index.html", nonce, "", "", "")
    assert response == "1949323746fe6a43ef61f9606e7febea"


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_right_password_opens(algorithm: Algorithm) -> None:
    door = Door(algorithm)
    assert door.knock(answer(door)).ok


def test_challenges_come_in_the_order_of_the_setting_and_the_client_takes_the_strongest() -> None:
    door = Door(Algorithm.MD5, Algorithm.SHA256)
    assert [challenge.algorithm for challenge in door.challenges()] == [Algorithm.MD5, Algorithm.SHA256]
    assert Authorization.parse(answer(door)).algorithm is Algorithm.SHA256


def test_an_algorithm_that_is_not_allowed_is_refused() -> None:
    door = Door(Algorithm.SHA256)
    value = answer(Door(Algorithm.MD5))
    assert not door.knock(value).ok


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_other_user_or_password_opens(username: str, password: str) -> None:
    door = Door()
    if (username, password) != ("alice", "right"):
        assert not door.knock(answer(door, username, password)).ok


@pytest.mark.parametrize("name", ["username", "realm", "nonce", "uri", "response", "cnonce", "nc", "qop"])
def test_any_altered_field_closes(name: str) -> None:
    door = Door()
    good = Authorization.parse(answer(door))
    values = {field.name: getattr(good, field.name) for field in dataclasses.fields(good)}
    values[name] = {"nc": "00000002", "qop": "auth-int", "nonce": door.issuer.issue(door.now)}.get(name, "changed")
    assert not door.knock(Authorization(**values).header_value()).ok
    assert door.knock(good.header_value()).ok


def test_another_method_or_host_closes() -> None:
    door = Door()
    assert not door.knock(answer(door), method="INVITE").ok
    assert not door.knock(answer(door), uri="sip:other.example").ok


def test_credentials_are_taken_once() -> None:
    door = Door()
    value = answer(door)
    assert door.knock(value).ok
    again = door.knock(value)
    assert not again.ok and again.stale


def test_a_nonce_serves_again_with_a_higher_count_only() -> None:
    door = Door()
    client = DigestClient("alice", "right")
    assert client.again("REGISTER", URI) is None
    client.answer(door.challenges(), "REGISTER", URI)
    second = client.again("REGISTER", URI)
    third = client.again("REGISTER", URI)
    assert second is not None and third is not None
    assert door.knock(third[1]).ok
    assert not door.knock(second[1]).ok


def test_right_credentials_on_an_expired_nonce_are_stale_and_wrong_ones_are_not() -> None:
    door = Door()
    right, wrong = answer(door), answer(door, password="wrong")
    door.now += 61
    assert door.knock(right).stale
    assert not door.knock(wrong).stale


def test_right_credentials_on_a_nonce_of_before_a_restart_are_stale() -> None:
    value = answer(Door())
    other = Door()
    other.issuer._secret = b"x" * 32
    verdict = other.knock(value)
    assert verdict.stale and not verdict.ok


def test_a_nonce_that_nobody_used_costs_no_memory() -> None:
    door = Door()
    for _ in range(1000):
        door.issuer.issue(door.now)
    assert len(door.issuer) == 0


def test_forgetting_marks_opens_no_way_to_replay() -> None:
    issuer = NonceIssuer(b"k", 1000.0, max_tracked=100)
    nonces = [issuer.issue(float(second)) for second in range(1, 301)]
    for nonce in nonces:
        assert issuer.use(nonce, 1) is NonceVerdict.OK
        assert len(issuer) <= 100
    for nonce in nonces:
        still = issuer.check(nonce, 300.0) is NonceVerdict.OK
        assert not still or issuer.use(nonce, 1) is NonceVerdict.REPLAYED


@given(st.text(max_size=60))
def test_no_made_up_nonce_is_ours(nonce: str) -> None:
    assert NonceIssuer(b"k").check(nonce, 1.0) is NonceVerdict.FORGED


@given(st.one_of(st.text(max_size=80), st.text(max_size=60).map("Digest ".__add__)))
def test_nothing_but_the_parsers_own_error_escapes(value: str) -> None:
    for parse in (Challenge.parse, Authorization.parse):
        with contextlib.suppress(RemoteProtocolError):
            parse(value)


@given(st.text(max_size=30), st.text(max_size=30))
def test_quotes_and_backslashes_survive(username: str, realm: str) -> None:
    value = Authorization(username, realm, "n", "sip:x", "r", Algorithm.MD5, "auth", "c", "00000001").header_value()
    again = Authorization.parse(value)
    assert (again.username, again.realm) == (username, realm)


def test_no_secret_is_in_a_representation() -> None:
    client = DigestClient("alice", "right")
    assert "right" not in repr(client)
