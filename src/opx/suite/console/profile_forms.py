"""The forms of profiles: what was typed as a profile, and a profile as it may be typed."""

from collections.abc import Sequence
from dataclasses import dataclass

from opx.suite.handsets.catalogue import MODELS
from opx.suite.handsets.keys import Key
from opx.suite.profiles.records import ProfileKind, ProfileRecord, ProfileSpec, read_parameters, written
from opx.suite.sites.records import SiteError
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from opx.web.forms import Form

LABELS = {
    "name": "Name",
    "description": "Description",
    "compress": "Close gaps between keys",
    "hot_desking": "Enable Hot Desking",
    "parameters": "Parameters",
}
HOT_DESKING = {"": None, "on": True, "off": False}


@dataclass(frozen=True, slots=True)
class Page:
    """Where the profiles of a kind stand, and what they are called; `one` of them, in a sentence."""

    kind: ProfileKind
    path: str
    title: str
    one: str
    lead: str


def spec_of(form: Form, kind: ProfileKind, keys: Sequence[Key] = ()) -> ProfileSpec:
    """What was typed, beside the keys, which have pages of their own. SiteError."""
    return ProfileSpec(
        kind,
        form.value("name"),
        form.value("description"),
        tuple(keys),
        form.flag("compress"),
        read_parameters(form.value("parameters")),
        HOT_DESKING.get(form.value("hot_desking")),
    )


def form_of(record: ProfileRecord) -> Form:
    hot_desking = next(text for text, value in HOT_DESKING.items() if value is record.hot_desking)
    return Form(
        {
            "name": record.name,
            "description": record.description,
            "compress": "yes" if record.compress else "",
            "hot_desking": hot_desking,
            "parameters": written(record.parameters),
            "version": str(record.version),
        }
    )


def forms_models(form: Form) -> list[str]:
    """The ticked models. SiteError."""
    models = form.values("models")
    if unknown := [model for model in models if model not in MODELS]:
        raise SiteError(f"{unknown[0][:20]!r} is no model that is known", "models")
    return models


async def forms_extensions(form: Form, sites: SiteRepository) -> list[int]:
    """The ids of the hot desk extensions that were typed, with commas or blanks between them. SiteError."""
    numbers = form.value("extensions").replace(",", " ").split()
    if not numbers:
        return []
    found, _ = await sites.extensions(ExtensionQuery(hot_desk=True))
    known = {extension.number: extension.id for extension in found}
    if unknown := [number for number in numbers if number not in known]:
        raise SiteError(f"there is no hot desk extension {unknown[0][:16]}", "extensions")
    return [known[number] for number in dict.fromkeys(numbers)]
