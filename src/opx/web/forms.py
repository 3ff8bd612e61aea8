"""What came with a form, kept as it was typed, with each mistake at its field."""

from collections.abc import Iterable, Mapping, Sequence

from starlette.datastructures import FormData, UploadFile


class Form:
    """Values and mistakes of one form, for a page that shows it (again)."""

    def __init__(self, values: Mapping[str, str | Sequence[str]] | None = None) -> None:
        self._values = {
            name: [value] if isinstance(value, str) else list(value) for name, value in (values or {}).items()
        }
        self.files: dict[str, UploadFile] = {}
        """What was chosen in the form's file fields, by field; a field with nothing in it is not there."""
        self.errors: dict[str, str] = {}
        """By field; "" is for what concerns no single field."""

    @classmethod
    def of(cls, data: FormData) -> "Form":
        """What a browser sent."""
        found: dict[str, list[str]] = {}
        files: dict[str, UploadFile] = {}
        for name, value in data.multi_items():
            if isinstance(value, str):
                found.setdefault(name, []).append(value)
            elif value.filename:
                files[name] = value
        form = cls(found)
        form.files = files
        return form

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def value(self, name: str) -> str:
        """What was typed, without blanks around it; "" when there is none."""
        return self.exact(name).strip()

    def exact(self, name: str) -> str:
        """What was typed, to the letter: for passwords."""
        values = self._values.get(name)
        return values[-1] if values else ""

    def values(self, name: str) -> list[str]:
        """All values of a field that may stand there several times."""
        return self._values.get(name, [])

    def flag(self, name: str) -> bool:
        """Whether a box is ticked."""
        return self.value(name) not in ("", "no")

    def number(self, name: str) -> int | None:
        """A whole number, None when the field is empty or wrong; a wrong one is noted as a mistake."""
        text = self.value(name)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            self.refuse(name, f"{text!r} is no whole number")
            return None
        return int(text)

    def refuse(self, name: str, problem: str) -> None:
        """Note a mistake; the first one at a field stands."""
        self.errors.setdefault(name, problem)

    def error(self, name: str) -> str:
        return self.errors.get(name, "")

    def problems(self, fields: Iterable[str]) -> list[tuple[str, str]]:
        """The mistakes in the order of `fields`, then those of no field of theirs, whose name is "" here."""
        order = list(fields)
        known = [(name, self.errors[name]) for name in order if name in self.errors]
        return known + [("", text) for name, text in self.errors.items() if name not in order]
