"""Writes the table with its digest, or compares both with what the sources give."""

import gzip
import hashlib
from pathlib import Path

import cfnlint
import yaml

from . import table
from .reference import Reference
from .schemas import Schemas

TABLE = "shared/permissions/cloudformation.json.gz"
# `sha256sum --check` reads it.
DIGEST = f"{TABLE}.sha256"


def build(root: Path, node_modules: Path) -> tuple[bytes, list[str]]:
    """Returns the table's bytes for a tree, and the errors of its data file."""
    data = yaml.safe_load((root / "tests/referee/data/permissions.yaml").read_text(encoding="utf-8"))
    schemas = Schemas(Path(cfnlint.__file__).parent)
    made, problems = table.make(schemas, Reference(node_modules / "@cloud-copilot" / "iam-data"), data)
    return table.pack(made), problems


def digest_line(content: bytes) -> str:
    """Returns the line of the digest file."""
    return f"{hashlib.sha256(content).hexdigest()}  {Path(TABLE).name}\n"


def run(root: Path, node_modules: Path, check: bool) -> list[str]:
    """Writes the table, or with `check` only compares it; returns a sentence for each error."""
    content, problems = build(root, node_modules)
    if check:
        return problems + differences(root, content)
    (root / TABLE).parent.mkdir(parents=True, exist_ok=True)
    (root / TABLE).write_bytes(content)
    (root / DIGEST).write_text(digest_line(content), encoding="utf-8")
    return problems


def differences(root: Path, content: bytes) -> list[str]:
    """Compares the checked-in table and digest with those built. Another zlib may pack the same table differently."""
    path, digest = root / TABLE, root / DIGEST
    if not path.exists() or gzip.decompress(path.read_bytes()) != gzip.decompress(content):
        return [f"{TABLE} is not what its sources give: run tests/referee/make-permissions"]
    if not digest.exists() or digest.read_text(encoding="utf-8") != digest_line(path.read_bytes()):
        return [f"{DIGEST} is not the digest of {TABLE}: run tests/referee/make-permissions"]
    return []
