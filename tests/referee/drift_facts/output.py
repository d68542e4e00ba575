"""Builds the table of facts out of AWS's schemas."""

from pathlib import Path

import cfnlint

from generated import Generated, pack
from permissions.schemas import Schemas
from referee.context import Context

from .facts import Facts

FILE = Generated("shared/drift/schemas.json.gz", "drift-facts", is_packed=True)


def build(_context: Context) -> tuple[bytes, list[str]]:
    """Returns the table's bytes, and no errors: it has no data file."""
    schemas = Schemas(Path(cfnlint.__file__).parent)
    types = {kind: Facts(schemas.schema(kind)).row() for kind in schemas.types()}
    return pack({"sources": {"cfn-lint": schemas.version, "resource schemas": schemas.date}, "types": types}), []
