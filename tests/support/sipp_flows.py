"""sipp as a set on the internet and as an ICP, for flows that are no calls: watching, messages, notifications."""

from pathlib import Path

from support.programs import OutsideProgram

NUMBER, ICP_PASSWORD = "1001", "icp-1001-Secret"
SET_USER, SET_PASSWORD = "tw1", "set-1-Secret"

_HEAD = """Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
"""

_COPIED = """[last_Via:]
[last_From:]
[last_To:];tag=s[call_number]
[last_Call-ID:]
[last_CSeq:]
"""


def _send(text: str, *, attributes: str = "") -> str:
    return f"  <send{attributes}><![CDATA[\n{text}]]></send>\n"


def _answer(status: str, headers: str = "", *, within: bool = False, attributes: str = "") -> str:
    copied = _COPIED.replace(";tag=s[call_number]", "") if within else _COPIED
    return _send(f"SIP/2.0 {status}\n{copied}{headers}Content-Length: 0\n\n", attributes=attributes)


def _scenario(name: str, body: str) -> str:
    return f'<?xml version="1.0"?>\n<scenario name="{name}">\n{body}</scenario>\n'


def _from_set(method: str, number: int, *, uri: str, headers: str, to: str = "", body: str = "") -> str:
    request = (
        f"{method} {uri} SIP/2.0\n{_HEAD}From: <sip:{SET_USER}@[remote_ip]>;tag=[call_number]w\n"
        f"To: <sip:TARGET@[remote_ip]>{to}\nCall-ID: [call_id]\nCSeq: {number} {method}\n{headers}"
        f"Contact: <sip:{SET_USER}@[local_ip]:[local_port]>\nContent-Length: [len]\n\n{body}"
    )
    return _send(request, attributes=' retrans="500"')


_AUTH = f"[authentication username={SET_USER} password={SET_PASSWORD}]\n"

SET_REGISTERS = _scenario(
    "set registers",
    _from_set("REGISTER", 1, uri="sip:[remote_ip]", headers="Expires: 300\n")
    + '  <recv response="401" auth="true"/>\n'
    + _from_set("REGISTER", 2, uri="sip:[remote_ip]", headers=f"{_AUTH}Expires: 300\n")
    + '  <recv response="200"/>\n',
).replace("TARGET", SET_USER)


def set_watches(package: str, target: str, first: str, later: str) -> str:
    """A set subscribes, is notified of `first` and in the end of `later` (regular expressions), and unsubscribes."""
    event = f"Event: {package}\n"
    uri = f"sip:{target}@[remote_ip]"

    def notified(pattern: str) -> str:
        check = f'<ereg regexp="{pattern}" search_in="msg" check_it="true" assign_to="found"/>'
        return f'  <recv request="NOTIFY" timeout="20000"><action>{check}</action></recv>\n' + _answer(
            "200 OK", within=True
        )

    return _scenario(
        f"set watches {package}",
        _from_set("SUBSCRIBE", 1, uri=uri, headers=f"{event}Expires: 600\n")
        + '  <recv response="407" auth="true"/>\n'
        + _from_set("SUBSCRIBE", 2, uri=uri, headers=f"{_AUTH}{event}Expires: 600\n")
        + '  <recv response="200" rrs="true"/>\n'
        + notified(first)
        + '  <label id="1"/>\n'
        + '  <recv request="NOTIFY" timeout="20000" next="2" test="later"><action>'
        + f'<ereg regexp="{later}" search_in="msg" assign_to="later"/></action></recv>\n'
        + _answer("200 OK", within=True, attributes=' next="1"')
        + '  <label id="2"/>\n'
        + _answer("200 OK", within=True)
        + _from_set("SUBSCRIBE", 3, uri="[next_url]", headers=f"{event}Expires: 0\n", to="[peer_tag_param]")
        + '  <recv response="200"/>\n'
        + notified("Subscription-State: terminated")
        + '  <Reference variables="found,later"/>\n',
    ).replace("TARGET", target)


def set_writes(target: str, text: str, answer: int) -> str:
    """A set sends a text message and gets `answer`."""
    uri, plain = f"sip:{target}@[remote_ip]", "Content-Type: text/plain\n"
    return _scenario(
        "set writes",
        _from_set("MESSAGE", 1, uri=uri, headers=plain, body=text)
        + '  <recv response="407" auth="true"/>\n'
        + _from_set("MESSAGE", 2, uri=uri, headers=f"{_AUTH}{plain}", body=text)
        + f'  <recv response="{answer}"/>\n',
    ).replace("TARGET", target)


def set_takes(method: str, pattern: str, status: str) -> str:
    """A set waits for one request that matches, and answers it."""
    check = f'<ereg regexp="{pattern}" search_in="msg" check_it="true" assign_to="found"/>'
    return _scenario(
        f"set takes {method}",
        f'  <recv request="{method}"><action>{check}</action></recv>\n'
        + _answer(status)
        + '  <Reference variables="found"/>\n',
    )


