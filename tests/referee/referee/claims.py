"""Reads docs/verified.md: each claim names the oracles that checked it."""

from referee.context import Context

NONE = "–"  # noqa: RUF001 (the dash in the table)


def judge(context: Context, oracles: list[str]) -> list[str]:
    """Returns a sentence for each claim without an oracle's name or a dash, and for each oracle that no claim names."""
    path = context.root / "docs" / "verified.md"
    wrong, named, column = [], set(), None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        if not cells:
            column = None
        elif cells[0] == "claim":
            column = len(cells) if cells[-1] == "referee" else None
            wrong += [] if column else [f"docs/verified.md:{number}: the table has no column `referee`"]
        elif column and not line.startswith("|---"):
            names = [name.strip() for name in cells[-1].split(",")]
            named.update(names)
            unknown = [name for name in names if name not in (*oracles, NONE)]
            if len(cells) != column or unknown:
                reason = f"{', '.join(unknown)} is no oracle" if len(cells) == column else "it has no such cell"
                wrong.append(f"docs/verified.md:{number}: the last cell names oracles or is {NONE}; {reason}")
    return wrong + [f"docs/verified.md: no claim names the oracle {name}" for name in oracles if name not in named]
