"""sipp as the load: what it is told, and what it says of a run. Its scenarios are in `sipp_scenarios`."""

from dataclasses import dataclass
from pathlib import Path

PASSWORD = "Bench-Password-1"
SCENARIOS = Path(__file__).parent / "sipp_scenarios"


@dataclass(frozen=True, slots=True)
class SippResult:
    """What sipp counted over a run. `worst_second` is the most retransmissions between two lines of its statistics."""

    succeeded: int
    failed: int
    retransmissions: int
    worst_second: int


def read_statistics(path: Path) -> SippResult:
    """A `-trace_stat` file with a line per second."""
    header, *lines = path.read_text().strip().splitlines()
    names = header.split(";")
    rows = [dict(zip(names, line.split(";"), strict=False)) for line in lines]
    last = rows[-1]
    return SippResult(
        int(last["SuccessfulCall(C)"]),
        int(last["FailedCall(C)"]),
        int(last["Retransmissions(C)"]),
        max(int(row["Retransmissions(P)"]) for row in rows),
    )


def write_users(path: Path, usernames: list[str]) -> None:
    """sipp's CSV, walked through in order."""
    lines = (f"{name};[authentication username={name} password={PASSWORD}];\n" for name in usernames)
    path.write_text("SEQUENTIAL\n" + "".join(lines))


def write_scenario(name: str, folder: Path, *, hold: float) -> Path:
    """A scenario, ready to be run; calls of it last `hold` seconds."""
    text = (SCENARIOS / f"{name}.xml").read_text()
    path = folder / f"{name}.xml"
    path.write_text(text.replace('"HOLD"', f'"{int(hold * 1000)}"'))
    return path