def icp_sends(method: str, headers: str, body: str, answer: int) -> str:
    """An ICP sends a request to extension 1001 at the gateway and gets `answer`."""
    request = (
        f"{method} sip:{NUMBER}@[remote_ip] SIP/2.0\n{_HEAD}From: <sip:1002@[local_ip]>;tag=[call_number]i\n"
        f"To: <sip:{NUMBER}@[local_ip]>\nCall-ID: [call_id]\nCSeq: 1 {method}\n"
        f"Contact: <sip:[local_ip]:[local_port]>\n{headers}Content-Length: [len]\n\n{body}"
    )
    return _scenario(
        f"ICP sends {method}", _send(request, attributes=' retrans="500"') + f'  <recv response="{answer}"/>\n'
    )


def _challenged(method: str, label: int, then: str) -> str:
    """Asks for the ICP-side credentials, and goes on with `then` when they are right."""
    challenge = 'WWW-Authenticate: Digest realm="sipp", nonce="n[call_number]", qop="auth", algorithm=MD5\n'
    verify = f'<verifyauth assign_to="ok" username="{NUMBER}" password="{ICP_PASSWORD}"/>'
    header = (
        '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/>'
        '<ereg regexp=".*" search_in="hdr" header="To:" assign_to="to"/>'
    )
    return (
        _answer("401 Unauthorized", challenge)
        + f'  <recv request="{method}" rrs="true" next="{label}" test="ok"><action>{verify}{header}</action></recv>\n'
        + _answer("403 Forbidden", attributes=' next="9"')
        + f'  <label id="{label}"/>\n'
        + then
        + '  <nop next="9"/>\n'
    )


_ICP_NOTIFY = (
    f"NOTIFY [next_url] SIP/2.0\n{_HEAD}From:[$to];tag=s[call_number]\nTo:[$from]\nCall-ID: [call_id]\n"
    "CSeq: NUMBER NOTIFY\nContact: <sip:[local_ip]:[local_port]>\nEvent: message-summary\n"
    "Subscription-State: STATE\nContent-Type: application/simple-message-summary\nContent-Length: [len]\n\n"
    f"Messages-Waiting: yes\nMessage-Account: sip:{NUMBER}@[local_ip]\nVoice-Message: COUNT/0\n"
)


def _icp_notifies(number: int, state: str, count: int) -> str:
    text = _ICP_NOTIFY.replace("NUMBER", str(number)).replace("STATE", state).replace("COUNT", str(count))
    return _send(text, attributes=' retrans="500"') + '  <recv response="200"/>\n'


_CONTACT = "Contact: <sip:[local_ip]:[local_port]>\n"

ICP = _scenario(
    "ICP",
    '  <recv request="OPTIONS" optional="true" next="1"/>\n'
    '  <recv request="REGISTER" optional="true" next="2"/>\n'
    '  <recv request="MESSAGE" optional="true" next="3"/>\n'
    '  <recv request="SUBSCRIBE"/>\n'
    + _challenged(
        "SUBSCRIBE",
        4,
        _answer("200 OK", f"{_CONTACT}Expires: 3600\n")
        + _icp_notifies(1, "active;expires=3600", 4)
        + '  <pause milliseconds="200"/>\n'
        + _icp_notifies(2, "active;expires=3600", 5)
        + '  <recv request="SUBSCRIBE" timeout="30000"/>\n'
        + _answer("200 OK", f"{_CONTACT}Expires: 0\n", within=True)
        + _icp_notifies(3, "terminated;reason=timeout", 5),
    )
    + '  <label id="1"/>\n'
    + _answer("200 OK", attributes=' next="9"')
    + '  <label id="2"/>\n'
    + _challenged("REGISTER", 5, _answer("200 OK", "[last_Contact:]\nExpires: 3600\n"))
    + '  <label id="3"/>\n'
    + _challenged("MESSAGE", 6, _answer("202 Accepted"))
    + '  <label id="9"/>\n  <Reference variables="from,to,ok"/>\n',
)
"""Takes registrations, subscriptions to messages waiting and text messages; asks for extension 1001's password."""


def sipp(
    folder: Path, name: str, scenario: str, *, local: str, port: int, remote: str = "", forever: bool = False
) -> OutsideProgram:
    """Runs a scenario from `local`; without `remote` it waits to be asked. Its status is 0 when all went as written."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.xml"
    file.write_text(scenario)
    arguments = [
        *("sipp", *([f"{remote}:5060"] if remote else []), "-sf", str(file), "-i", local, "-p", str(port), "-nostdin"),
        *("-trace_err", "-error_file", str(folder / f"{name}-errors.txt")),
        *([] if forever else ["-m", "1", "-timeout", "60"]),
    ]
    return OutsideProgram(arguments, folder / f"{name}.txt", cwd=folder)
