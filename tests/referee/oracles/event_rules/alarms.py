"""Alarms and dashboards: each watches a metric that a source emits, by the dimensions of the metric."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from referee.context import Context
from referee.documents import Document, load
from referee.intrinsics import Resolver
from referee.verdict import Verdict

TABLE = "shared/domain/src/model/metric.rs"


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
            if resource["Type"] == "AWS::CloudWatch::Dashboard":
                where = f"{template.name}:{template.body['Resources'].line_of(name)} {name}"
                for watched in _shown(resolver.value(resource["Properties"])):
                    verdict.judged("metrics of dashboards")
                    _alarm(where, watched, specified, own, verdict)


def namespaces(templates: list[Document]) -> set[str]:
    """Returns the namespaces that alarms and dashboards watch."""
    resources = [(Resolver(t), r) for t in templates for r in t.body["Resources"].values()]
    watched = [
        each for _, r in resources if r["Type"] == "AWS::CloudWatch::Alarm" for each in _watched(r["Properties"])
    ]
    shown = [
        each
        for resolver, r in resources
        if r["Type"] == "AWS::CloudWatch::Dashboard"
        for each in _shown(resolver.value(r["Properties"]))
    ]
    return {str(each["Namespace"]) for each in [*watched, *shown]}


def _shown(properties: dict) -> Iterator[dict]:
    """Yields the metrics of a dashboard: those that a widget names, and those that it searches.

    The grammar: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    for widget in json.loads(str(properties["DashboardBody"]))["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            if isinstance(metric[0], str):
                pairs = zip(metric[2::2], metric[3::2], strict=True)
                dimensions = [{"Name": name, "Value": value} for name, value in pairs]
                yield {"Namespace": metric[0], "MetricName": metric[1], "Dimensions": dimensions}
                continue
            for schema, name in re.findall(r"SEARCH\('\{([^}]+)\} MetricName=\"(\w+)\"", metric[0]["expression"]):
                namespace, *names = schema.split(",")
                dimensions = [{"Name": each, "Value": "*"} for each in names]
                yield {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}


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
        value is None or watched[name] in (value, "*") for name, value in emitted.items()
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
    """Returns what functions emit in embedded metric format: the rows of the table of metrics."""
    text = (root / TABLE).read_text(encoding="utf-8")
    namespaces = dict(re.findall(r'pub const (\w+): &str = "([^"]+)";', text))
    _, _, declared = text.partition('#[strum(serialize_all = "snake_case")]\npub enum Dimension {')
    variants = re.findall(r"^    (\w+),$", declared.partition("\n}")[0], re.MULTILINE)
    names = {variant: re.sub(r"(?<!^)(?=[A-Z])", "_", variant).lower() for variant in variants}
    sets = {
        name: [re.findall(r"Dimension::(\w+)", each) for each in re.findall(r"&\[([^&]*)\]", value)]
        for name, value in re.findall(r"const (\w+): &\[&\[Dimension\]\] = &\[(.*)\];", text)
    }
    rows = re.findall(r'=> row\((\w+), "(\w+)", Unit::\w+, (\w+)\)', text)
    return [
        Emitted(TABLE, namespaces[namespace], name, {names[each]: None for each in dimensions})
        for namespace, name, of in rows
        for dimensions in sets[of]
    ]
