"""The files that are produced, key by key, beside what provisioners that drive real handsets are known to write.

The table is of names and the form of their values, gathered from public provisioners and administrator guides. A name
that no one is known to write would be our own invention, and fails here.
"""

import re
from dataclasses import replace
from typing import Any

import pytest

from opx.suite.handsets import files
from opx.suite.handsets.catalogue import MODELS, model_of
from opx.suite.handsets.files import Assigned, Place
from opx.suite.handsets.keys import Key
from opx.suite.handsets.lines import missing
from opx.suite.handsets.parameters import Parameter, render
from opx.suite.handsets.profiles import Profiles
from opx.suite.handsets.provision import Provision
from opx.suite.handsets.records import PhoneRecord, Side, State
from opx.suite.sites.records import Credentials, ExtensionRecord, NodeRecord

HOST = r"[A-Za-z0-9.-]+"
URL = rf"https://{HOST}:\d+(/[\w./-]*)?"
FLAG, NUMBER, TEXT, PORT = r"[01]", r"-?\d+", r".*", r"\d{1,5}"

KNOWN: dict[str, str] = {
    r"download protocol": r"TFTP|FTP|HTTP|HTTPS",
    r"https server": HOST,
    r"https path": r"[\w/.-]*",
    r"https port": PORT,
    r"https user certificates": URL,
    r"https validate (certificates|hostname|expires)": FLAG,
    r"firmware server": URL,
    r"upgrade uri": URL,
    r"contact rcs": FLAG,
    r"inactive minet present": FLAG,
    r"auto resync mode": r"[0-3]",
    r"auto resync time": r"([01]\d|2[0-3]):(00|15|30|45)",
    r"auto resync (max delay|days)": NUMBER,
    r"http digest force login": FLAG,
    r"http digest username": r"[\w@#%=-]{1,40}",
    r"http digest password": r"[A-Za-z0-9]{1,20}",
    r"admin password": r"\d+",
    r"user password": r"\d+",
    r"sip transport protocol": r"[0124]",
    r"sip registration period": NUMBER,
    r"sip registration (timeout )?retry timer": NUMBER,
    r"sip rport": FLAG,
    r"sip whitelist": FLAG,
    r"sip xml notify event": FLAG,
    r"sip explicit mwi subscription": FLAG,
    r"sip out-of-band dtmf": FLAG,
    r"sip dtmf method": r"[0-2]",
    r"sip srtp mode": r"[0-2]",
    r"sip line\d+ (proxy|registrar) ip": HOST,
    r"sip line\d+ outbound proxy": HOST,
    r"sip line\d+ (proxy|outbound proxy|registrar) port": PORT,
    r"sip line\d+ (user name|auth name|password|display name|screen name|screen name 2)": TEXT,
    r"sip line\d+ mode": r"\d",
    r"(top)?softkey\d+ (type|value|label|states)": TEXT,
    r"prgkey\d+ (type|value|label)": TEXT,
    r"expmod[1-3] key\d+ (type|value|label)": TEXT,
    r"((top)?softkey|prgkey|expmod[1-3] key)\d+ line": r"\d+",
    r"((top)?softkey|prgkey|expmod[1-3] key)\d+ locked": FLAG,
    r"action uri poll": URL,
    r"action uri poll interval": NUMBER,
    r"xml application post list": rf"{HOST}(,{HOST})*",
    r"log server ip": HOST,
    r"log server port": PORT,
    r"log module [a-z ]+": NUMBER,
    r"tos (sip|rtp)": NUMBER,
    r"time server disabled": FLAG,
    r"time server[1-3]": HOST,
    r"time zone name": r"Custom",
    r"time zone minutes": NUMBER,
    r"dst config": r"[0-3]",
    r"language": NUMBER,
    r"language 1": r"lang_[a-z_]+\.txt",
    r"tone set": r"[A-Za-z ]+",
    r"web interface enabled": FLAG,
}
ALWAYS = {
    "http digest username",
    "http digest password",
    "http digest force login",
    "admin password",
    "user password",
    *(
        f"sip line1 {name}"
        for name in ("proxy ip", "proxy port", "registrar ip", "registrar port", "user name", "auth name", "password",
                     "display name", "screen name", "mode")
    ),
}  # fmt: skip

