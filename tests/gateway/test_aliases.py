"""Names that hide the ICP's dialogs from sets."""

from opx.gateway.signalling.aliases import DialogAliases
from opx.sip.replaces import DialogName


def name(number: int) -> DialogName:
    return DialogName(f"call-{number}@10.9.8.20", "t", "f")


def test_an_alias_is_stable_leads_back_and_tells_nothing() -> None:
    aliases = DialogAliases()
    alias = aliases.alias(name(1))
    assert aliases.alias(name(1)) == alias
    assert aliases.real(alias) == name(1)
    assert "10.9.8.20" not in alias.call_id
    assert aliases.real(name(1)) is None


def test_a_dialog_may_be_named_from_its_other_end() -> None:
    aliases = DialogAliases()
    alias = aliases.alias(name(1))
    real = aliases.real(DialogName(alias.call_id, alias.from_tag, alias.to_tag))
    assert real == DialogName(name(1).call_id, "f", "t")


def test_the_one_not_spoken_of_for_longest_is_forgotten() -> None:
    aliases = DialogAliases(limit=2)
    first, second = aliases.alias(name(1)), aliases.alias(name(2))
    aliases.alias(name(1))
    aliases.alias(name(3))
    assert aliases.real(first) == name(1)
    assert aliases.real(second) is None
    assert len(aliases) == 2
