"""Who a request says that it comes from, and what it asks for, whatever a stranger writes there."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.suite.handsets.catalogue import MODELS, model_of
from opx.suite.handsets.identify import identify, mac_of, path_of

MITEL = "Mitel6930 MAC:14-00-E9-12-34-56 V:6.4.0.140-SIP"


@pytest.mark.parametrize(
    ("user_agent", "model", "mac", "firmware"),
    [
        (MITEL, "6930", "1400E9123456", "6.4.0.140-SIP"),
        ("Mitel6940w MAC:14-00-e9-ab-cd-ef V:6.4.0.140-SIP", "6940w", "1400E9ABCDEF", "6.4.0.140-SIP"),
        ("Aastra6867i MAC:00-08-5D-40-90-5F V:4.1.0.128-SIP", "6867i", "00085D40905F", "4.1.0.128-SIP"),
        ("Aastra57i MAC:00-08-5D-13-CA-05 V:2.0.1.1055-0035-00-A1", "6757i", "00085D13CA05", "2.0.1.1055-0035-00-A1"),
    ],
)
def test_a_handset_names_its_model_its_mac_and_its_firmware(
    user_agent: str, model: str, mac: str, firmware: str
) -> None:
    found = identify(user_agent)
    assert found is not None
    assert (found.model, found.mac, found.firmware) == (model, mac, firmware)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_of_the_catalogue_is_known_by_its_own_name(model: str) -> None:
    maker = "Mitel" if model.startswith("69") else "Aastra"
    found = identify(f"{maker}{model} MAC:14-00-E9-12-34-56 V:1.0-SIP")
    assert found is not None and model_of(found.model).name == model


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        "curl/8.0",
        "Mozilla/5.0 " + MITEL,
        MITEL + " ",
        MITEL + "\n",
        MITEL + "\r\nX-Evil: 1",
        " " + MITEL,
        MITEL.replace("-34-", ":34:"),
        MITEL.replace("14-00", "1400"),
        MITEL.replace("56 V", "5G V"),
        MITEL.replace("56 V", "56-78 V"),
        MITEL.replace("Mitel", "Yealink"),
        MITEL.replace("6930", "6930/../x"),
        MITEL.replace("6930", ""),
        MITEL.replace("6930", "６９３０"),
        MITEL.replace("6.4.0.140-SIP", ""),
        MITEL.replace("6.4.0.140-SIP", "<script>"),
        MITEL.replace("6.4.0.140-SIP", "9" * 200),
    ],
)
def test_what_is_not_a_handsets_to_the_letter_is_none(user_agent: str) -> None:
    assert identify(user_agent) is None


@given(st.text(max_size=200) | st.from_regex(r"(Mitel|Aastra).{0,12} MAC:.{0,20} V:.{0,40}"))
def test_whatever_is_taken_is_safe_to_write_down(user_agent: str) -> None:
    found = identify(user_agent)
    if found is not None:
        assert re.fullmatch(r"[0-9A-F]{12}", found.mac)
        assert re.fullmatch(r"[0-9a-z]{2,8}", found.model)
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,32}", found.firmware)


@given(st.binary(max_size=300))
def test_no_path_leads_out_of_the_root(raw: bytes) -> None:
    path = path_of(raw)
    if path is not None:
        assert path and not path.startswith("/") and "\\" not in path and path.isprintable()
        assert not set(path.split("/")) & {"", ".", ".."}


@pytest.mark.parametrize("raw", [b"/%2e%2e/x", b"//x", b"/a/../b", b"/a%00b", b"/a%0d%0ab", b"/%5c..%5cx", b"x", b""])
def test_a_path_that_no_phone_asks_for_is_none(raw: bytes) -> None:
    assert path_of(raw) is None


@pytest.mark.parametrize(
    ("path", "mac"),
    [
        ("1400E9123456.cfg", "1400E9123456"),
        ("1400e9123456.cfg", "1400E9123456"),
        ("1400E912345.cfg", None),
        ("1400E91234567.cfg", None),
        ("x/1400E9123456.cfg", None),
        ("1400E9123456.cfg\n", None),
        ("1400E9123456.tuz", None),
        ("startup.cfg", None),
    ],
)
def test_a_phones_own_file_is_known_by_its_name(path: str, mac: str | None) -> None:
    assert mac_of(path) == mac
