"""Decides for one resource type which property needs which permission.

The order: the rows of the data file for the type, then its general rules, then the names. A permission that none of
them places is unmapped.
"""

import fnmatch
import re

from . import schemas

READS = ("Describe", "Get", "List", "BatchGet", "Head", "Search")
WRITES = (
    "Create",
    "Put",
    "Update",
    "Delete",
    "Modify",
    "Set",
    "Add",
    "Remove",
    "Register",
    "Deregister",
    "Enable",
    "Disable",
    "Associate",
    "Disassociate",
    "Attach",
    "Detach",
    "Start",
    "Stop",
    "Import",
    "Batch",
    "Allocate",
    "Release",
    "Request",
)
# Words that say nothing about the property that the name of an action or of a property means.
FILLERS = {
    "configuration",
    "configurations",
    "config",
    "settings",
    "setting",
    "specification",
    "specifications",
    "options",
    "attribute",
    "attributes",
    "properties",
    "resource",
    "with",
    "to",
    "from",
    "for",
    "in",
    "on",
    "of",
    "v2",
}


class Mapping:
    """The knowledge of the data file, applied to one schema after the other."""

    def __init__(self, data: dict) -> None:
        self._rules = data["rules"]
        self._types = data["types"]
        self._passed_to = data["passed_to"]
        self._linked = data["service_linked_roles"]
        self.arns = data["arns"]
        self._unused = {(kind, i) for kind, entry in self._types.items() for i, _ in enumerate(entry.get("rows", []))}

    def entry(self, kind: str) -> dict:
        """Returns what the data file holds for a type."""
        return self._types.get(kind, {})

    def passed_to(self, kind: str) -> list[str] | None:
        """Returns the services that a type's roles are passed to, or None without a row."""
        return self._passed_to.get(kind) or self._passed_to.get(kind.rsplit("::", 1)[0])

    def service_linked_role(self, kind: str) -> str | None:
        """Returns the service whose own role the schema of a type lists, or None without a row."""
        written = self.entry(kind).get("service_linked_role")
        return written or self._linked.get(kind) or self._linked.get(kind.rsplit("::", 1)[0])

    def unused(self) -> list[str]:
        """Returns the unused rows: the schema no longer names their actions."""
        return sorted(f"{kind}: {self._types[kind]['rows'][i]['actions']}" for kind, i in self._unused)

    def place(self, kind: str, schema: dict, handler: str, action: str) -> dict:
        """Returns the place of a permission: a dict with one of always, never, tagging, properties, unmapped."""
        for i, row in enumerate(self.entry(kind).get("rows", [])):
            if applies(row, handler, action):
                self._unused.discard((kind, i))
                return row
        for rule in self._rules:
            if applies(rule, handler, action) and kind.split("::")[1].lower() not in rule.get("not_services", []):
                place = self._by_rule(rule, kind, schema, action)
                if place:
                    return place
        return by_name(kind, schema, handler, action)

    def _by_rule(self, rule: dict, kind: str, schema: dict, action: str) -> dict | None:
        if rule.get("tagging"):
            own = action.split(":")[0] in services_of(kind, schema)
            return {"tagging": True} if own and schemas.tag_property(schema) else None
        if "named" in rule:
            named = re.compile(rule["named"])
            found = outermost([p for p in schemas.property_paths(schema) if named.search(p)])
            return {"properties": found, "why": rule["why"]} if found else None
        return rule


def applies(row: dict, handler: str, action: str) -> bool:
    """Returns true if a row is about this handler's permission."""
    if handler not in row.get("handlers", [handler]):
        return False
    lower = action.lower()
    return any(fnmatch.fnmatchcase(lower, pattern.lower()) for pattern in row["actions"])


def by_name(kind: str, schema: dict, handler: str, action: str) -> dict:
    """Places a permission by its name alone: reads, the type's own writes, and those that name a property."""
    service, name = action.split(":")
    if handler in ("read", "list") or name.startswith(READS):
        own = service in services_of(kind, schema)
        return {"always": True} if own else {"unmapped": True}
    noun = words(kind.split("::")[-1]) | main_noun(kind, schema)
    verb = next((v for v in WRITES if name.startswith(v)), "")
    rest = words(name.removeprefix(verb)) - FILLERS
    if rest - noun == set() and verb:
        return {"always": True}
    required = {f"/{p}" for p in schema.get("required", [])}
    found = [p for p in schemas.property_paths(schema, depth=1) if same(words(p) - FILLERS - noun, rest - noun)]
    if any(p in required for p in found) or action in main_actions(kind, schema, handler):
        return {"always": True}
    if found:
        return {"properties": found, "why": "the action names the property"}
    return {"unmapped": True}


def main_actions(kind: str, schema: dict, handler: str) -> set[str]:
    """Returns the first write of a handler to the type's own service, also when it updates."""
    services = services_of(kind, schema)
    mains = set()
    for name in {"create": ["create"], "update": ["create"], "delete": ["delete"]}.get(handler, []):
        listed = [p for p in schemas.handlers(schema).get(name, []) if p.split(":")[0].lower() in services]
        mains.update([p for p in listed if not is_read(p)][:1])
    writes = {p for p in schemas.handlers(schema).get(handler, []) if not is_read(p) and p.split(":")[0] in services}
    return mains | (writes if len(writes) == 1 else set())


def main_noun(kind: str, schema: dict) -> set[str]:
    """Returns the words of the API for the type: those of CreateCacheParameterGroup, say."""
    creates = [a.split(":")[1] for a in main_actions(kind, schema, "create")]
    return set().union(*(words(name.removeprefix("Create")) for name in creates if name.startswith("Create")))


def services_of(kind: str, schema: dict) -> set[str]:
    """Returns the IAM prefixes that are the type's own: those of the first permissions of its handlers."""
    firsts = set()
    for permissions in schemas.handlers(schema).values():
        own = [p.split(":")[0].lower() for p in permissions if not p.startswith(("iam:", "kms:", "sts:"))]
        firsts.update(own[:1])
    return firsts | {kind.split("::")[1].lower()}


def is_read(action: str) -> bool:
    """Returns true if an action only reads."""
    return action.split(":")[1].startswith(READS)


def words(name: str) -> set[str]:
    """Splits a name in camel case into its words, in lower case and without the plural's s."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]+|[a-z0-9]+", name)
    return {w.lower().removesuffix("s") for w in found}


def same(left: set[str], right: set[str]) -> bool:
    """Returns true if a property's words (left) are all among those of an action (right)."""
    return (
        bool(left) and left - {"list", "arn", "document"} <= right and bool(right) and (right <= left or left <= right)
    )


def outermost(paths: list[str]) -> list[str]:
    """Omits each path below another one."""
    return [p for p in paths if not any(p.startswith(f"{other}/") for other in paths)]
