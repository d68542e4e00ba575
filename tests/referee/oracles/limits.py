"""Limits: sizes of templates, policies, environments, parameters and tags against AWS's quotas, with the margin."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from referee.context import Context
from referee.documents import Document, load
from referee.intrinsics import Resolver, variants
from referee.planting import replace
from referee.verdict import Verdict

# The numbers of accounts: one, the most that a role and a bus once held, one more, and the promised maximum.
ACCOUNTS = (1, 43, 44, 200)
# A region with a long name: each character of it counts in a policy.
_REGION = "ap-southeast-1"
_ORGANIZATION = "o-a1b2c3d4e5"


@dataclass(frozen=True)
class Measure:
    """The size of one thing that a quota bounds."""

    quota: str
    where: str
    size: int


def judge(context: Context) -> Verdict:
    """Measures what is installed and what the recording sent; finds what exceeds AWS's quotas."""
    verdict = Verdict()
    quotas = load(context.data / "quotas.yaml", "quotas.yaml").body
    templates = context.templates()
    measures = [*_of_templates(context, templates), *_of_recording(context)]
    for accounts in ACCOUNTS:
        measures += _of_accounts(templates, accounts, verdict)
    worst: dict[str, Measure] = {}
    for measure in measures:
        verdict.judged("sizes")
        if measure.size > worst.get(measure.quota, measure).size or measure.quota not in worst:
            worst[measure.quota] = measure
        limit = quotas[measure.quota]["limit"]
        if measure.size > limit:
            what, unit = quotas[measure.quota]["what"], quotas[measure.quota]["unit"]
            verdict.find(
                measure.where,
                f"{what}: {measure.size} of {f'{limit} {unit}'.strip()} ({quotas[measure.quota]['source']})",
            )
    verdict.judged("quotas", len(worst))
    _print(worst, quotas, verdict)
    return verdict


def _print(worst: dict[str, Measure], quotas: dict, verdict: Verdict) -> None:
    verdict.note(f"{'nearest to its quota':44} {'size':>8} {'quota':>8} {'room':>6}")
    for quota, measure in sorted(worst.items(), key=lambda item: -item[1].size / quotas[item[0]]["limit"]):
        limit = quotas[quota]["limit"]
        room = 100 - 100 * measure.size / limit
        verdict.note(f"{quotas[quota]['what']:44} {measure.size:8} {limit:8} {room:5.0f}%  {measure.where}")


def _of_templates(context: Context, templates: list[Document]) -> Iterator[Measure]:
    by_s3 = _sent_by_s3(context)
    for template in templates:
        body, name, size = template.body, template.name, len(template.text.encode())
        # A component's template is sent by S3, because the release keeps it there.
        by_text = name not in by_s3 and not (template.path.parent / "lockstep.toml").exists()
        yield Measure("template-as-text" if by_text else "template-by-s3", name, size)
        yield Measure("template-description", name, len(str(body.get("Description", "")).encode()))
        yield Measure("resources", name, len(body["Resources"]))
        yield Measure("parameters", name, len(body.get("Parameters", {})))
        yield Measure("outputs", name, len(body.get("Outputs", {})))
        yield Measure("mappings", name, len(body.get("Mappings", {})))
        for mapping, keys in body.get("Mappings", {}).items():
            yield Measure("mapping-attributes", f"{name} {mapping}", max(len(values) for values in keys.values()))
        for section in ("Resources", "Parameters", "Outputs"):
            for logical in body.get(section, {}):
                yield Measure("logical-id", f"{name} {logical}", len(logical))
        for resolver in variants(template):
            resolver.pseudo["AWS::Region"] = _REGION
            yield from _of_resources(template, resolver)
    for machine in context.machines():
        yield Measure("definition", machine.name, len(machine.text.encode()))


