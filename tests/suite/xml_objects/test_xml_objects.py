"""The Aastra XML objects: always well-formed, never more than a phone takes."""

from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.suite.xml_objects.markup import MAX_BYTES, ObjectTooLarge
from opx.suite.xml_objects.orders import NOTHING, Configuration, Execute, Status, acknowledgement
from opx.suite.xml_objects.parts import EXIT, Contact, InputField, Manner, MenuItem, SoftKey
from opx.suite.xml_objects.screens import (
    Directory,
    FormattedTextScreen,
    ImageMenu,
    ImageScreen,
    InputForm,
    InputScreen,
    Line,
    Picture,
    TextMenu,
    TextScreen,
    XmlObject,
)

ANY = st.text(st.characters(), max_size=40)
KEYS = (SoftKey(1, "Exit", EXIT),)

MAKERS: list[Callable[[str, str], XmlObject]] = [
    lambda a, b: TextMenu(a, (MenuItem(b, a, b, a),), KEYS, manner=Manner(cancel=b)),
    lambda a, b: TextScreen(a, b, KEYS, done=a),
    lambda a, b: FormattedTextScreen((Line(a),), (Line(b, "double", "center"),), (Line(a),), KEYS),
    lambda a, b: InputScreen(a, b, a, b, default=b, keys=KEYS),
    lambda a, b: InputForm(a, b, (InputField(b, "extension", default=a), InputField(a, "pin", "number", True)), KEYS),
    lambda a, b: Directory(a, (Contact(b, a),), KEYS, previous=a, next=b),
    lambda a, b: ImageScreen(Picture(a, 320, 240), KEYS),
    lambda a, b: ImageMenu(Picture(a), (("1", b),), KEYS),
    lambda a, b: Execute((a, b), interrupt_call=False),
    lambda a, b: Status(a, b, 1, "alert", 30),
]


@pytest.mark.parametrize("make", MAKERS)
@given(first=ANY, second=ANY)
def test_whatever_text_is_given_the_object_is_well_formed(
    make: Callable[[str, str], XmlObject], first: str, second: str
) -> None:
    root = ElementTree.fromstring(make(first, second).render())
    assert root.tag.startswith("AastraIPPhone")


def test_a_menu_says_what_was_given_to_it() -> None:
    menu = TextMenu('Tom & "Jerry"', (MenuItem("<1> Müller", "https://h/p?a=1&b=2", "s", "100"),), KEYS, default=1)
    data = menu.render()
    assert b"&quot;Jerry&quot;" in data and b"&lt;1&gt;" in data and "Müller".encode() in data
    root = ElementTree.fromstring(data)
    assert root.get("defaultIndex") == "1" and root.get("destroyOnExit") == "yes"
    item = root.find("MenuItem")
    assert item is not None
    assert [part.text for part in item] == ["<1> Müller", "https://h/p?a=1&b=2", "s", "100"]
    key = root.find("SoftKey")
    assert key is not None and key.get("index") == "1" and key.findtext("URI") == EXIT


def test_an_action_is_answered_with_an_object_that_does_nothing() -> None:
    root = ElementTree.fromstring(acknowledgement())
    assert [item.get("URI") for item in root] == [NOTHING]


def test_no_text_can_add_a_parameter_to_a_configuration() -> None:
    assert ElementTree.fromstring(Configuration((("sip line1 mode", "0"),)).render()).findtext(".//Value") == "0"
    for item in (("language", "1\nadmin password: 1"), ("a\rb", "1")):
        with pytest.raises(ValueError, match="line break"):
            Configuration((item,)).render()


@pytest.mark.parametrize(
    "too_much",
    [
        TextMenu("t", tuple(MenuItem(str(number)) for number in range(31))),
        TextMenu("t", ()),
        TextScreen("t", "x", tuple(SoftKey(1 + number % 6, "x", EXIT) for number in range(7))),
        TextScreen("t", "x", (SoftKey(7, "x", EXIT),)),
        TextScreen("t", "x", (SoftKey(1, "x", EXIT), SoftKey(1, "y", EXIT))),
        Directory("t", tuple(Contact(str(number), "1") for number in range(31))),
        InputForm("t", "https://h/", ()),
        InputScreen("t", "p", "https://h/" + "x" * 600, "a"),
        Execute(("x" * 600,)),
    ],
)
def test_more_than_a_phone_takes_is_refused(too_much: XmlObject) -> None:
    with pytest.raises(ValueError):
        too_much.render()


def test_an_object_has_a_bound_in_bytes() -> None:
    items = tuple(MenuItem("&" * 64, "x" * 500) for _ in range(20))
    with pytest.raises(ObjectTooLarge, match=str(MAX_BYTES)):
        TextMenu("t", items).render()
    TextMenu("t", items[:10]).render()


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    root = ElementTree.fromstring(TextScreen("x" * 100, "y").render())
    title = root.findtext("Title") or ""
    assert len(title) == 64 and title.endswith("…")
