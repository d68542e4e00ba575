"""Reads the table of forbidden words in GLOSSARY.md."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Forbidden:
    """A forbidden word and its replacement."""

    word: str
    scopes: tuple[str, ...]
    instead: str

    def names(self, type_name: str) -> bool:
        """Returns true if the name of a type uses the word where it is forbidden."""
        if "type" in self.scopes and type_name == self.word:
            return True
        parts = re.findall(r"[A-Z][a-z0-9]*", type_name)
        return "type part" in self.scopes and self.word.capitalize() in parts


def forbidden(text: str) -> list[Forbidden]:
    """Returns each word in backticks in the first column of the table below `Words we do not use`."""
    _, _, section = text.partition("## Words we do not use")
    found = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not (words := re.findall(r"`([^`]+)`", cells[0])):
            continue
        scopes = tuple(scope.strip() for scope in cells[1].split(","))
        found += [Forbidden(word, scopes, cells[2].replace("`", "")) for word in words]
    if not found:
        raise SystemExit("GLOSSARY.md: the table below `Words we do not use` holds no word")
    return found