def _sent_by_s3(context: Context) -> set[str]:
    """Returns the templates that the installer uploads first; it sends each other one as text."""
    sources = [path.read_text(encoding="utf-8") for path in (context.root / "cli" / "src").rglob("*.rs")]
    text = "\n".join(sources)
    named = dict(re.findall(r'const (\w+): &str = "(infra/[^"]+)"', text))
    uploaded = re.findall(r'uploaded\(\s*(?:"(infra/[^"]+)"|(\w+))', text)
    return {path or named.get(name, "") for path, name in uploaded}


def _of_resources(template: Document, resolver: Resolver) -> Iterator[Measure]:
    permissions: dict[str, int] = defaultdict(int)
    for logical, resource in template.body["Resources"].items():
        if not resolver.exists(resource):
            continue
        where = f"{template.name}:{template.body['Resources'].line_of(logical)} {logical}"
        properties = resolver.value(resource.get("Properties", {}))
        yield from _of_tags(where, properties.get("Tags"))
        match resource["Type"]:
            case "AWS::IAM::Role":
                yield Measure("trust-policy", where, _characters(properties["AssumeRolePolicyDocument"]))
                yield Measure("managed-policies", where, len(properties.get("ManagedPolicyArns", [])))
                yield Measure("role-name", where, len(properties.get("RoleName", "")))
            case "AWS::IAM::ManagedPolicy":
                yield Measure("policy-name", where, len(properties.get("ManagedPolicyName", "")))
            case "AWS::Lambda::Function":
                yield from _of_function(where, properties)
            case "AWS::Lambda::Permission":
                permissions[str(properties["FunctionName"])] += len(json.dumps(properties)) + 100
                yield Measure("function-policy", where, permissions[str(properties["FunctionName"])])
            case "AWS::Events::Rule":
                if "EventPattern" in properties:
                    yield Measure("event-pattern", where, len(_compact(properties["EventPattern"])))
                yield Measure("rule-targets", where, len(properties.get("Targets", [])))
            case "AWS::SQS::QueuePolicy":
                yield Measure("queue-policy", where, len(_compact(properties["PolicyDocument"]).encode()))
            case "AWS::S3::BucketPolicy":
                yield Measure("bucket-policy", where, len(_compact(properties["PolicyDocument"]).encode()))
            case "AWS::KMS::Key":
                yield Measure("key-policy", where, len(_compact(properties["KeyPolicy"]).encode()))
            case "AWS::Logs::ResourcePolicy":
                yield Measure("log-resource-policy", where, len(str(properties["PolicyDocument"])))
            case "AWS::EC2::LaunchTemplate":
                user_data = properties["LaunchTemplateData"].get("UserData", "")
                yield Measure("user-data", where, len(str(user_data).encode()))
            case "AWS::CloudWatch::Alarm":
                yield Measure("alarm-description", where, len(properties.get("AlarmDescription", "")))
            case "AWS::SSM::Parameter":
                yield Measure("ssm-parameter", where, len(str(properties.get("Value", ""))))


def _of_function(where: str, properties: dict) -> Iterator[Measure]:
    variables = properties.get("Environment", {}).get("Variables", {})
    yield Measure("environment", where, sum(len(f"{key}{value}".encode()) for key, value in variables.items()))
    for quota, key in (("function-seconds", "Timeout"), ("function-memory", "MemorySize")):
        value = str(properties.get(key, ""))
        if value.isdigit():
            yield Measure(quota, where, int(value))
    yield Measure("function-name", where, len(properties.get("FunctionName", "")))
    yield Measure("function-description", where, len(properties.get("Description", "")))


def _of_tags(where: str, tags: Any) -> Iterator[Measure]:
    pairs = (
        [(tag["Key"], tag["Value"]) for tag in tags if "Key" in tag]
        if isinstance(tags, list)
        else list((tags or {}).items())
    )
    yield Measure("tags", where, len(pairs))
    for key, value in pairs:
        yield Measure("tag-key", where, len(str(key)))
        yield Measure("tag-value", where, len(str(value)))


