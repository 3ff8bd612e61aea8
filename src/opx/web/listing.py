"""Lists as plain links: search, order and page stand in the address, so that they work without any script."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

PAGE_SIZE = 25
MAX_PAGE = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True)
class ListQuery:
    """`sort` is one of the columns, `descending` its direction; `page` counts from 1; `filters` are further parameters
    that the links keep."""

    path: str
    search: str
    sort: str
    descending: bool
    page: int
    filters: Mapping[str, str] = field(default_factory=dict)
    size: int = PAGE_SIZE

    @classmethod
    def read(
        cls,
        path: str,
        parameters: Mapping[str, str],
        sorts: Sequence[str],
        filters: Mapping[str, Sequence[str]] | None = None,
        *,
        descending: bool = False,
    ) -> "ListQuery":
        """From the address's parameters; whatever is not known counts as not there. The first of `sorts` is the usual
        order, in the direction of `descending`; `filters` holds what each may be."""
        wanted = parameters.get("sort", "")
        sort = wanted.removeprefix("-")
        downward = wanted.startswith("-")
        if sort not in sorts:
            sort, downward = sorts[0], descending
        number = parameters.get("page", "1")
        page = int(number) if number.isascii() and number.isdigit() and len(number) < 8 else 1
        kept = {
            name: parameters[name] for name, allowed in (filters or {}).items() if parameters.get(name, "") in allowed
        }
        search = parameters.get("q", "").strip()[:100]
        return cls(path, search, sort, downward, min(max(1, page), MAX_PAGE), kept)

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.size

    def filter(self, name: str) -> str:
        return self.filters.get(name, "")

    def link(self, **changes: Any) -> str:
        """The address of the same list with something else: `page`, `sort` (with "-" for downward), or a filter."""
        values: dict[str, str] = {**self.filters, "q": self.search, "sort": self.order, "page": str(self.page)}
        if changes.keys() - {"page"}:
            values["page"] = "1"
        values |= {name: str(value) for name, value in changes.items()}
        if values["page"] == "1":
            del values["page"]
        kept = {name: value for name, value in values.items() if value}
        return f"{self.path}?{urlencode(kept)}" if kept else self.path

    @property
    def order(self) -> str:
        return f"-{self.sort}" if self.descending else self.sort

    def sort_link(self, column: str) -> str:
        """The address with that column's order; the other way round when it is the order already."""
        return self.link(sort=f"-{column}" if self.sort == column and not self.descending else column)

    def sort_state(self, column: str) -> str:
        """For `aria-sort`."""
        if column != self.sort:
            return "none"
        return "descending" if self.descending else "ascending"


@dataclass(frozen=True)
class Listing(Generic[T]):
    """One page of a list."""

    query: ListQuery
    rows: Sequence[T]
    total: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.query.size))

    @property
    def first(self) -> int:
        """The number of the first row shown, from 1; 0 when there is none."""
        return self.query.offset + 1 if self.rows else 0

    @property
    def last(self) -> int:
        return self.query.offset + len(self.rows)


def list_of(
    rows: Iterable[T],
    query: ListQuery,
    key: Callable[[T, str], Any],
    texts: Callable[[T], Iterable[str]],
) -> Listing[T]:
    """A page of rows that are all at hand: `key` gives what a column is ordered by, `texts` what is searched."""
    needle = query.search.casefold()
    found = [row for row in rows if not needle or any(needle in text.casefold() for text in texts(row))]
    found.sort(key=lambda row: key(row, query.sort), reverse=query.descending)
    return Listing(query, found[query.offset : query.offset + query.size], len(found))
