"""Records and alarms on their way out: signed, encrypted, tried again, bounded, and never with a secret in a log."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from opx.config import ConfigError, parse_settings
from opx.gateway.control.client import ControlClient
from opx.gateway.faults.courier import BACKOFF_MAX, Courier, DeliveryError, Item, envelope
from opx.gateway.faults.mail import MAX_LISTED, Mail, MailServer
from opx.gateway.faults.signing import check_url, genuine, sign
from opx.gateway.faults.webhook import Webhook
from opx.gateway.settings import GatewaySettings
from support.live import live_site
from support.network import LoopbackNetwork
from support.phones import until
from support.receivers import AUTHORITY, mail_server, webhook_receiver
from support.remote import remote_call

SECRET = b"shared-Secret-7"


@pytest.fixture
def authority(tmp_path: Path) -> str:
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def alarm(title: str = "No node of the ICP answers: Node 1", state: str = "raised") -> Item:
    data = {"state": state, "title": title, "cause": "no answer", "when": "2026-01-01 00:00:00"}
    return envelope("alarm", "a1", data)


# --- the courier


@dataclass
class Pigeon:
    """A way out that a test opens and closes."""

    name: str = "pigeon"
    batch: int = 2
    failures: list[DeliveryError] = field(default_factory=list)
    flights: list[list[str]] = field(default_factory=list)

    def send(self, items: Sequence[Item]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.flights.append([item["id"] for item in items])


class Hours:
    """Sleeps that pass at once, and how long they were."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


async def carried(courier: Courier, items: list[str], done: Callable[[], bool]) -> None:
    for name in items:
        courier.take(envelope("call", name, {}))
    courier.start()
    await until(done)
    await courier.stop()


async def test_what_cannot_be_delivered_is_tried_again_later_and_later_in_order() -> None:
    pigeon, hours = Pigeon(failures=[DeliveryError("away")] * 10), Hours()
    said: list[tuple[str, str]] = []
    courier = Courier(pigeon, gather=7.0, sleep=hours.sleep, on_trouble=lambda *what: said.append(what))
    await carried(courier, ["a", "b", "c"], lambda: courier.delivered == 3)
    assert pigeon.flights == [["a", "b"], ["c"]]
    assert hours.slept == [7.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, BACKOFF_MAX, BACKOFF_MAX]
    assert said[0] == ("pigeon", "away") and said[-1] == ("pigeon", "")


async def test_what_will_never_be_taken_is_given_up_and_holds_up_nobody() -> None:
    pigeon = Pigeon(batch=1, failures=[DeliveryError("no such place", lasting=True)])
    courier = Courier(pigeon, sleep=Hours().sleep)
    await carried(courier, ["a", "b"], lambda: courier.delivered == 1)
    assert pigeon.flights == [["b"]]
    assert courier.dropped == 1


async def test_the_oldest_of_too_many_go() -> None:
    pigeon = Pigeon(batch=1)
    courier = Courier(pigeon, most=3, sleep=Hours().sleep)
    await carried(courier, list("abcde"), lambda: courier.waiting == 0)
    assert pigeon.flights == [["c"], ["d"], ["e"]]
    assert courier.dropped == 2


async def test_a_program_that_stops_delivers_what_it_can_and_does_not_hang() -> None:
    pigeon = Pigeon()
    courier = Courier(pigeon, gather=3600.0)
    courier.start()
    courier.take(envelope("call", "a", {}))
    await courier.stop()
    assert pigeon.flights == [["a"]]
    stuck = Courier(Pigeon(failures=[DeliveryError("away")] * 99), gather=3600.0)
    stuck.start()
    stuck.take(envelope("call", "a", {}))
    await stuck.stop()
    assert stuck.waiting == 1


# --- the webhook


def test_a_signature_is_taken_from_who_knows_the_secret_and_now_only() -> None:
    header = sign(SECRET, 1000, b"{}")
    assert genuine(SECRET, header, b"{}", 1100.0)
    for secret, value, body, now in (
        (b"other", header, b"{}", 1000.0),
        (SECRET, header, b"{} ", 1000.0),
        (SECRET, header, b"{}", 1301.0),
        (SECRET, header.replace("t=1000", "t=1001"), b"{}", 1000.0),
        (SECRET, "", b"{}", 1000.0),
        (SECRET, "t=x,v1=y", b"{}", 1000.0),
        (SECRET, "v1=" + header[-64:], b"{}", 1000.0),
    ):
        assert not genuine(secret, value, body, now), value