def _of_accounts(templates: list[Document], accounts: int, verdict: Verdict) -> list[Measure]:
    """Measures the policies of a control plane with this number of accounts, in an organization if possible."""
    known = any(
        re.search("Organi[sz]ation", name) for template in templates for name in template.body.get("Parameters", {})
    )
    if known:
        # Without an organization policies grow, and `accounts add` rejects accounts that do not fit.
        for measure in _policies(templates, accounts, organization=False):
            if measure.quota in ("bus-policy", "inline-policies") and measure.size > 10240:
                verdict.note(
                    f"{measure.where} and no organization: {measure.size} characters, "
                    "which `accounts add` must refuse in time"
                )
    return _policies(templates, accounts, organization=known)


def _policies(templates: list[Document], accounts: int, organization: bool) -> list[Measure]:
    """Measures policies with all accounts on one path: once for each path."""
    paths = {
        value
        for template in templates
        for value in template.body.get("Parameters", {}).get("Path", {}).get("AllowedValues", [])
    }
    found: list[Measure] = []
    for path in sorted(paths) or [""]:
        found += _policies_on(templates, path, accounts, organization)
    return found


def _policies_on(templates: list[Document], path: str, accounts: int, organization: bool) -> list[Measure]:
    inline: dict[str, int] = defaultdict(int)
    buses: dict[str, int] = defaultdict(lambda: len('{"Version":"2012-10-17","Statement":[]}'))
    managed: list[Measure] = []
    many = f"{accounts} accounts on {path}"
    for template in templates:
        for resolver in _deployments(template, path, accounts, organization):
            for logical, resource in template.body["Resources"].items():
                if resolver.exists(resource):
                    properties = resolver.value(resource.get("Properties", {}))
                    where = f"{template.name} {logical}, {many}"
                    _add(resource["Type"], properties, resolver.name_of(logical), where, inline, buses, managed)
    of_roles = [Measure("inline-policies", f"role {role}, {many}", size) for role, size in inline.items()]
    of_buses = [Measure("bus-policy", f"bus {bus}, {many}", size) for bus, size in buses.items()]
    return of_roles + of_buses + managed


def _add(kind: str, properties: dict, name: str, where: str, inline: dict, buses: dict, managed: list[Measure]) -> None:
    match kind:
        case "AWS::IAM::Role":
            inline[name] += sum(_characters(policy["PolicyDocument"]) for policy in properties.get("Policies", []))
        case "AWS::IAM::Policy":
            for role in properties.get("Roles", []):
                inline[role] += _characters(properties["PolicyDocument"])
        case "AWS::IAM::RolePolicy":
            inline[properties["RoleName"]] += _characters(properties["PolicyDocument"])
        case "AWS::IAM::ManagedPolicy":
            managed.append(Measure("managed-policy", where, _characters(properties["PolicyDocument"])))
        case "AWS::Events::EventBusPolicy":
            statement = {"Sid": properties["StatementId"], **properties.get("Statement", {})}
            buses[properties.get("EventBusName", "default")] += len(_compact(statement)) + 1


def _deployments(template: Document, path: str, accounts: int, organization: bool) -> Iterator[Resolver]:
    """Yields each deployment of a template in one control plane: one for each account if it takes an account id."""
    parameters = template.body.get("Parameters", {})
    per_account = "AccountId" in parameters
    ids = [f"{111122220000 + number}" for number in range(accounts)]
    for resolver in variants(template, ("FunctionName", "StateMachineName", "RoleName", "Roles")):
        if per_account and resolver.parameters.get("Path", path) != path:
            continue
        for account in ids if per_account else [""]:
            values = dict(resolver.parameters)
            for name, parameter in parameters.items():
                if re.search("Organi[sz]ation", name):
                    values[name] = _ORGANIZATION if organization else ""
                elif name == "AccountId":
                    values[name] = account
                elif re.search(r"Accounts?(Ids)?$", name) and _is_list(parameter):
                    values[name] = ",".join(ids)
            deployed = Resolver(template, values)
            deployed.pseudo["AWS::Region"] = _REGION
            yield deployed


