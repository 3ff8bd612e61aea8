"""Profiles: what they may hold, how they are kept, and what a phone gets of several."""

from dataclasses import replace
from pathlib import Path

import pytest

from opx.suite.handsets.catalogue import model_of
from opx.suite.handsets.keys import Key, compressed, merge_keys, parameters_of
from opx.suite.handsets.parameters import Parameter
from opx.suite.handsets.profiles import PhoneView, Profiles
from opx.suite.handsets.records import PhoneRecord, Side, State
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.profiles.library import Library
from opx.suite.profiles.records import (
    ProfileKind,
    ProfileRecord,
    ProfileSpec,
    Scope,
    Use,
    forbidden,
    read_parameters,
    written,
)
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.sites.records import Conflict, SiteError
from support.suite_store import open_suite

KEYMAP, CONFIGURATION = ProfileKind.KEYMAP, ProfileKind.CONFIGURATION
BASE = "https://203.0.113.1:8202/"
PHONE = PhoneRecord("1400E9123456", "6930", state=State.APPROVED)


def speed_dial(number: int, value: str, location: str = "top") -> Key:
    return Key(location, number, "speeddial", value, f"to {value}")  # type: ignore[arg-type]


def keymap(key: int, *keys: Key, compress: bool = True) -> ProfileRecord:
    return ProfileRecord(key, KEYMAP, f"keymap {key}", "", keys, compress, (), None)


def configuration(key: int, hot_desking: bool | None = None, **values: str) -> ProfileRecord:
    parameters = tuple(Parameter(name.replace("_", " "), value) for name, value in values.items())
    return ProfileRecord(key, CONFIGURATION, f"configuration {key}", "", (), True, parameters, hot_desking)


def view(phone: PhoneRecord = PHONE, model: str = "6930", base: str = BASE) -> PhoneView:
    return PhoneView(phone, None, model, Side.TELEWORKER, base)


def given(profiles: Profiles) -> dict[str, object]:
    return {item.name: item.value for level in profiles.parameters for item in level}


def test_levels_are_merged_default_model_handset_per_key_and_parameter() -> None:
    library = Library()
    library.take(
        [
            keymap(1, speed_dial(3, "100"), speed_dial(4, "101"), speed_dial(5, "102")),
            keymap(2, speed_dial(4, "201")),
            keymap(3, speed_dial(5, "302", "bottom"), speed_dial(5, "302")),
            configuration(4, tone_set="US", language="1", call_waiting="0"),
            configuration(5, tone_set="UK"),
            configuration(6, language="2"),
        ],
        [
            Use(KEYMAP, Scope.DEFAULT, "", 1),
            Use(KEYMAP, Scope.MODEL, "6930", 2),
            Use(CONFIGURATION, Scope.DEFAULT, "", 4),
            Use(CONFIGURATION, Scope.MODEL, "6930", 5),
        ],
    )
    own = replace(PHONE, keymap_profile_id=3, configuration_profile_id=6)
    profiles = library.profiles(view(own))
    merged = {key.place: key.value for key in merge_keys(*profiles.keys)}
    assert merged == {("bottom", 5): "302", ("top", 3): "100", ("top", 4): "201", ("top", 5): "302"}
    assert given(profiles) == {"tone set": "UK", "language": "2", "call waiting": "0"}
    assert given(library.profiles(view(own, model="6940"))) == {"tone set": "US", "language": "2", "call waiting": "0"}


def test_a_hot_desk_extensions_profile_stands_for_the_handsets_and_without_one_that_stays() -> None:
    library = Library()
    profiles = [keymap(1, speed_dial(3, "own")), keymap(2, speed_dial(3, "guest")), configuration(3, tone_set="UK")]
    library.take(profiles, [Use(KEYMAP, Scope.EXTENSION, "77", 2)])
    own = replace(PHONE, keymap_profile_id=1, configuration_profile_id=3)
    for phone, value in ((own, "own"), (replace(own, hot_desk_id=77), "guest"), (replace(own, hot_desk_id=78), "own")):
        merged = merge_keys(*library.profiles(view(phone)).keys)
        assert [key.value for key in merged] == [value]
        assert given(library.profiles(view(phone))) == {"tone set": "UK"}