NODE = NodeRecord(1, 1, "Node 1", "192.168.20.20", 5060, "203.0.113.1", 5065, "")
EXTENSION = ExtensionRecord(
    1, 1, 1, "2001", "Anna", False, True, Credentials("2001", "pbx#pass"), True, Credentials("tw-1", "set-side"), 1
)
PHONE = PhoneRecord(
    "1400E9123456", "6930", state=State.APPROVED, extension_id=1, digest=Credentials("opx-1400e9123456", "q" * 20),
    admin_password="1234567890", user_password="654321",
)  # fmt: skip
PROVISION = Provision(
    language="de", tone_set="Germany", time_server="192.168.20.3", teleworker_time_server="time.example.com"
)
OUTSIDE, INSIDE = Place(Side.TELEWORKER, "203.0.113.1", 8202), Place(Side.LOCAL, "opx.example.com", 8202)


def written(parameters: list[Parameter]) -> dict[str, str]:
    """Name and value as a handset reads them."""
    found: dict[str, str] = {}
    for line in render("c", parameters).decode().splitlines()[1:]:
        name, colon, value = line.partition(":")
        assert colon
        value = value.strip()
        found[name.lstrip("!^").lower()] = value[1:-1] if value.startswith('"') else value
    return found


def own(place: Place, model: str = "6930", profiles: Profiles | None = None, **more: Any) -> dict[str, str]:
    assigned = Assigned(replace(EXTENSION, **more), NODE)
    return written(files.own(PHONE, assigned, model_of(model), place, PROVISION, profiles or Profiles()))


def all_files(place: Place, model: str) -> list[dict[str, str]]:
    shape = model_of(model)
    return [
        written(files.system(place, PROVISION, "192.168.20.10")),
        written(files.of_model(shape, place)),
        written(files.stranger(shape, place, PROVISION)),
        written(files.stranger(shape, place, PROVISION.model_copy(update={"log_in": "xml"}))),
        own(place, model),
    ]


@pytest.mark.parametrize("place", [OUTSIDE, INSIDE], ids=["outside", "inside"])
@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_parameter_is_one_that_provisioners_write_in_its_form(model: str, place: Place) -> None:
    for file in all_files(place, model):
        for name, value in file.items():
            forms = [form for known, form in KNOWN.items() if re.fullmatch(known, name)]
            assert forms, f"nobody is known to write {name!r}"
            assert re.fullmatch(forms[0], value), f"{name}: {value!r} is not of the form {forms[0]}"
    assert own(place, model).keys() >= ALWAYS


def test_a_phone_outside_is_told_of_nothing_inside() -> None:
    for file in all_files(OUTSIDE, "6930"):
        for name, value in file.items():
            assert not re.search(r"192\.168|opx\.example|pbx#pass", value), name
            assert not re.match(r"ldap|tftp|log |multicast|paging|xml application post list", name), name
    assert written(files.system(OUTSIDE, PROVISION, "192.168.20.10"))["sip xml notify event"] == "1"


def test_what_belongs_inside_is_kept_from_the_outside_whoever_asks_for_it() -> None:
    asked = [Parameter("log server ip", "192.168.20.10"), Parameter("LDAP server", "x"), Parameter("tone set", "UK")]
    given = own(OUTSIDE, profiles=Profiles([asked]))
    assert given["tone set"] == "UK" and "log server ip" not in given and "ldap server" not in given
    assert own(INSIDE, profiles=Profiles([asked]))["log server ip"] == "192.168.20.10"


