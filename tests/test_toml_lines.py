"""Places of keys in TOML texts."""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.toml_lines import Key, TomlLines

TEXT = """\
# a comment with a = 1
first = 1
many = [
    10,  # ]
    20, [30,
    40],
]
text = '''
[not.a.table]
first = 2
'''
"quoted.key" = "it's \\"# here\\""
one.two.three = { x = 1, "y z" = [ { deep = 1 } ] }
day = 1979-05-27 07:32:00

[table]
key = \"\"\"
key = "no" \"\"\"\"\"
[table.inner] # first
key = 3

[[item]]
name = "a"
[[item.part]]
size = 1
[[item.part]]
size = 2
[item.more]
colour = "red"
[[ item ]]
name = "b"
[[item.part]]
size = 3
[over.under]
key = 1
[over]
key = 2
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ((), 1),
        (("first",), 2),
        (("many",), 3),
        (("many", 0), 4),
        (("many", 1), 5),
        (("many", 2, 0), 5),
        (("many", 2, 1), 6),
        (("text",), 8),
        (("quoted.key",), 12),
        (("one", "two", "three", "x"), 13),
        (("one", "two", "three", "y z", 0, "deep"), 13),
        (("day",), 14),
        (("table",), 16),
        (("table", "key"), 17),
        (("table", "inner"), 19),
        (("table", "inner", "key"), 20),
        (("item", 0), 22),
        (("item", 0, "name"), 23),
        (("item", 0, "part", 1, "size"), 27),
        (("item", 0, "more", "colour"), 29),
        (("item", 1), 30),
        (("item", 1, "part", 0, "size"), 33),
        (("over", "under", "key"), 35),
        (("over",), 36),
        (("over", "key"), 37),
    ],
)
def test_a_key_is_found_on_its_line(key: Key, line: int) -> None:
    tomllib.loads(TEXT)
    assert TomlLines(TEXT).of(key) == line


@pytest.mark.parametrize(
    ("key", "line"),
    [(("nowhere",), 1), (("table", "nowhere"), 16), (("item", 1, "nowhere"), 30), (("many", 7), 3)],
)
def test_a_key_that_is_missing_is_where_its_table_is(key: Key, line: int) -> None:
    assert TomlLines(TEXT).of(key) == line


def test_lines_count_the_same_with_line_ends_of_windows() -> None:
    text = "a = 1\r\nb = [\r\n1,\r\n2]\r\n"
    tomllib.loads(text)
    assert TomlLines(text).of(("b", 1)) == 4


def paths(value: object, key: Key = ()) -> Iterator[Key]:
    if key:
        yield key
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, (*key, name))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*key, index))


scalars = st.sampled_from(['"text = 1 # ] }"', "'[x]'", "12", "true", "1.5", '"""\n[y]\nz = 1\n"""', "'''a\n#'''"])
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n " + ", # c ]\n ".join(items) + "\n]" if items else "[ ]"),
        st.lists(inner, max_size=3).map(
            lambda items: "{ " + ", ".join(f"in{n} = {item}" for n, item in enumerate(items)) + " }"
        ),
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.sampled_from(["{}", "[t{}]\nk{}", "[[t{}]]\nk{}", "a{}.b{}"]), values), max_size=6))
def test_every_key_of_a_document_has_a_line_that_shows_it(parts: list[tuple[str, str]]) -> None:
    text = ""
    for number, (form, value) in enumerate(parts):
        name = form.replace("{}", str(number)) if form != "{}" else f"r{number}"
        text += f"# {number}\n{name} = {value}\n"
    lines = TomlLines(text)
    shown = text.split("\n")
    for key in paths(tomllib.loads(text)):
        line = lines.of(key)
        assert lines.of((*key, "no such key")) == line
        if isinstance(key[-1], str):
            assert key[-1] in shown[line - 1]
