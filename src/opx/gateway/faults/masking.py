"""Takes the secrets out of SIP messages before anybody sees them: the one place through which all of them pass.

What helps to find a fault stays: who claims to be whom, the realm, the algorithm. What could be used or guessed from
goes: responses and nonces of clients, passwords, keys of media, key presses (they may be a PIN).
"""

import re

MASK = b"***"

_KEPT = frozenset((b"username", b"realm", b"uri", b"algorithm", b"qop", b"nc", b"stale"))
"""Parameters of credentials that say who asks for what."""
_HEADER = re.compile(
    rb"^((?:proxy-)?auth(?:orization|entication-info)[ \t]*:)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)
_PARAM = re.compile(rb'([A-Za-z0-9-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s,"]+)')
_WORDS = (b"password", b"passwd", b"secret", b"token", b"ha1", b"pn-prid")
_NAMES = b"(?:" + b"|".join(_WORDS) + b")"
_SECRET_HEADER = re.compile(rb"^([!-9;-~]*" + _NAMES + rb"[!-9;-~]*[ \t]*:)[^\r\n]*", re.IGNORECASE | re.MULTILINE)
_SECRET_VALUE = re.compile(
    rb"(\b[\w-]*" + _NAMES + rb'["\']?[ \t]*[=:][ \t]*)("[^"\r\n]*"|\'[^\'\r\n]*\'|[^\s;,&>"\']+)', re.I
)
_SECRET_ELEMENT = re.compile(rb"(<[\w:.-]*" + _NAMES + rb"[\w.-]*(?:[ \t][^<>]*)?>)[^<]+", re.IGNORECASE)
_URI_PASSWORD = re.compile(rb"(\b(?:sips?|https?):(?://)?[^\s:@;<>\"/]{1,128}:)[^\s@<>\"]{1,256}(?=@)", re.IGNORECASE)
_CRYPTO = re.compile(rb"^(a=crypto:[ \t]*\S+[ \t]+\S+[ \t]+)[^\r\n]*", re.IGNORECASE | re.MULTILINE)
_KEY_LINE = re.compile(rb"^(k=|a=ice-pwd:|a=key-mgmt:)[^\r\n]*", re.IGNORECASE | re.MULTILINE)
_KEY_PRESS = re.compile(rb"^([ \t]*signal[ \t]*=[ \t]*)[^\r\n]*", re.IGNORECASE | re.MULTILINE)
_DTMF = re.compile(rb"^(?:content-type|c)[ \t]*:[ \t]*application/dtmf[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^((?:content-length|l)[ \t]*:[ \t]*)\d+", re.IGNORECASE | re.MULTILINE)


def mask(message: bytes) -> bytes:
    """A SIP message without secrets. When that changes its body, Content-Length says so."""
    head, gap, body = message.partition(b"\r\n\r\n")
    if not gap:
        head, gap, body = message.partition(b"\n\n")
    head = _HEADER.sub(_credentials, head)
    if _names_a_secret(head):
        head = _SECRET_HEADER.sub(rb"\1 " + MASK, head)
    head = _secrets(head)
    if not body:
        return head + gap
    masked = MASK if _DTMF.search(head) else _body(body)
    if masked != body:
        head = _LENGTH.sub(rb"\g<1>%d" % len(masked), head)
    return head + gap + masked


def readable(message: bytes) -> str:
    """A masked message as text."""
    return mask(message).decode("utf-8", "backslashreplace")


def _credentials(match: re.Match[bytes]) -> bytes:
    name, value = match.groups()
    scheme, _, rest = value.strip().partition(b" ")
    if b"=" in scheme:
        scheme, rest = b"", value
    if scheme.lower() not in (b"digest", b""):
        return name + b" " + (scheme + b" " if rest and scheme.isalpha() else b"") + MASK
    kept = [
        b"%s=%s" % (key, text if key.lower() in _KEPT else b'"' + MASK + b'"') for key, text in _PARAM.findall(rest)
    ]
    return name + b" " + (scheme + b" " if scheme else b"") + b", ".join(kept)


def _names_a_secret(text: bytes) -> bool:
    """Costs a fraction of the searches that it saves for nearly every message."""
    lower = text.lower()
    return any(word in lower for word in _WORDS)


def _secrets(text: bytes) -> bytes:
    if b"@" in text:
        text = _URI_PASSWORD.sub(rb"\1" + MASK, text)
    return _SECRET_VALUE.sub(rb"\1" + MASK, text) if _names_a_secret(text) else text


def _body(body: bytes) -> bytes:
    body = _CRYPTO.sub(rb"\1inline:" + MASK, body)
    body = _KEY_LINE.sub(rb"\1" + MASK, body)
    body = _KEY_PRESS.sub(rb"\1" + MASK, body)
    if _names_a_secret(body):
        body = _SECRET_ELEMENT.sub(rb"\1" + MASK, body)
    return _secrets(body)