def test_the_outside_and_the_inside_have_an_account_each() -> None:
    outside, inside = own(OUTSIDE), own(INSIDE)
    for name in ("proxy", "registrar"):
        assert (outside[f"sip line1 {name} ip"], outside[f"sip line1 {name} port"]) == ("203.0.113.1", "5065")
        assert (inside[f"sip line1 {name} ip"], inside[f"sip line1 {name} port"]) == ("192.168.20.20", "5060")
    assert [outside[f"sip line1 {name}"] for name in ("user name", "auth name", "password")] == ["tw-1"] * 2 + [
        "set-side"
    ]
    assert [inside[f"sip line1 {name}"] for name in ("user name", "auth name", "password")] == ["2001"] * 2 + [
        "pbx#pass"
    ]
    assert outside["sip line1 screen name 2"] == inside["sip line1 screen name 2"] == "2001"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"teleworker": False}, "is not for teleworkers"),
        ({"remote": None}, "is not for teleworkers"),
        ({"present": False}, "has no extension 2001 any more"),
    ],
)
def test_an_extension_that_cannot_be_used_outside_gives_an_account_that_registers_nowhere(
    more: dict[str, Any], why: str
) -> None:
    given = own(OUTSIDE, **more)
    assert (given["sip line1 registrar ip"], given["sip line1 password"]) == ("0.0.0.0", "")
    assert why in missing(replace(EXTENSION, **more), NODE, Side.TELEWORKER)


def test_what_the_suite_must_be_sure_of_no_profile_changes() -> None:
    wanted = [
        Parameter("sip line1 password", "x"),
        Parameter("https server", "evil.example.com"),
        Parameter("HTTPS validate certificates", False),
        Parameter("http digest password", "x"),
        Parameter("admin password", "22222"),
        Parameter("sip transport protocol", 4),
    ]
    given = own(OUTSIDE, profiles=Profiles([wanted]))
    assert given == own(OUTSIDE)


def test_levels_of_profiles_are_merged_and_locked_the_last_one_first() -> None:
    levels = [[Parameter("tone set", "US"), Parameter("sip dtmf method", 1)], [Parameter("tone set", "UK")]]
    keys = [[Key("top", 3, "blf", "2002", "Ben")], [Key("top", 3, "speeddial", "2003", "Cleo"), Key("top", 9, "dnd")]]
    profiles = Profiles(levels, keys)
    text = render("c", files.own(PHONE, None, model_of("6930"), OUTSIDE, PROVISION, profiles)).decode()
    assert "!tone set: UK\n" in text and "!sip dtmf method: 1\n" in text and "tone set: US" not in text
    assert "!topsoftkey3 type: speeddial\n" in text and "!topsoftkey4 type: dnd\n" in text


def test_without_an_extension_a_phone_of_the_lan_has_a_setup_key_and_one_outside_has_not() -> None:
    inside = written(files.own(PHONE, None, model_of("6930"), INSIDE, PROVISION, Profiles()))
    outside = written(files.own(PHONE, None, model_of("6930"), OUTSIDE, PROVISION, Profiles()))
    assert [inside[f"topsoftkey{number} label"] for number in (1, 2, 3)] == ["Line 1", "Line 2", "Setup"]
    assert "topsoftkey3 label" not in outside and "topsoftkey3 label" not in own(INSIDE)


def test_line_keys_stand_where_the_model_has_keys() -> None:
    for model, first in (("6930", "topsoftkey1"), ("6910", "prgkey1"), ("6739i", "softkey1")):
        assert own(OUTSIDE, model)[f"{first} type"] == "line"
    assert not [name for name in own(OUTSIDE, "6751i") if "key" in name]


def test_without_a_remote_client_location_no_address_is_made_up() -> None:
    nowhere = Place(Side.TELEWORKER, "", 8202)
    for file in (*all_files(nowhere, "6930"),):
        assert not [value for value in file.values() if value.startswith("https:")]
        assert "https server" not in file


def test_with_an_own_certificate_phones_are_sent_to_no_authority() -> None:
    place = replace(OUTSIDE, authority=False)
    given = own(place)
    assert "https user certificates" not in given and given["https validate certificates"] == "1"


def test_what_cannot_be_written_is_refused_and_named() -> None:
    broken = replace(EXTENSION, remote=Credentials("tw-1", 'a"b'))
    with pytest.raises(ValueError, match="sip line1 password"):
        render("c", files.own(PHONE, Assigned(broken, NODE), model_of("6930"), OUTSIDE, PROVISION, Profiles()))