def test_a_delivery_is_posted_signed_over_a_verified_connection(loopback: LoopbackNetwork, authority: str) -> None:
    host = loopback.at("40.1")
    with webhook_receiver(host) as hook:
        Webhook(hook.url, SECRET, authority, clock=lambda: 1000.9).send([alarm()])
        (delivery,) = hook.got
        assert json.loads(delivery.body)["data"]["state"] == "raised"
        assert (delivery.headers["X-OPX-Event"], delivery.headers["X-OPX-Delivery"]) == ("alarm", "a1")
        assert genuine(SECRET, delivery.headers["X-OPX-Signature"], delivery.body, 1001.0)
        with pytest.raises(DeliveryError, match="cannot be reached"):
            Webhook(hook.url, SECRET).send([alarm()])
        assert len(hook.got) == 1


@pytest.mark.parametrize(
    ("status", "lasting"),
    [(500, False), (503, False), (429, False), (404, False), (302, False), (400, True), (410, True)],
)
def test_refusals_that_pass_and_refusals_that_last_are_told_apart(
    loopback: LoopbackNetwork, status: int, lasting: bool
) -> None:
    with webhook_receiver(loopback.at("40.1"), tls=False) as hook:
        hook.answers = [status]
        with pytest.raises(DeliveryError) as error:
            Webhook(hook.url).send([alarm()])
    assert (str(error.value), error.value.lasting) == (f"it answered {status}", lasting)
    assert "X-OPX-Signature" not in hook.got[0].headers


def test_a_receiver_that_is_not_there_is_a_delivery_to_be_tried_again(loopback: LoopbackNetwork) -> None:
    with pytest.raises(DeliveryError) as error:
        Webhook(f"http://{loopback.at('40.9')}:9/x?token=s3cret").send([alarm()])
    assert not error.value.lasting
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://a/",
        "https://",
        "http://example.com/x",
        "http://8.8.8.8/",
        "https://u:p@h/",
        "https://u@h/",
        "https://h/#x",
    ],
)
def test_addresses_that_are_none_or_not_safe_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        check_url(url)


# --- e-mail


def mail(host: str, port: int, authority: str | None, **options: Any) -> Mail:
    server = MailServer(host, port, ca_file=authority, **options)
    return Mail(server, "opx@example.com", ["a@example.com", "b@example.com"], "203.0.113.10")


def test_alarms_are_mailed_encrypted_after_a_login(loopback: LoopbackNetwork, authority: str) -> None:
    with mail_server(loopback.at("40.1"), login=("opx", "mail-Secret-5")) as box:
        way = mail(box.host, box.port, authority, username="opx", password="mail-Secret-5")
        way.send([alarm(), alarm("A certificate expires soon: x", "cleared")])
    (message,) = box.mails
    assert box.encrypted == [True]
    assert box.recipients == ["a@example.com", "b@example.com"]
    assert message["Subject"].strip() == "OPX 203.0.113.10: raised: No node of the ICP answers: Node 1 (and 1 more)"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "cleared: A certificate expires soon: x" in message.get_content()


def test_a_server_without_encryption_gets_no_password_and_no_mail(loopback: LoopbackNetwork, authority: str) -> None:
    with mail_server(loopback.at("40.1"), starttls=False, login=("opx", "x")) as box:
        with pytest.raises(DeliveryError):
            mail(box.host, box.port, authority, username="opx", password="x").send([alarm()])
        assert box.mails == []


def test_a_server_whose_certificate_is_not_trusted_gets_nothing(loopback: LoopbackNetwork) -> None:
    with mail_server(loopback.at("40.1")) as box, pytest.raises(DeliveryError, match="cannot be reached"):
        mail(box.host, box.port, None).send([alarm()])
    assert box.mails == []


