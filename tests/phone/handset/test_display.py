"""XML objects, what a handset shows of them, and what pressing its keys makes it do. In memory."""

import pytest

from opx.phone.handset import xml_objects
from opx.phone.handset.action_uris import bound
from opx.phone.handset.display import LOGIN, LOGIN_PAGE, Display, NothingThere
from opx.phone.handset.lists import directory_page
from opx.phone.handset.xml_objects import (
    Configuration,
    Configured,
    Execute,
    ObjectError,
    Page,
    Status,
    XmlObject,
    read,
)

MENU = b"""<AastraIPPhoneTextMenu destroyOnExit="yes" cancelAction="https://s/away" LockIn="yes" Timeout="30">
<Title>Who?</Title>
<MenuItem><Prompt>Anna</Prompt><URI>https://s/anna</URI><Selection>7</Selection></MenuItem>
<MenuItem><Prompt>Door</Prompt><URI></URI><Dial line="1">99</Dial></MenuItem>
<SoftKey index="1"><Label>Pick</Label><URI>SoftKey:Select</URI></SoftKey>
<SoftKey index="2"><Label>Delete</Label><URI>https://s/delete?a=b</URI></SoftKey>
<SoftKey index="6"><Label>Back</Label><URI>SoftKey:Exit</URI></SoftKey>
</AastraIPPhoneTextMenu>"""
INPUT = b"""<AastraIPPhoneInputScreen type="number" password="yes" destroyOnExit="yes">
<Title>PIN</Title><Prompt>Your PIN</Prompt><URL>https://s/login?x=1</URL><Parameter>pin</Parameter><Default></Default>
</AastraIPPhoneInputScreen>"""
FORM = b"""<AastraIPPhoneInputScreen type="string"><Title>Log in</Title><URL>https://s/in</URL>
<InputField type="number"><Prompt>Extension</Prompt><Parameter>ext</Parameter><Default></Default></InputField>
<InputField password="yes"><Prompt>Word</Prompt><Parameter>word</Parameter><Default>a&amp;b</Default></InputField>
</AastraIPPhoneInputScreen>"""


def page(data: bytes) -> Page:
    found = read(data)
    assert isinstance(found, Page)
    return found


def shown(data: bytes) -> Display:
    display = Display()
    display.show(page(data))
    return display


def test_a_menu_is_chosen_from_by_number_by_text_and_by_its_softkey() -> None:
    display = shown(MENU)
    assert display.choose(1) == display.choose("Anna") == "https://s/anna"
    assert display.choose(2) == "Dial:99"
    display.move(1)
    assert display.press("pick") == "https://s/anna", "the cursor goes round"
    with pytest.raises(NothingThere, match="Anna, Door"):
        display.choose(3)


def test_a_softkey_of_its_own_takes_the_selection_along() -> None:
    display = shown(MENU)
    assert display.press("Delete") == "https://s/delete?a=b&selection=7"
    display.move(1)
    assert display.press("Delete") == "https://s/delete?a=b"
    with pytest.raises(NothingThere, match="no softkey Setup"):
        display.press("Setup")


def test_leaving_a_page_fetches_what_it_asks_for_and_shows_the_one_before() -> None:
    display = shown(INPUT)
    display.show(page(MENU))
    assert [each.title for each in display.pages] == ["Who?"], "the first was to be destroyed"
    display.show(page(FORM))
    assert display.press("Exit") == ""
    assert display.page is None, "the menu, too"
    display.show(page(MENU))
    assert display.press("Back") == "https://s/away"
    assert display.page is None
    assert display.leave() == ""
    with pytest.raises(NothingThere, match="idle"):
        display.press("Back")


def test_what_was_typed_goes_along_as_the_parameter() -> None:
    display = shown(INPUT)
    with pytest.raises(NothingThere, match="digits"):
        display.type_in("secret")
    display.type_in("12#4")
    assert display.press("Submit") == "https://s/login?x=1&pin=12%234"


