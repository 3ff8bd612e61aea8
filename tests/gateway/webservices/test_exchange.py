"""The whole token exchange of guide stage 4 with an OAuth 1.0a client that is not ours, and every wrong turn."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from oauthlib.oauth1 import Client

from opx.gateway.webservices.records import ICPS, Permission
from opx.gateway.webservices.settings import WebServicesSettings
from support.web_services import ADMIN, GUIDE, OAuth1Session, TokenRequestDenied, WebSite, narrowed, web_site

DAY = 86_400


def test_the_guides_exchange_ends_with_a_token_that_holds_for_twelve_months(site: WebSite) -> None:
    icp = site.with_node()
    _, secret = site.consumer()
    session = site.session(client_secret=secret, callback_uri="oob")
    asked = session.fetch_request_token(f"{site.url}/oauth/request_token")
    (waiting,) = site.do(site.service.temporary_tokens())
    assert (waiting.verifier, waiting.consumer.name) == (None, "MiVoice Office Application Suite")
    verifier = site.do(site.service.approve(ADMIN, waiting.id)).verifier
    (shown,) = site.do(site.service.temporary_tokens())
    session._client.client.verifier = verifier
    given = session.fetch_access_token(f"{site.url}/oauth/access_token")

    assert asked["oauth_callback_confirmed"] == "true"
    assert shown.verifier == verifier and len(str(verifier)) == 16
    assert given["oauth_token"] not in ("", asked["oauth_token"])
    assert session.get(f"{site.url}/MBG/v1/icps").json()["items"][0]["id"] == icp
    server = session.get(f"{site.url}/Base/server").json()
    assert (server["mode"], server["inside_address"], server["outside_address"]) == (
        "gateway",
        "10.0.0.1",
        "203.0.113.10",
    )
    assert server["compatibility_level"] >= 10
    (final,) = site.do(site.service.final_tokens())
    assert final.expires_at - final.created_at == 365 * DAY
    assert final.last_used_at is not None and final.last_source == "127.0.0.1"
    assert site.do(site.service.temporary_tokens()) == []
    assert site.audit.actions == ["web services started", "consumer added", "temporary token approved"]
    assert secret not in str(site.audit.entries) and str(verifier) not in str(site.audit.entries)


@pytest.mark.parametrize("method", ["HMAC-SHA1", "HMAC-SHA256"])
@pytest.mark.parametrize("place", ["AUTH_HEADER", "QUERY", "BODY"])
def test_both_methods_and_all_places_of_the_parameters_serve(site: WebSite, method: str, place: str) -> None:
    session = site.authorised(signature_method=method, signature_type=place)
    if place == "BODY":
        # A form is the only body that may hold the parameters, and the token resource takes a POST of any.
        answer = session.post(f"{site.url}/Base/managetoken/renew", data={"a b": "c&d"})
    else:
        answer = session.get(f"{site.url}/MBG/v1/devices", params={"q": "a b&c=~ü", "limit": 5})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("method", ["PLAINTEXT", "HMAC-SHA512"])
def test_other_methods_are_refused(site: WebSite, method: str) -> None:
    _, secret = site.consumer()
    session = site.session(client_secret=secret, callback_uri="oob", signature_method=method)
    with pytest.raises(TokenRequestDenied, match="401"):
        session.fetch_request_token(f"{site.url}/oauth/request_token")


# --- strangers: they learn nothing


def silent(answer: requests.Response) -> bool:
    return (answer.status_code, answer.content) == (401, b"")


def test_a_wrong_secret_or_consumer_gets_401_and_no_word(site: WebSite) -> None:
    _, secret = site.consumer()
    for client_key, client_secret in (("MiVOAppSuite", "wrong"), ("MiVOAppSuite", ""), ("Nobody", secret)):
        session = site.session(client_key=client_key, client_secret=client_secret, callback_uri="oob")
        answer = session.post(f"{site.url}/oauth/request_token")
        assert silent(answer)
        assert answer.headers["www-authenticate"].startswith("OAuth ")
    reasons = [refusal.reason for refusal in site.service.refusals]
    wrong = "the signature is wrong: the shared secret, or the token's"
    assert reasons == ["no consumer has this ConsumerID", wrong, wrong]
    assert site.do(site.service.temporary_tokens()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_key": "MiVOAppSuit"},
        {"client_secret": "x"},
        {"client_secret": ""},
        {"resource_owner_key": "x"},
        {"resource_owner_key": ""},
        {"resource_owner_secret": "x"},
        {"resource_owner_secret": ""},
    ],
    ids=str,
)
def test_each_wrong_credential_of_a_resource_request_is_refused(site: WebSite, wrong: dict[str, str]) -> None:
    session = site.authorised()
    client = session._client.client
    right = {
        "client_key": client.client_key,
        "client_secret": client.client_secret,
        "resource_owner_key": client.resource_owner_key,
        "resource_owner_secret": client.resource_owner_secret,
    }
    assert site.session(**right).get(f"{site.url}/Base/server").status_code == 200
    assert silent(site.session(**{**right, **wrong}).get(f"{site.url}/Base/server"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_key": "MiVOAppSuit"},
        {"client_secret": "x"},
        {"resource_owner_key": "x"},
        {"resource_owner_key": ""},
        {"resource_owner_secret": "x"},
        {"resource_owner_secret": ""},
    ],
    ids=str,
)
def test_each_wrong_credential_of_the_last_step_is_refused(site: WebSite, wrong: dict[str, str]) -> None:
    _, secret = site.consumer()
    client = site.temporary(secret)._client.client
    right = {
        "client_key": client.client_key,
        "client_secret": secret,
        "resource_owner_key": client.resource_owner_key,
        "resource_owner_secret": client.resource_owner_secret,
        "verifier": site.approve(),
    }
    assert silent(site.session(**{**right, **wrong}).post(f"{site.url}/oauth/access_token"))
    assert site.session(**right).post(f"{site.url}/oauth/access_token").status_code == 200


def test_tokens_of_one_kind_or_consumer_do_not_serve_as_another(site: WebSite) -> None:
    session = site.authorised()
    _, other_secret = site.consumer(replace(GUIDE, name="Other", consumer_id="other"))
    final = session._client.client
    pair = {"resource_owner_key": final.resource_owner_key, "resource_owner_secret": final.resource_owner_secret}
    stolen = site.session(client_key="other", client_secret=other_secret, **pair)
    assert silent(stolen.get(f"{site.url}/Base/server"))
    as_temporary = site.session(client_secret=final.client_secret, verifier="X" * 16, **pair)
    assert silent(as_temporary.post(f"{site.url}/oauth/access_token"))
    temporary = site.temporary(final.client_secret)
    assert silent(temporary.get(f"{site.url}/Base/server"))
    with_token = site.session(client_secret=final.client_secret, callback_uri="oob", **pair)
    assert silent(with_token.post(f"{site.url}/oauth/request_token"))


def test_nothing_unsigned_is_answered_not_even_what_paths_there_are(site: WebSite) -> None:
    session = site.authorised()
    stranger = site.session(client_key="x")
    for path in ("/Base/server", "/nowhere", "/openapi.json", "/MBG/v1/devices/1", "/oauth/request_token", ""):
        assert silent(stranger.get(f"{site.url}{path}"))
    assert session.get(f"{site.url}/nowhere").json()["error"] == "not_found"


def test_what_a_stranger_sends_makes_no_line_of_its_own_in_the_log(
    site: WebSite, caplog: pytest.LogCaptureFixture
) -> None:
    fields = dict.fromkeys(("oauth_consumer_key", "oauth_nonce", "oauth_timestamp", "oauth_signature"), "1")
    query = {**fields, "oauth_signature_method": "x\nCRITICAL all is lost" + "y" * 500}
    answer = requests.get(f"{site.url}/Base/server", params=query, verify=site.authority, timeout=30)
    assert silent(answer)
    (entry,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert "x?CRITICAL all is lost" in entry and "\n" not in entry and len(entry) < 400


# --- owners: they are told what is wrong


def denied(session: OAuth1Session, url: str) -> dict[str, object]:
    answer = session.post(url)
    assert answer.status_code in (401, 403), answer.text
    problem: dict[str, object] = answer.json()
    assert problem["message"]
    return problem


def test_a_token_that_nobody_has_approved_is_no_final_one(site: WebSite) -> None:
    _, secret = site.consumer()
    session = site.temporary(secret)
    session._client.client.verifier = "X" * 16
    assert denied(session, f"{site.url}/oauth/access_token")["error"] == "not_approved"
    assert site.do(site.service.final_tokens()) == []


@pytest.mark.parametrize("verifier", ["X" * 16, "", "ü"])
def test_a_wrong_verifier_gives_no_token_and_voids_the_request_when_tried_again_and_again(
    site: WebSite, verifier: str
) -> None:
    _, secret = site.consumer()
    session = site.temporary(secret)
    right = site.approve()
    client = session._client.client
    client.verifier = verifier
    tries = [denied(session, f"{site.url}/oauth/access_token")["error"] for _ in range(6)]
    client.verifier = right
    last = denied(session, f"{site.url}/oauth/access_token")["error"]
    assert tries == ["verifier_wrong"] * 4 + ["token_void", "token_used"]
    assert last == "token_used"
    assert site.do(site.service.final_tokens()) == []


def test_a_temporary_token_is_used_once(site: WebSite) -> None:
    _, secret = site.consumer()
    session = site.temporary(secret)
    first = session._client.client
    again = site.session(
        client_secret=secret,
        resource_owner_key=first.resource_owner_key,
        resource_owner_secret=first.resource_owner_secret,
        verifier=site.approve(),
    )
    assert again.post(f"{site.url}/oauth/access_token").status_code == 200
    assert denied(again, f"{site.url}/oauth/access_token")["error"] == "token_used"
    assert len(site.do(site.service.final_tokens())) == 1


def test_a_temporary_token_expires_approved_or_not(site: WebSite) -> None:
    _, secret = site.consumer()
    session = site.temporary(secret)
    session._client.client.verifier = site.approve()
    site.clock.shift = 3601
    session._client.client.timestamp = str(int(site.clock()))
    assert denied(session, f"{site.url}/oauth/access_token")["error"] == "token_expired"
    assert site.do(site.service.temporary_tokens()) == []


def test_a_final_token_expires_and_an_administrator_may_renew_it(site: WebSite) -> None:
    session = site.authorised()
    client = session._client.client
    site.clock.shift = 365 * DAY + 10
    client.timestamp = str(int(site.clock()))
    answer = session.get(f"{site.url}/Base/server")
    assert (answer.status_code, answer.json()["error"]) == (401, "token_expired")
    (token,) = site.do(site.service.final_tokens())
    renewed = site.do(site.service.renew(ADMIN, token.id))
    assert session.get(f"{site.url}/Base/server").status_code == 200
    assert renewed.expires_at == pytest.approx(site.clock() + 365 * DAY, abs=30)


def test_a_revoked_token_is_refused_at_once_and_not_renewed(site: WebSite) -> None:
    session = site.authorised()
    assert session.get(f"{site.url}/Base/server").status_code == 200
    (token,) = site.do(site.service.final_tokens())
    site.do(site.service.revoke(ADMIN, token.id))
    answer = session.get(f"{site.url}/Base/server")
    assert (answer.status_code, answer.json()["error"]) == (401, "token_revoked")
    with pytest.raises(Exception, match="this token was revoked"):
        site.do(site.service.renew(ADMIN, token.id))


def test_an_inactive_consumer_gets_nothing_in_any_step(site: WebSite) -> None:
    session = site.authorised()
    (consumer,) = site.do(site.service.consumers())
    site.do(site.service.change_consumer(ADMIN, consumer.id, replace(GUIDE, active=False), consumer.version))
    answer = session.get(f"{site.url}/Base/server")
    assert (answer.status_code, answer.json()["error"]) == (403, "consumer_inactive")
    asking = site.session(client_secret=session._client.client.client_secret, callback_uri="oob")
    assert denied(asking, f"{site.url}/oauth/request_token")["error"] == "consumer_inactive"


def test_what_a_consumer_may_not_do_is_refused_with_the_permission_that_is_missing(site: WebSite) -> None:
    session = site.authorised(narrowed(GUIDE, **{ICPS: Permission.NONE}))
    answer = session.get(f"{site.url}/MBG/v1/icps")
    assert (answer.status_code, answer.json()["error"]) == (403, "permission_missing")
    assert "read permission for MBG/v1/icps" in answer.json()["message"]
    assert session.get(f"{site.url}/MBG/v1/devices").status_code == 200
    assert session.get(f"{site.url}/OPX/v1/forwards").status_code == 403


def test_reading_does_not_let_write(site: WebSite) -> None:
    session = site.authorised()
    answer = session.post(f"{site.url}/MBG/v1/icps", json={"name": "Node 2", "host": "10.0.0.21"})
    assert (answer.status_code, answer.json()["error"]) == (403, "permission_missing")
    assert site.do(site.repository.icps()) == []


@pytest.mark.parametrize("shift", [-400, 400])
def test_a_wrong_clock_is_told_the_gateways_time(site: WebSite, shift: int) -> None:
    session = site.authorised()
    session._client.client.timestamp = str(int(site.clock()) + shift)
    answer = session.get(f"{site.url}/Base/server")
    problem = answer.json()
    assert (answer.status_code, problem["error"]) == (401, "clock_skew")
    assert problem["server_time"] == pytest.approx(site.clock(), abs=30)
    told = re.search(r"([+-]\d+) s from the gateway's", problem["message"])
    assert told and int(told[1]) == pytest.approx(shift, abs=60)
    session._client.client.timestamp = str(int(site.clock()))
    assert session.get(f"{site.url}/Base/server").status_code == 200


def test_a_request_that_comes_twice_is_taken_once_also_after_a_restart(tmp_path: Path) -> None:
    with web_site(tmp_path) as site:
        session = site.authorised()
        client = session._client.client
        client.nonce, client.timestamp = "one-nonce", str(int(site.clock()))
        assert session.get(f"{site.url}/Base/server").status_code == 200
        answer = session.get(f"{site.url}/Base/server")
        assert (answer.status_code, answer.json()["error"]) == (401, "nonce_used")
        # The same nonce with another path is a replay as well, whatever it is signed with.
        assert session.get(f"{site.url}/MBG/v1/devices").json()["error"] == "nonce_used"
        known = {
            "client_secret": client.client_secret,
            "resource_owner_key": client.resource_owner_key,
            "resource_owner_secret": client.resource_owner_secret,
            "nonce": "one-nonce",
            "timestamp": client.timestamp,
        }
    with web_site(tmp_path) as site:
        assert site.session(**known).get(f"{site.url}/Base/server").json()["error"] == "nonce_used"


def test_a_nonce_counts_for_its_token_only_and_a_signature_for_its_request_only(site: WebSite) -> None:
    one = site.authorised()
    _, secret = site.do(site.service.new_secret(ADMIN, 1))
    one._client.client.client_secret = secret
    other = site.temporary(secret)
    other._client.client.verifier = site.approve()
    other.fetch_access_token(f"{site.url}/oauth/access_token")
    at = str(int(site.clock()))
    for session in (one, other):
        session._client.client.nonce, session._client.client.timestamp = "shared", at
        assert session.get(f"{site.url}/Base/server").status_code == 200
    sent = one.get(f"{site.url}/Base/server").request
    header = header_of(sent)
    for method, path in (("GET", "/MBG/v1/devices"), ("DELETE", "/Base/managetoken"), ("GET", "/Base/server?x=1")):
        answer = sent_with(header, method, f"{site.url}{path}", site.authority)
        assert silent(answer)
    token = other._client.client.resource_owner_key
    swapped = header.replace(str(one._client.client.resource_owner_key), str(token))
    assert swapped != header
    assert silent(sent_with(swapped, "GET", f"{site.url}/Base/server", site.authority))


def header_of(request: requests.PreparedRequest) -> str:
    header: str | bytes = request.headers["Authorization"]
    return header.decode() if isinstance(header, bytes) else header


def sent_with(header: str, method: str, url: str, authority: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, headers={"Authorization": header}, verify=authority)


def test_a_body_other_than_the_signed_one_is_refused(site: WebSite) -> None:
    icp = site.with_node()
    session = site.authorised()
    wish = {"set_username": "tw1", "set_password": "Set-Side-7secret", "icp_id": icp}
    url, body = f"{site.url}/MBG/v1/devices", json.dumps(wish)
    known = session._client.client
    client = Client(known.client_key, known.client_secret, known.resource_owner_key, known.resource_owner_secret)
    with requests.Session() as plain:
        plain.trust_env = False
        plain.verify = site.authority
        for sent, status in ((body.replace("tw1", "tw2"), 401), (body, 201)):
            _, headers, _ = client.sign(url, "POST", body, {"Content-Type": "application/json"})
            assert "oauth_body_hash" in headers["Authorization"]
            answer = plain.post(url, data=sent, headers=headers)
            assert answer.status_code == status
            assert status == 201 or answer.json()["error"] == "body_changed"
    assert [device.set_username for device in site.do(site.repository.devices())] == ["tw1"]


def test_only_an_out_of_band_verifier_is_possible(site: WebSite) -> None:
    _, secret = site.consumer()
    session = site.session(client_secret=secret, callback_uri="https://example.com/back")
    answer = session.post(f"{site.url}/oauth/request_token")
    assert (answer.status_code, answer.json()["error"]) == (400, "callback_not_possible")


def test_the_authorise_address_leads_a_browser_to_the_console(site: WebSite) -> None:
    _, secret = site.consumer()
    session = site.temporary(secret)
    where = session.authorization_url(f"{site.url}/oauth/authorize")
    answer = site.session(client_key="x").get(where, allow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/administration/web-services")


# --- limits


def test_an_address_that_is_refused_too_often_is_not_listened_to_for_a_while(tmp_path: Path) -> None:
    with web_site(tmp_path, settings=WebServicesSettings(failures_per_source=3, failures_window=3600)) as site:
        session = site.authorised()
        for _ in range(3):
            assert silent(site.session(client_secret="x").get(f"{site.url}/Base/server"))
        answer = session.get(f"{site.url}/Base/server")
        assert (answer.status_code, answer.content) == (429, b"")
        assert 0 < int(answer.headers["retry-after"]) <= 3601


def test_requests_and_tokens_are_bounded(tmp_path: Path) -> None:
    settings = WebServicesSettings(requests_remembered=100, temporary_tokens=2, final_tokens=1)
    with web_site(tmp_path, settings=settings) as site:
        session = site.authorised()
        secret = session._client.client.client_secret
        for _ in range(4):
            second = site.temporary(secret)
        assert len(site.do(site.service.temporary_tokens())) == 2
        second._client.client.verifier = site.approve()
        assert denied(second, f"{site.url}/oauth/access_token")["error"] == "too_many_tokens"
        answers = [session.get(f"{site.url}/Base/server").status_code for _ in range(100)]
        assert answers == sorted(answers) and answers.count(429) == 7
        site.clock.shift = 601
        session._client.client.timestamp = str(int(site.clock()))
        assert session.get(f"{site.url}/Base/server").status_code == 200


def test_while_stopped_nobody_is_answered_and_tokens_stay(site: WebSite) -> None:
    session = site.authorised()
    site.do(site.service.stop(ADMIN))
    answer = session.get(f"{site.url}/Base/server")
    assert (answer.status_code, answer.content) == (503, b"")
    site.do(site.service.start(ADMIN))
    assert session.get(f"{site.url}/Base/server").status_code == 200


def test_a_body_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with web_site(tmp_path, settings=WebServicesSettings(body_bytes=2048)) as site:
        session = site.authorised()
        for body in (b"x" * 2049, iter([b"x" * 1500, b"x" * 1500])):
            answer = session.post(f"{site.url}/MBG/v1/devices", data=body, headers={"Content-Type": "text/plain"})
            assert (answer.status_code, answer.content) == (413, b"")