def test_a_wrong_password_and_a_refusal_are_said_without_what_was_sent(
    loopback: LoopbackNetwork, authority: str
) -> None:
    with mail_server(loopback.at("40.1"), login=("opx", "right"), refusals=1) as box:
        with pytest.raises(DeliveryError, match="does not accept user name and password"):
            mail(box.host, box.port, authority, username="opx", password="wrong-Secret").send([alarm()])
        with pytest.raises(DeliveryError, match="it answered 451"):
            mail(box.host, box.port, authority, username="opx", password="right").send([alarm()])
        mail(box.host, box.port, authority, username="opx", password="right").send([alarm()])
    assert len(box.mails) == 1
    assert "wrong-Secret" not in repr(MailServer("h", password="wrong-Secret"))


def test_no_name_of_a_stranger_makes_a_header_of_its_own() -> None:
    way = mail("h", 25, None)
    message = way.message([alarm("x\r\nBcc: evil@example.com\r\n\r\nbody")])
    assert message["Bcc"] is None
    assert "\n" not in message["Subject"]
    many = way.message([alarm()] * (MAX_LISTED + 7)).get_content()
    assert "and 7 more" in many


# --- settings


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[alarms]\nemail_to = ["nobody"]', "is no e-mail address"),
        ('[alarms]\nemail_to = ["a@b"]', "expected the mail server for email_to"),
        ('[alarms]\nsmtp_security = "none"\nsmtp_password_file = "x"', "goes unencrypted"),
        ('[webhook]\nurl = "http://example.com/"', "is not encrypted"),
        ('[webhook]\nurl = "https://u:s3cret@h/"', "holds a user name or password"),
        ('[metrics]\nnetworks = ["here"]', "is no network"),
        ("[records]\ndays = 0", "greater than 0"),
    ],
)
def test_mistakes_in_the_settings_are_named_without_repeating_secrets(text: str, problem: str) -> None:
    faces = '[set_side]\naddress = "203.0.113.10"\n[icp_side]\naddress = "192.168.20.1"\n'
    with pytest.raises(ConfigError, match=problem) as error:
        parse_settings(GatewaySettings, faces + text, "gateway.toml")
    assert "s3cret" not in str(error.value)


# --- the whole way


async def test_a_call_and_an_alarm_reach_their_receivers_from_a_running_gateway(
    loopback: LoopbackNetwork, tmp_path: Path, authority: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "hook.secret").write_bytes(SECRET + b"\n")
    host = loopback.at("40.1")
    with webhook_receiver(host) as hook, mail_server(host) as box:
        hook.answers = [500]
        extra = f"""
[webhook]
url = "{hook.url}?key=s3cret"
secret_file = "{tmp_path}/hook.secret"
ca_file = "{authority}"
[alarms]
email_to = ["office@example.com"]
smtp_host = "{host}"
smtp_port = {box.port}
smtp_ca_file = "{authority}"
gather = 0
"""
        async with live_site(loopback, tmp_path, remote=(1,), extra_gateway=extra) as site:
            control = ControlClient(site.gateway.settings.control_socket)
            async with remote_call(site) as talk:
                await talk.hang_up()
            await control.set_alarm("token-expiring", "suite", "2 days are left")
            await until(lambda: len(hook.got) >= 3 and len(box.mails) == 1)
            assert await control.test_alarm() == {"webhook": "", "e-mail": ""}
            names = {counter.name: counter.value for counter in (await control.counters()).items}
            standing, _ = await site.gateway.faults.repository.alarms(standing=True)
            await control.close()
    first, again = hook.got[:2]
    assert first.headers["X-OPX-Delivery"] == again.headers["X-OPX-Delivery"]
    assert json.loads(again.body)["data"]["outcome"] == "answered"
    assert json.loads(hook.got[2].body)["data"]["kind"] == "token-expiring"
    assert "token expires soon: suite" in box.mails[0]["Subject"]
    assert names["alarms_standing"] >= 1
    assert [alarm.kind for alarm in standing if alarm.kind == "token-expiring"] == ["token-expiring"]
    assert "s3cret" not in caplog.text and SECRET.decode() not in caplog.text
