"""Alarms by e-mail, through the owner's own mail server."""

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Literal

from opx.gateway.faults.courier import DeliveryError, Item

TIMEOUT = 20.0
"""Seconds for each step of talking to the server."""
MAX_LISTED = 50
"""Alarms that one mail lists."""

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class MailServer:
    """`security` "starttls" refuses to go on without it. `ca_file` as with a webhook; no `username`: no login."""

    host: str
    port: int = 587
    security: Security = "starttls"
    username: str = ""
    password: str = ""
    ca_file: str | None = None

    def __repr__(self) -> str:
        return f"MailServer({self.host!r}, {self.port})"


class Mail:
    """A `Way`: several alarms at once make one mail. `place` names the gateway in the subject."""

    name = "e-mail"
    batch = 200

    def __init__(self, server: MailServer, sender: str, to: Sequence[str], place: str) -> None:
        self._server = server
        self._sender = sender
        self._to = list(to)
        self._place = place

    def send(self, items: Sequence[Item]) -> None:
        """DeliveryError."""
        message = self.message(items)
        try:
            with self._connect() as link:
                if self._server.security == "starttls":
                    link.starttls(context=self._context())
                if self._server.username:
                    link.login(self._server.username, self._server.password)
                link.send_message(message)
        except smtplib.SMTPAuthenticationError:
            raise DeliveryError(f"{self._server.host} does not accept user name and password") from None
        except smtplib.SMTPException as error:
            raise DeliveryError(f"{self._server.host}: {_short(error)}") from None
        except OSError as error:
            # ssl.SSLError among them.
            raise DeliveryError(f"{self._server.host} cannot be reached ({type(error).__name__})") from None

    def message(self, items: Sequence[Item]) -> EmailMessage:
        """The mail about these."""
        alarms = [item["data"] for item in items]
        first = _line(alarms[0])
        message = EmailMessage()
        message["Subject"] = f"OPX {self._place}: {first}" + (f" (and {len(alarms) - 1} more)" if alarms[1:] else "")
        message["From"] = self._sender
        message["To"] = ", ".join(self._to)
        message["Date"] = formatdate(localtime=True)
        message["Message-ID"] = make_msgid(domain="opx.invalid")
        message["Auto-Submitted"] = "auto-generated"
        lines = []
        for alarm in alarms[:MAX_LISTED]:
            lines += [_line(alarm), f"  {_plain(alarm['cause'])}", f"  {alarm['when']}", ""]
        if len(alarms) > MAX_LISTED:
            lines.append(f"and {len(alarms) - MAX_LISTED} more; the gateway's console lists all")
        message.set_content("\n".join(lines))
        return message

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            return smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT, context=self._context())
        return smtplib.SMTP(server.host, server.port, timeout=TIMEOUT)

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._server.ca_file)


def _line(alarm: Item) -> str:
    return _plain(f"{alarm['state']}: {alarm['title']}")


def _plain(text: str) -> str:
    """One line, whatever a stranger's name for himself holds."""
    return "".join(char if char.isprintable() else " " for char in text)[:500]


def _short(error: smtplib.SMTPException) -> str:
    """The server's status; its words may repeat what it was sent."""
    code = getattr(error, "smtp_code", None)
    return f"it answered {code}" if code else type(error).__name__