def test_several_fields_are_filled_one_after_the_other_or_by_their_prompts() -> None:
    display = shown(FORM)
    display.type_in("1001")
    assert display.cursor == 1
    assert display.press("Submit") == "https://s/in?ext=1001&word=a%26b"
    display.type_in("1002", "Extension")
    display.type_in("ö", "Word")
    assert display.press("Submit") == "https://s/in?ext=1002&word=%C3%B6"


def test_the_handsets_own_log_in_page_sends_nothing_by_itself() -> None:
    display = Display()
    display.show(LOGIN_PAGE)
    display.type_in("1001")
    display.type_in("471147")
    assert display.press("Submit") == LOGIN


def test_a_status_stays_until_an_empty_one_takes_it_away() -> None:
    display = Display()
    text = '<AastraIPPhoneStatus><Session>hot</Session><Message index="0">{}</Message></AastraIPPhoneStatus>'
    for content, expected in (("Logged in", {"hot": {0: "Logged in"}}), ("", {})):
        found = read(text.format(content).encode())
        assert isinstance(found, Status)
        display.status(found)
        assert display.messages == expected


def test_a_screen_of_formatted_text_shows_its_lines() -> None:
    found = page(
        b"<AastraIPPhoneFormattedTextScreen><Line>one</Line><Scroll><Line>two</Line></Scroll></AastraIPPhoneFormattedTextScreen>"
    )
    assert found.text == "one\ntwo"


def test_orders_and_parameters_are_read() -> None:
    assert read(
        b'<AastraIPPhoneExecute><ExecuteItem URI="Command: Reset"/><ExecuteItem URI=""/></AastraIPPhoneExecute>'
    ) == Execute(("Command: Reset", ""))
    found: XmlObject = read(
        b'<AastraIPPhoneConfiguration setType="override"><ConfigurationItem setType="local">'
        b"<Parameter>tone set</Parameter><Value>UK</Value></ConfigurationItem>"
        b'<ConfigurationItem firstItem="1" lastItem="2"><Parameter>topsoftkey# type</Parameter><Value>none</Value>'
        b"</ConfigurationItem></AastraIPPhoneConfiguration>"
    )
    assert found == Configuration(
        (
            Configured("tone set", "UK", "local"),
            Configured("topsoftkey1 type", "none", "override"),
            Configured("topsoftkey2 type", "none", "override"),
        )
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no"),
        (b"<html><p>", "not well-formed"),
        (b"<html/>", "no object of a phone"),
        (b"<AastraIPPhoneTelepathy/>", "no object of a phone"),
        (b"<AastraIPPhoneTextMenu><Title>x</Title></AastraIPPhoneTextMenu>", "without items"),
        (b"<AastraIPPhoneInputScreen><Title>x</Title></AastraIPPhoneInputScreen>", "without URL"),
        (b'<AastraIPPhoneTextScreen><SoftKey index="11"/></AastraIPPhoneTextScreen>', "index '11'"),
        (b"<AastraIPPhoneTextScreen>" + b" " * xml_objects.MAX_OBJECT + b"</AastraIPPhoneTextScreen>", "bytes"),
        (b"<AastraIPPhoneExecute>" + b'<ExecuteItem URI=""/>' * 31 + b"</AastraIPPhoneExecute>", "more than 30"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><AastraIPPhoneTextScreen/>', "document type"),
    ],
)
def test_what_a_handset_would_not_show_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ObjectError, match=said):
        read(data)


def test_variables_are_filled_in_fit_for_a_query_and_unknown_ones_become_nothing() -> None:
    assert (
        bound("https://s/?n=$$REMOTENUMBER$$&x=$$NOSUCH$$", {"REMOTENUMBER": "+44 1&2"})
        == "https://s/?n=%2B44%201%262&x="
    )


def test_a_directory_is_dialled_from() -> None:
    display = Display()
    display.show(directory_page({"directory 1": '# staff\n"Anna B", 1001\nnobody\n', "directory 2": "Door,99,1"}))
    assert [item.prompt for item in display.pages[0].items] == ["Anna B  1001", "Door  99"]
    assert display.choose(2) == "Dial:99"
