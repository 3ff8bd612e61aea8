"""Single values of a TOML text are changed, and nothing else is."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.toml_edit import CannotEdit, merged, with_values

TEXT = """\
# The gateway in Bern
database = "gateway.db"   # on the fast disk

[set_side]
address = "203.0.113.10"  # fibre
transports = [
    "UDP",   # phones
    "TCP",
]

# What was bought
[limits]
licences = 50 # until June
emergency_numbers = ["112"]

[[device]]
name = "a"
"""


def test_a_value_is_replaced_where_it_stands_and_its_comment_stays() -> None:
    changed = with_values(TEXT, {("limits", "licences"): 60, ("set_side", "address"): "203.0.113.11"})
    assert changed == TEXT.replace("50 #", "60 #").replace("113.10", "113.11")


def test_a_value_of_several_lines_is_replaced_as_a_whole() -> None:
    changed = with_values(TEXT, {("set_side", "transports"): ("UDP",)})
    assert 'transports = ["UDP"]\n\n# What was bought' in changed


def test_a_new_key_goes_to_the_end_of_its_table_and_a_new_table_to_the_end() -> None:
    changed = with_values(TEXT, {("limits", "calls"): 10, ("media", "dscp"): 46, ("permit_weak_passwords",): True})
    assert 'emergency_numbers = ["112"]\ncalls = 10\n\n[[device]]' in changed
    assert changed.endswith('name = "a"\n\n[media]\ndscp = 46\n')
    assert 'database = "gateway.db"   # on the fast disk\npermit_weak_passwords = true\n' in changed


def test_a_top_level_key_goes_before_the_first_table_where_there_is_none_yet() -> None:
    changed = with_values("# a comment\n[limits]\ncalls = 1", {("permit_weak_passwords",): True})
    assert tomllib.loads(changed) == {"permit_weak_passwords": True, "limits": {"calls": 1}}
    assert "# a comment" in changed


def test_a_key_is_taken_away_with_its_line() -> None:
    assert with_values(TEXT, {("limits", "licences"): None}) == TEXT.replace("licences = 50 # until June\n", "")
    assert with_values(TEXT, {("media", "dscp"): None}) == TEXT


def test_inline_tables_and_dotted_keys_are_changed_in_their_place() -> None:
    text = 'limits = { licences = 5, calls = 7 }\nmedia.dscp = 46\n"quoted".x = 1\n'
    changed = with_values(text, {("limits", "calls"): 8, ("media", "dscp"): 0, ("quoted", "x"): 2})
    assert changed == 'limits = { licences = 5, calls = 8 }\nmedia.dscp = 0\n"quoted".x = 2\n'


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("limits = { licences = 5 }", ("limits", "licences"), None),
        ("limits = { licences = 5 }", ("limits", "calls"), 7),
        ("limits.licences = 5", ("limits", "calls"), 7),
    ],
)
def test_what_only_its_owner_can_change_is_left_alone(text: str, key: tuple[str, ...], value: int | None) -> None:
    with pytest.raises(CannotEdit, match=r"limits\."):
        with_values(text, {key: value})


def test_an_empty_text_gets_what_it_needs() -> None:
    changed = with_values("", {("set_side", "address"): "203.0.113.10", ("import_file",): "a.toml"})
    assert tomllib.loads(changed) == {"set_side": {"address": "203.0.113.10"}, "import_file": "a.toml"}


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda x: x + 0.5),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
)
keys = st.sampled_from(
    [
        ("database",),
        ("fresh",),
        ("set_side", "address"),
        ("set_side", "transports"),
        ("limits", "licences"),
        ("new", "a"),
    ]
)


@given(st.dictionaries(keys, values, max_size=6))
def test_whatever_is_changed_is_read_back_and_the_comments_stay(changes: dict[tuple[str, ...], object]) -> None:
    changed = with_values(TEXT, changes)  # type: ignore[arg-type]
    expected = merged(tomllib.loads(TEXT), changes)  # type: ignore[arg-type]
    found = tomllib.loads(changed)
    assert {key: value for key, value in found.items() if value != {}} == {
        key: value for key, value in expected.items() if value != {}
    }
    assert "# The gateway in Bern" in changed and "# What was bought" in changed
