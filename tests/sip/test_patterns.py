"""The patterns of the parser take time in proportion to what they read: with a square one these tests never end."""

import re

import pytest

from opx.sip import parser

LENGTH = 300_000

NEARLY = {
    "address with spaces": (parser._USUAL_ADDRESS, "a" + " " * LENGTH + "x"),
    "address with an open string": (parser._USUAL_ADDRESS, '"' + " " * LENGTH),
    "address with a long host": (parser._USUAL_ADDRESS, "<sip:" + "a" * LENGTH + '"'),
    "address with parameters": (parser._USUAL_ADDRESS, "<sip:a@b" + ";a=a" * LENGTH + '"'),
    "address with parameters of its own": (parser._USUAL_ADDRESS, "<sip:a@b>" + ";a=a" * LENGTH + '"'),
    "URI with a long user": (parser._USUAL_URI, "sip:" + "a;" * LENGTH + "<"),
    "URI without a host": (parser._USUAL_URI, "sip:" + "a." * LENGTH + "@"),
    "Via with a long host": (parser._USUAL_VIA, "SIP/2.0/UDP " + "a" * LENGTH + " "),
    "Via with parameters": (parser._USUAL_VIA, "SIP/2.0/UDP a" + ";a=a" * LENGTH + " "),
}


@pytest.mark.parametrize("name", NEARLY)
def test_what_nearly_fits_is_told_in_one_walk(name: str) -> None:
    pattern, text = NEARLY[name]
    assert pattern.match(text) is None


@pytest.mark.parametrize("text", ['"\\' * LENGTH, '\\"' * LENGTH, '"' * LENGTH])
def test_strings_without_an_end_are_found_in_one_walk(text: str) -> None:
    assert re.sub(parser._STRING, "", text).count('"') <= 1