def _is_list(parameter: dict) -> bool:
    """Returns true if a parameter takes several values, by its type or, as text, by a pattern with commas."""
    return parameter["Type"] in ("CommaDelimitedList", "List<String>") or ",[" in parameter.get("AllowedPattern", "")


def _of_recording(context: Context) -> Iterator[Measure]:
    """Measures the recorded calls."""
    for place, entry in context.recorded("request"):
        parameters = entry.get("parameters") or {}
        where = f"{entry.get('service')}:{entry.get('operation')} at {place}"
        match entry.get("operation"):
            case "CreateChangeSet" | "CreateStack" | "UpdateStack":
                yield from _of_tags(where, parameters.get("Tags"))
                for parameter in parameters.get("Parameters") or []:
                    yield Measure("parameter-value", where, len(str(parameter.get("ParameterValue", "")).encode()))
                if isinstance(parameters.get("TemplateBody"), str):
                    yield Measure("template-as-text", where, len(parameters["TemplateBody"].encode()))
            case "StartExecution" if isinstance(parameters.get("input"), str):
                yield Measure("execution-payload", where, len(parameters["input"].encode()))
            case "SendTaskSuccess" if isinstance(parameters.get("output"), str):
                yield Measure("execution-payload", where, len(parameters["output"].encode()))
            case "PutItem":
                yield Measure("item", where, len(_compact(parameters.get("Item", {})).encode()))


def _compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _characters(policy: Any) -> int:
    """Returns the length of a policy as IAM counts it: without white space."""
    return len(re.sub(r"\s", "", _compact(policy)))


def _long_policy(copy: Context) -> str:
    path = copy.root / "infra/control-plane/deployment-path.yaml"
    actions = "".join(f"\n                  - ec2:Describe{'Thing' * 20}{number}" for number in range(100))
    replace(
        path,
        "                Action: lambda:InvokeFunction\n",
        f"                Action:\n                  - lambda:InvokeFunction{actions}\n",
    )
    return "inline policies of a role together"


def _long_trust(copy: Context) -> str:
    path = copy.root / "infra/control-plane/deployment-path.yaml"
    services = "".join(f"\n                - {'service' * 5}{number}.amazonaws.com" for number in range(50))
    replace(
        path,
        "              Service: states.amazonaws.com\n",
        f"              Service:\n                - states.amazonaws.com{services}\n",
    )
    return "trust policy"


def _long_environment(copy: Context) -> str:
    replace(
        copy.root / "infra/control-plane/deployment-path.yaml",
        "          LOCKSTEP_RESUME_FUNCTION: lockstep-resume\n",
        f"          LOCKSTEP_RESUME_FUNCTION: lockstep-resume\n          LOCKSTEP_MORE: {'x' * 4000}\n",
    )
    return "environment of a function"


def _long_user_data(copy: Context) -> str:
    path = copy.root / "infra/log-stack/broker/template.yaml"
    replace(path, "            #!/bin/bash\n", "            #!/bin/bash\n" + f"            # {'x' * 100}\n" * 160)
    return "user data of an instance"


def _many_parameters(copy: Context) -> str:
    more = "".join(f"  More{number}:\n    Type: String\n" for number in range(201))
    replace(copy.root / "infra/bootstrap/template.yaml", "Resources:\n", f"Parameters:\n{more}Resources:\n")
    return "parameters of a template"


def _large_payload(copy: Context) -> str:
    def change(request: dict) -> None:
        request["parameters"]["input"] = "x" * 262145

    copy.change_line(lambda line: line["kind"] == "request" and line["operation"] == "StartExecution", change)
    return "input of an execution"


PLANTED = [
    ("a role whose inline policies are too long", _long_policy),
    ("a trust policy that is too long", _long_trust),
    ("an environment that is too large", _long_environment),
    ("user data that is too long", _long_user_data),
    ("a template with too many parameters", _many_parameters),
    ("an execution that is started with too much", _large_payload),
]