def test_hot_desking_is_off_unless_the_strongest_level_that_says_something_says_on() -> None:
    library = Library()
    uses = [Use(CONFIGURATION, Scope.DEFAULT, "", 1), Use(CONFIGURATION, Scope.MODEL, "6930", 2)]
    for default, model, wanted in ((None, None, False), (True, None, True), (True, False, False), (False, True, True)):
        library.take([configuration(1, default), configuration(2, model)], uses)
        assert library.hot_desking(view()) is wanted


class Extras:
    """What a suite adds by itself."""

    def parameters(self, view: PhoneView) -> list[Parameter]:
        return [Parameter("action uri poll", "/xml/poll"), Parameter("tone set", "Europe")]

    def keys(self, view: PhoneView, hot_desking: bool) -> list[Key]:
        return [Key("top", 0, "xml", view.base + "xml/desk", "Log In")]


def test_the_suites_own_keys_come_behind_the_others_where_there_is_room() -> None:
    library = Library(Extras())
    library.take([keymap(1, speed_dial(4, "1"), speed_dial(9, "2"))], [Use(KEYMAP, Scope.DEFAULT, "", 1)])
    keys = merge_keys(*library.profiles(view()).keys)
    assert [(key.number, key.type) for key in keys] == [(4, "speeddial"), (9, "speeddial"), (10, "xml")]
    full = [speed_dial(number, "1") for number in range(3, 11)]
    library.take([keymap(1, *full)], [Use(KEYMAP, Scope.DEFAULT, "", 1)])
    # A 6920 has ten keys there, a 6930 more.
    assert "xml" not in [key.type for key in merge_keys(*library.profiles(view(model="6920")).keys)]
    assert "xml" in [key.type for key in merge_keys(*library.profiles(view(model="6930")).keys)]
    assert given(library.profiles(view()))["action uri poll"] == BASE + "xml/poll"


def test_pages_of_the_suite_get_the_address_by_which_this_phone_reaches_it() -> None:
    library = Library()
    page = Key("top", 3, "xml", "/xml/home", "Home")
    library.take(
        [keymap(1, page), configuration(2, action_uri_startup="/xml/up", tone_set="/odd")],
        [Use(KEYMAP, Scope.DEFAULT, "", 1), Use(CONFIGURATION, Scope.DEFAULT, "", 2)],
    )
    profiles = library.profiles(view())
    assert [key.value for key in merge_keys(*profiles.keys)] == [BASE + "xml/home"]
    assert given(profiles) == {"action uri startup": BASE + "xml/up", "tone set": "/odd"}
    nowhere = library.profiles(view(base=""))
    assert merge_keys(*nowhere.keys) == [] and given(nowhere) == {"tone set": "/odd"}


def test_keys_beyond_a_model_are_left_out_and_gaps_closed_and_the_rest_is_locked() -> None:
    keys = compressed([speed_dial(2, "1"), speed_dial(7, "2"), speed_dial(40, "3")])
    assert [key.number for key in keys] == [1, 2, 3]
    lines = [item.line() for item in parameters_of(keys, model_of("6905"))]
    assert "!prgkey3 value: 3" in lines and "!prgkey3 locked: 1" in lines
    wide = parameters_of([speed_dial(11, "1"), speed_dial(3, "2", "expmod1")], model_of("6920"))
    assert [item.name for item in wide if item.name.endswith("value")] == ["expmod1 key3 value"]
    free = parameters_of([replace(speed_dial(1, "1"), free=True)], model_of("6930"))
    assert [item.line() for item in free if item.name.endswith("value")] == ["topsoftkey1 value: 1"]


@pytest.mark.parametrize(
    "name",
    [
        "sip line1 password", "SIP  Line12 Auth Name", "sip password", "sip line1 proxy ip", "sip registrar port",
        "sip outbound proxy", "sip backup registrar ip", "admin password", "user password", "http digest username",
        "download protocol", "https server", "http port", "firmware server", "https validate certificates",
        "xml application post list", "topsoftkey3 value", "expmod1 key2 type",
    ],
)  # fmt: skip
def test_secrets_servers_and_accounts_are_not_a_profiles_to_set(name: str) -> None:
    assert forbidden(name)
    with pytest.raises(SiteError, match="cannot be set in a profile"):
        ProfileSpec(CONFIGURATION, "x", parameters=(Parameter(name, "1"),)).check()


