"""Settings files: what is read, and how each mistake is named."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field, field_validator, model_validator

from opx.config import ConfigError, Settings, load_settings, parse_settings


class Line(Settings):
    number: str = Field(pattern=r"^[0-9]+$")
    name: str = ""


class Media(Settings):
    ports: tuple[int, int] = (20000, 30999)
    workers: int = Field(default=1, ge=0, le=64)

    @field_validator("ports")
    @classmethod
    def _range(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError("runs backwards; expected the lower port first")
        return value


class Site(Settings):
    address: str
    transport: Literal["UDP", "TCP"] = "UDP"
    limit: float = 1.0
    secret: str = Field(default="", min_length=3)
    media: Media = Media()
    line: tuple[Line, ...] = ()

    @model_validator(mode="after")
    def _named(self) -> "Site":
        if self.address == "nowhere":
            raise ValueError("address is nowhere; expected somewhere")
        return self


def problems(text: str, model: type[BaseModel] = Site) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_settings(model, text, "site.toml")
    return caught.value.problems


def test_a_file_becomes_a_typed_model(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('address = "127.0.0.1"\nlimit = 2\n[media]\nports = [4000, 5000]\n[[line]]\nnumber = "12"\n')
    site = load_settings(Site, file)
    assert site.media.ports == (4000, 5000)
    assert site.line == (Line(number="12"),)
    assert site.limit == 2.0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "site.toml:1: address: is missing; expected text in quotes"),
        ("address = 5", "site.toml:1: address: is not allowed; expected text in quotes"),
        ('\naddress = "nowhere"', "site.toml:1: address is nowhere; expected somewhere"),
        ('address = ""\ntransport = "SCTP"', "site.toml:2: transport: is not allowed; expected 'UDP' or 'TCP'"),
        ('address = ""\nlimit = "much"', "site.toml:2: limit: is not allowed; expected a number"),
        ('address = ""\nadres = ""', "site.toml:2: adres: unknown key; did you mean address?"),
        (
            'address = ""\nqqq = ""',
            "site.toml:2: qqq: unknown key; expected one of address, limit, line, media, secret, transport",
        ),
        ('address = ""\n[media]\nworker = 2', "site.toml:3: media.worker: unknown key; did you mean workers?"),
        (
            'address = ""\nmedia.workers = 65',
            "site.toml:2: media.workers: is not allowed; expected less than or equal to 64",
        ),
        ('address = ""\nmedia = 3', "site.toml:2: media: is not allowed; expected a table"),
        (
            'address = ""\n[media]\nports = [5, 4]',
            "site.toml:3: media.ports: runs backwards; expected the lower port first",
        ),
        (
            'address = ""\n[media]\nports = [\n4,\n"x"]',
            "site.toml:5: media.ports[1]: is not allowed; expected a whole number",
        ),
        ('address = ""\nline = "x"', "site.toml:2: line: is not allowed; expected a list in brackets"),
        ('address = ""\n[[line]]', "site.toml:2: line[0].number: is missing; expected text in quotes"),
        (
            'address = ""\n[[line]]\nnumber = "1"\n[[line]]\nnumber = "x"',
            "site.toml:5: line[1].number: is not allowed; expected text that matches ^[0-9]+$",
        ),
        (
            'address = ""\n[[line]]\nnumber = "1"\nnmae = "x"',
            "site.toml:4: line[0].nmae: unknown key; did you mean name?",
        ),
        ("address = \n", "site.toml:1: Invalid value; expected TOML"),
        ('address = ""\naddress = ""', "site.toml:2: a key is there twice; expected each key once"),
        ('\n\naddress = """\n', "site.toml:3: Unterminated string; expected TOML"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_key_with_what_would_be_right(text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file() -> None:
    found = problems('limit = "x"\nlimt = 1\n[media]\nworkers = -1\n[[line]]\n')
    assert [problem.split(" ")[0] for problem in found] == [f"site.toml:{n}:" for n in (1, 1, 2, 4, 5)]


def test_no_mistake_shows_the_value_that_was_written() -> None:
    assert "hm" not in "\n".join(problems('address = ""\nsecret = "hm"'))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_settings(Site, tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.toml: is not UTF-8 text"):
        load_settings(Site, tmp_path / "binary.toml")
