"""Files of the repository that the referee makes out of sources of AWS and others: the same sources, the same bytes."""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from referee.context import Context


@dataclass(frozen=True)
class Generated:
    """A generated file. A packed one is gzip with a file of its digest, which `sha256sum --check` reads."""

    path: str
    # The word of `tests/referee/make`.
    name: str
    is_packed: bool = False
    # The file below tests/referee/data that completes the sources.
    data: str | None = None

    def run(self, root: Path, content: bytes, check: bool) -> list[str]:
        """Writes the file, or with `check` only compares it; returns a sentence for each difference."""
        if check:
            return self.differences(root, content)
        path = root / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if self.is_packed:
            self._digest(root).write_text(self._digest_line(content), encoding="utf-8")
        return []

    def differences(self, root: Path, content: bytes) -> list[str]:
        """Compares the checked-in file with one built. Another zlib may pack the same text differently."""
        path = root / self.path
        plain = gzip.decompress if self.is_packed else bytes
        if not path.exists() or plain(path.read_bytes()) != plain(content):
            return [f"{self.path} is not what its sources give: run {self.command}"]
        digest = self._digest(root)
        if self.is_packed and not (
            digest.exists() and digest.read_text(encoding="utf-8") == self._digest_line(path.read_bytes())
        ):
            return [f"{self.path}.sha256 is not the digest of {self.path}: run {self.command}"]
        return []

    @property
    def command(self) -> str:
        """Returns the command that writes the file."""
        return f"tests/referee/make {self.name}"

    def _digest(self, root: Path) -> Path:
        return root / f"{self.path}.sha256"

    def _digest_line(self, content: bytes) -> str:
        return f"{hashlib.sha256(content).hexdigest()}  {Path(self.path).name}\n"


class Maker(Protocol):
    """A module that makes a generated file."""

    FILE: Generated

    def build(self, context: Context, /) -> tuple[bytes, list[str]]:
        """Returns the bytes of the file for a tree, and the errors of its data file."""


def pack(table: dict[str, Any]) -> bytes:
    """Returns the table's bytes, the same for the same table."""
    text = json.dumps(table, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)