@pytest.mark.parametrize(
    "name", ["tone set", "sip proxied", "sip session timer", "web interface enabled", "sip line1 vmail"]
)
def test_what_concerns_the_phone_alone_may_be_set(name: str) -> None:
    ProfileSpec(CONFIGURATION, "x", parameters=(Parameter(name, "1"),)).check()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (Key("bottom", 1, "line"), "Line key cannot be a softkey"),
        (Key("top", 1, "blf"), "needs a value"),
        (Key("top", 85, "dnd"), "no such key"),
        (Key("side", 1, "dnd"), "no such key"),  # type: ignore[arg-type]
        (Key("top", 1, "telepathy"), "no type of key"),  # type: ignore[arg-type]
        (Key("top", 1, "speeddial", "1\nadmin password: 1"), "printable"),
        (Key("top", 1, "speeddial", "1", 'a"b'), "double quotes"),
        (Key("top", 1, "dnd", states=("asleep",)), "states"),
        (Key("top", 1, "line", line=99), "line from 1 to 24"),
    ],
)
def test_a_key_that_cannot_be_is_refused_at_its_place(key: Key, said: str) -> None:
    with pytest.raises(SiteError, match=said) as raised:
        ProfileSpec(KEYMAP, "x", keys=(key,)).check()
    assert raised.value.field == f"key-{key.location}-{key.number}"


def test_parameters_are_typed_as_in_a_handsets_file() -> None:
    found = read_parameters('# theirs\n!Tone Set: UK\n\nscreen saver : "a # b"\nempty:\n')
    assert [(item.name, item.value) for item in found] == [("tone set", "UK"), ("screen saver", "a # b"), ("empty", "")]
    assert read_parameters(written(found)) == found
    with pytest.raises(SiteError, match="line 2"):
        read_parameters("tone set: UK\nnonsense")


@pytest.mark.usefixtures("each_database")
async def test_profiles_are_kept_copied_used_and_deleted(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        profiles, phones = ProfileRepository(sites.engine), PhoneRepository(sites.engine, sites.sealer)
        spec = ProfileSpec(
            KEYMAP, "Sales", "", (speed_dial(3, "100"), Key("top", 4, "xml", "/xml/home", "Home", 0, ("idle",)))
        )
        sales = await profiles.save(spec)
        other = await profiles.copy(sales.id, "Sales, too")
        assert other.keys == sales.keys == spec.keys and other.id != sales.id
        with pytest.raises(SiteError, match="already"):
            await profiles.save(spec)
        changed = await profiles.save(replace(spec, keys=(speed_dial(5, "1"),)), sales.id, sales.version)
        assert (changed.keys, changed.version) == ((speed_dial(5, "1"),), sales.version + 1)
        with pytest.raises(Conflict):
            await profiles.save(spec, sales.id, sales.version)
        plain = await profiles.save(
            ProfileSpec(CONFIGURATION, "Plain", parameters=(Parameter("tone set", "UK"),), hot_desking=True)
        )
        assert await profiles.profile(plain.id) == plain and [
            item.name for item in await profiles.profiles(KEYMAP)
        ] == [
            "Sales",
            "Sales, too",
        ]
        await profiles.use(KEYMAP, Scope.DEFAULT, "", sales.id)
        await profiles.use(KEYMAP, Scope.MODEL, "6930", sales.id)
        await profiles.use(KEYMAP, Scope.MODEL, "6930", other.id)
        with pytest.raises(SiteError, match="other kind"):
            await profiles.use(KEYMAP, Scope.DEFAULT, "", plain.id)
        await phones.add("1400E9123456")
        await phones.give_profiles("1400E9123456", plain.id, sales.id)
        await profiles.delete(sales.id, changed.version)
        assert await profiles.uses() == [Use(KEYMAP, Scope.MODEL, "6930", other.id)]
        phone = await phones.phone("1400E9123456")
        assert (phone.configuration_profile_id, phone.keymap_profile_id) == (plain.id, None)
        await profiles.use(KEYMAP, Scope.MODEL, "6930", None)
        assert await profiles.uses() == []
