"""Builds the table of permissions out of its sources."""

from pathlib import Path

import cfnlint
import yaml

from generated import Generated, pack
from referee.context import Context

from . import table
from .reference import Reference
from .schemas import Schemas

FILE = Generated("shared/permissions/cloudformation.json.gz", "permissions", is_packed=True, data="permissions.yaml")


def build(context: Context) -> tuple[bytes, list[str]]:
    """Returns the table's bytes for a tree, and the errors of its data file."""
    data = yaml.safe_load((context.data / str(FILE.data)).read_text(encoding="utf-8"))
    schemas = Schemas(Path(cfnlint.__file__).parent)
    made, problems = table.make(schemas, Reference(context.node_modules / "@cloud-copilot" / "iam-data"), data)
    return pack(made), problems
