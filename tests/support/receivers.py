"""Whoever alarms and records are delivered to: a mail server and a webhook's receiver, real ones on real sockets."""

import base64
import email
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme

AUTHORITY = trustme.CA()


def server_context(host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(host).configure_cert(context)
    return context


@dataclass
class Delivery:
    """What one request brought."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Hook:
    """A receiver; `answers` are the statuses of the next deliveries, 200 for those behind."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[Delivery] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)


@contextmanager
def webhook_receiver(host: str, port: int = 0, *, tls: bool = True) -> Iterator[Hook]:
    """Listens until left."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            hook.got.append(Delivery(dict(self.headers.items()), self.rfile.read(length)))
            status = hook.answers.pop(0) if hook.answers else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            hook.came.set()

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = server_context(host).wrap_socket(server.socket, server_side=True)
    hook.url = f"{'https' if tls else 'http'}://{host}:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class MailBox:
    """A mail server. `login` is what it wants, `refusals` how many mails it refuses before it takes one."""

    host: str
    port: int = 0
    login: tuple[str, str] | None = None
    refusals: int = 0
    starttls: bool = True
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)


class _Smtp(socketserver.StreamRequestHandler):
    """RFC 5321, as far as a client that sends a mail needs it."""

    box: MailBox

    def handle(self) -> None:
        self.secure = False
        self.logged_in = False
        self.say("220 test ESMTP")
        while line := self.rfile.readline():
            command = line.decode().strip()
            if not self.obey(command.partition(" ")[0].upper(), command):
                return

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def obey(self, verb: str, command: str) -> bool:
        box = self.box
        match verb:
            case "EHLO":
                offers = ["250-test"]
                if box.starttls and not self.secure:
                    offers.append("250-STARTTLS")
                self.say("\r\n".join([*offers, "250 AUTH PLAIN"]))
            case "STARTTLS":
                self.say("220 go on")
                self.request = server_context(box.host).wrap_socket(self.request, server_side=True)
                self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
                self.secure = True
            case "AUTH":
                _, name, password = base64.b64decode(command.split()[-1]).decode().split("\0")
                self.logged_in = (name, password) == box.login
                self.say("235 welcome" if self.logged_in else "535 no")
            case "MAIL" if box.login and not self.logged_in:
                self.say("530 log in first")
            case "RCPT":
                box.recipients.append(command.partition(":")[2].strip("<> "))
                self.say("250 ok")
            case "DATA":
                self.take()
            case "QUIT":
                self.say("221 bye")
                return False
            case _:
                self.say("250 ok")
        return True

    def take(self) -> None:
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        if self.box.refusals:
            self.box.refusals -= 1
            self.say("451 not now")
            return
        message = email.message_from_bytes(b"".join(lines), policy=default)
        assert isinstance(message, EmailMessage)
        self.box.encrypted.append(self.secure)
        self.box.mails.append(message)
        self.say("250 taken")


@contextmanager
def mail_server(host: str, **options: Any) -> Iterator[MailBox]:
    """Listens until left."""
    box = MailBox(host, **options)
    handler = type("Handler", (_Smtp,), {"box": box})

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

        def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
            """A client that goes away in the middle is what some tests are about."""

    with Server((host, box.port), handler) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()
