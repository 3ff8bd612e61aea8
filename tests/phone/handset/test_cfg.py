"""Configuration files and which of their values are in force."""

import pytest

from opx.phone.handset import cfg
from opx.phone.handset.keys import Place, keys
from opx.phone.handset.lines import LineUnusable, line_settings
from opx.phone.handset.models import MODELS, Identity
from opx.phone.handset.values import Values


def values(*texts: str, **local: str) -> Values:
    made = Values(local={name.replace("_", " "): value for name, value in local.items()})
    made.load([cfg.read(text) for text in texts])
    return made


def test_lines_comments_quotes_locks_and_resets_are_read() -> None:
    file = cfg.read('# hello\n\nsip proxy ip: 192.0.2.1\n!admin password: "4711"\n^tone set: UK\nsip vmail:\n')
    assert file.problems == ()
    assert file["sip proxy ip"] == "192.0.2.1"
    assert file.settings["admin password"] == cfg.Setting("4711", locked=True)
    assert file.settings["tone set"] == cfg.Setting("UK", reset=True)
    assert file["sip vmail"] == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sip server: x", "unknown parameter sip server"),
        ("sip line25 proxy ip: x", "unknown parameter"),
        ("topsoftkey1 colour: red", "unknown parameter"),
        ("topsoftkey1 type: telepathy", "no key type telepathy"),
        ("admin password: secret", "expected digits only"),
        ("https validate certificates: true", "expected 0 or 1"),
        ("https port: many", "expected a number"),
        ('xml application URI: "http://a', "quotes do not match"),
        ("just some words", "cannot be read"),
        ("tone set: UK\ntone set: US", "set twice"),
    ],
)
def test_whatever_a_handset_would_not_understand_is_told_with_its_line(line: str, said: str) -> None:
    problems = cfg.read(f"# first\n{line}").problems
    assert len(problems) == 1
    assert said in str(problems[0])
    assert problems[0].line == 1 + len(line.splitlines())


def test_a_line_that_cannot_be_read_is_told_without_what_may_be_a_password() -> None:
    (problem,) = cfg.read('sip line1 password: "hunter2').problems
    assert "hunter2" not in str(problem)


def test_what_is_no_text_is_no_configuration() -> None:
    assert cfg.read_bytes(b"\xff\xfe").problems[0].line == 0
    assert "larger" in str(cfg.read_bytes(b"#" * (cfg.MAX_BYTES + 1)).problems[0])


def test_a_later_file_goes_over_an_earlier_one_and_the_phone_over_both() -> None:
    made = values("tone set: US\nlanguage: 1", "tone set: UK", tone_set="Italy")
    assert (made["tone set"], made["language"]) == ("Italy", "1")
    assert made["https port"] == "443", "the firmware's default"


def test_a_locked_parameter_is_the_servers() -> None:
    made = values("!https validate certificates: 1", https_validate_certificates="0")
    assert made.flag("https validate certificates")
    with pytest.raises(ValueError, match="locked"):
        made.type_in("https validate certificates", "0")
    assert not made.configure("https validate certificates", "0", "override")


def test_a_reset_gives_up_what_was_typed() -> None:
    made = values("^https validate certificates: 1", https_validate_certificates="0")
    assert made.flag("https validate certificates")
    assert "https validate certificates" not in made.local


def test_set_types_of_xml_configuration_have_their_places() -> None:
    made = values("tone set: US", language="1")
    made.configure("tone set", "UK", "remote")
    made.configure("language", "2", "remote")
    assert (made["tone set"], made["language"]) == ("UK", "1"), "what was typed masks it"
    made.configure("language", "3", "override")
    assert made["language"] == "3"
    made.configure("language", "4", "oneBoot")
    assert made["language"] == "4"
    with pytest.raises(ValueError, match="setType"):
        made.configure("language", "5", "forever")


# --- lines and keys


def test_a_line_takes_its_own_parameters_and_else_those_of_all_lines() -> None:
    made = values(
        "sip proxy ip: 192.0.2.1\nsip proxy port: 5062\nsip registrar ip: 192.0.2.1\nsip registrar port: 5062\n"
        "sip line1 user name: 1001\nsip line1 auth name: tw1\nsip line1 password: s3cret\nsip line1 screen name: Anna\n"
        "sip registration period: 120\nsip registration retry timer: 5"
    )
    (line,) = line_settings(made, MODELS["6930"])
    assert line.registrar is not None
    assert (line.registrar.server, line.registrar.port, line.registrar.transport) == ("192.0.2.1", 5062, "UDP")
    assert (line.registrar.username, line.registrar.auth_name, line.screen_name) == ("1001", "tw1", "Anna")
    assert (line.policy.expires, line.policy.refresh_at, line.policy.refused_retry) == (120, 0.5, 30.0)
    assert "s3cret" not in repr(line)


def test_a_line_without_user_or_server_is_not_there() -> None:
    assert line_settings(values("sip proxy ip: 192.0.2.1"), MODELS["6930"]) == []
    assert line_settings(values("sip line1 user name: 1001"), MODELS["6930"]) == []


def test_what_the_emulator_cannot_do_is_said() -> None:
    text = "sip proxy ip: 192.0.2.1\nsip line1 user name: 1001\nsip transport protocol: 4"
    with pytest.raises(LineUnusable, match="TLS"):
        line_settings(values(text), MODELS["6930"])


def test_without_any_line_key_the_handset_shows_line_1_and_line_2() -> None:
    assert [key.name for key in keys(values(), MODELS["6930"])] == ["Line 1", "Line 2"]


def test_keys_stand_in_the_order_of_their_places_and_those_that_a_model_lacks_are_left_out() -> None:
    text = (
        "softkey1 type: xml\nsoftkey1 label: Setup\nsoftkey1 value: https://192.0.2.1/setup\nsoftkey1 states: idle\n"
        "topsoftkey2 type: speeddial\ntopsoftkey2 label: Door\ntopsoftkey2 value: 99\n"
        "!topsoftkey1 type: line\ntopsoftkey1 line: 1\nsip line1 screen name: Anna\n"
        "topsoftkey23 type: blf\ntopsoftkey23 value: 1002"
    )
    present = keys(values(text), MODELS["6930"])
    assert [(key.place, key.number, key.name) for key in present] == [
        (Place.TOP, 1, "Anna"),
        (Place.TOP, 2, "Door"),
        (Place.SOFT, 1, "Setup"),
    ]
    assert present[0].locked and not present[1].locked
    assert present[2].states == ("idle",)


def test_a_handset_is_known_by_mac_and_model() -> None:
    identity = Identity.of("14-00-e9-00-00-01", "6930")
    assert identity.user_agent("6.4.0.140") == "Mitel6930 MAC:14-00-E9-00-00-01 V:6.4.0.140-SIP"
    for mac, model in (("14-00", "6930"), ("1400E9000001", "9999")):
        with pytest.raises(ValueError):
            Identity.of(mac, model)
