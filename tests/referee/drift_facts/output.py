"""Writes the table of facts and its digest, or compares them with what the sources give."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import cfnlint

from permissions.schemas import Schemas

from .facts import Facts

TABLE = "shared/drift/schemas.json.gz"
# `sha256sum --check` reads it.
DIGEST = f"{TABLE}.sha256"


def build() -> dict[str, Any]:
    """Returns the table."""
    schemas = Schemas(Path(cfnlint.__file__).parent)
    types = {kind: Facts(schemas.schema(kind)).row() for kind in schemas.types()}
    return {"sources": {"cfn-lint": schemas.version, "resource schemas": schemas.date}, "types": types}


def pack(table: dict[str, Any]) -> bytes:
    """Returns the table's bytes, the same for the same table."""
    text = json.dumps(table, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def digest_line(content: bytes) -> str:
    """Returns the line of the digest file."""
    return f"{hashlib.sha256(content).hexdigest()}  {Path(TABLE).name}\n"


def run(root: Path, check: bool) -> list[str]:
    """Writes the table, or with `check` only compares it; returns a sentence for each error."""
    content = pack(build())
    if check:
        return differences(root, content)
    (root / TABLE).parent.mkdir(parents=True, exist_ok=True)
    (root / TABLE).write_bytes(content)
    (root / DIGEST).write_text(digest_line(content), encoding="utf-8")
    return []


def differences(root: Path, content: bytes) -> list[str]:
    """Compares the checked-in table and digest with those built. Another zlib may pack the same table differently."""
    path, digest = root / TABLE, root / DIGEST
    if not path.exists() or gzip.decompress(path.read_bytes()) != gzip.decompress(content):
        return [f"{TABLE} is not what its sources give: run tests/referee/make-drift-facts"]
    if not digest.exists() or digest.read_text(encoding="utf-8") != digest_line(path.read_bytes()):
        return [f"{DIGEST} is not the digest of {TABLE}: run tests/referee/make-drift-facts"]
    return []
