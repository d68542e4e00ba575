"""Alarms: each watches a metric that a source emits, by the dimensions of the metric."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from referee.context import Context
from referee.documents import Document, load
from referee.intrinsics import Resolver
from referee.verdict import Verdict


@dataclass
class Emitted:
    """A metric of our own: its source, its name, and its dimensions with the known values."""

    where: str
    namespace: str
    name: str
    dimensions: dict[str, str | None] = field(default_factory=dict)


def judge(context: Context, templates: list[Document], specified: dict[str, list[list[str]]], verdict: Verdict) -> None:
    """Finds alarms whose metric never has data."""
    for entry in load(context.data / "metrics.yaml", "metrics.yaml").body:
        for name in entry["metrics"]:
            specified.setdefault(f"{entry['namespace']}|{name}", []).extend(
                sorted(names) for names in entry["dimensions"]
            )
    of_functions = _of_functions(context.root)
    for template in templates:
        resolver = Resolver(template)
        own = [*_of_filters(resolver), *_of_instances(resolver), *of_functions]
        for name, resource in template.body["Resources"].items():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                verdict.judged("alarms")
                where = f"{template.name}:{template.body['Resources'].line_of(name)} {name}"
                for watched in _watched(resolver.value(resource["Properties"])):
                    _alarm(where, watched, specified, own, verdict)


def namespaces(templates: list[Document]) -> set[str]:
    """Returns the namespaces that alarms watch."""
    properties = [
        r["Properties"]
        for t in templates
        for r in t.body["Resources"].values()
        if r["Type"] == "AWS::CloudWatch::Alarm"
    ]
    return {str(each["Namespace"]) for alarm in properties for each in _watched(alarm)}


def _watched(properties: dict) -> list[dict]:
    """Returns the metrics of an alarm: its own, or those of its expression."""
    if "MetricName" in properties:
        return [properties]
    return [each["MetricStat"]["Metric"] for each in properties.get("Metrics", []) if "MetricStat" in each]


def _alarm(where: str, watched: dict, specified: dict, own: list[Emitted], verdict: Verdict) -> None:
    namespace, name = str(watched["Namespace"]), str(watched["MetricName"])
    dimensions = {each["Name"]: str(each["Value"]) for each in watched.get("Dimensions", [])}
    if namespace.startswith("AWS/"):
        sets = specified.get(f"{namespace}|{name}")
        if sets is None:
            verdict.find(where, f"watches {namespace} {name}, which AWS does not have")
        elif sorted(dimensions) not in sets:
            verdict.find(
                where,
                f"watches {namespace} {name} by {sorted(dimensions)}; AWS has it by {' or '.join(map(str, sets))}",
            )
        return
    emitted = [each for each in own if (each.namespace, each.name) == (namespace, name)]
    if not emitted:
        verdict.find(where, f"watches {namespace} {name}, which no function, script or filter emits")
    elif not any(_same(each.dimensions, dimensions) for each in emitted):
        there = "; ".join(f"{each.where} by {each.dimensions or 'none'}" for each in emitted)
        verdict.find(where, f"watches {namespace} {name} by {dimensions or 'none'}, and it is emitted by {there}")


def _same(emitted: dict[str, str | None], watched: dict[str, str]) -> bool:
    return emitted.keys() == watched.keys() and all(
        value is None or value == watched[name] for name, value in emitted.items()
    )


def _of_filters(resolver: Resolver) -> list[Emitted]:
    """Returns the metrics that filters derive from logs."""
    found = []
    for name, resource in resolver.template.body["Resources"].items():
        if resource["Type"] == "AWS::Logs::MetricFilter":
            for made in resolver.value(resource["Properties"]["MetricTransformations"]):
                dimensions: dict[str, str | None] = {each["Key"]: None for each in made.get("Dimensions", [])}
                found.append(
                    Emitted(f"{resolver.template.name} {name}", made["MetricNamespace"], made["MetricName"], dimensions)
                )
    return found


def _of_instances(resolver: Resolver) -> list[Emitted]:
    """Returns the metrics of user data: by the CLI from a document of jq, and by the output of Logstash."""
    found = []
    for name, resource in resolver.template.body["Resources"].items():
        data = resource.get("Properties", {}).get("LaunchTemplateData", {}).get("UserData")
        text = str(resolver.value(data)) if data else ""
        where = f"{resolver.template.name} {name}"
        for namespace in set(re.findall(r"put-metric-data\b[^\n]*--namespace (\S+)", text)):
            names = re.findall(r'MetricName: "(\w+)"', text)
            dimensions = dict(re.findall(r'\{Name: "(\w+)", Value: "([^"]*)"\}', text))
            found += [Emitted(where, namespace, metric, dimensions) for metric in names]
        for output in re.findall(r"\bcloudwatch \{(.*?)\n\s*\}", text, re.DOTALL):
            settings = dict(re.findall(r'(\w+) => "([^"]*)"', output))
            pairs = re.findall(r'dimensions => \[\s*"([^"]+)",\s*"([^"]*)"', output)
            found.append(
                Emitted(where, settings.get("namespace", "Logstash"), settings.get("metricname", ""), dict(pairs))
            )
    return found


def _of_functions(root: Path) -> list[Emitted]:
    """Returns the metrics of functions in embedded metric format (shared/platform/src/metrics.rs)."""
    found = []
    names = _names_with_units(root)
    for path in sorted((root / "functions").rglob("src/**/*.rs")):
        text = path.read_text(encoding="utf-8")
        for namespace, dimension in re.findall(r'metrics::tell\(\s*"([^"]+)",\s*\(\s*"([^"]+)"', text):
            crate = path.relative_to(root).parts[1]
            for name, where in names.items():
                if f"functions/{crate}/" in where or where.startswith("shared/"):
                    found.append(Emitted(where, namespace, name, {dimension: None}))
    return found


def _names_with_units(root: Path) -> dict[str, str]:
    """Returns each text that is the name of a metric: beside its unit, or in a function called `metric`."""
    found: dict[str, str] = {}
    for folder in ("functions", "shared"):
        for path in sorted((root / folder).rglob("src/**/*.rs")):
            text = path.read_text(encoding="utf-8")
            for name in re.findall(r'\(\s*"(\w+)",\s*Unit::', text):
                found.setdefault(name, str(path.relative_to(root)))
            for body in re.findall(r"fn metric\(.*?\n    \}", text, re.DOTALL):
                for name in re.findall(r'"(\w+)"', body):
                    found.setdefault(name, str(path.relative_to(root)))
    return found
