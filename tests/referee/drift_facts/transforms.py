"""Sorts the property transforms of AWS's schemas into the kinds of rules that the comparison knows.

A transform is a JSONata expression that CloudFormation applies to the declared value before it compares. Few forms make
up nearly all of them. A form that no kind covers gives no rule, so its property is compared as it is.
"""

import re

# The forms, most particular first: the kind, and a pattern of the expression without white space.
FORMS = (
    ("protocol", r"^\(\$mapVal:=\$lookup\(\{'1':'icmp'.*IpProtocol\);\$mapVal\?.*\)$"),
    ("port", r"^\(\$mapVal:=\$lookup\(\{'1':'icmp'.*(From|To)Port:-1\)$"),
    ("network", r"^(Ipv6)?CidrBlock~>function"),
    ("network", r"^\$join\(\[\$match\(\$replace\(Ipv6CidrBlock"),
    ("version", r'^\$join\(\[\$string\([\w.]+\),"\.\*"\]\)$'),
    ("short_version", r'^\$join\(\$split\(EngineVersion,"\.",2\),"\."\)$'),
    ("version_pattern", r'^\$join\(\["\^",\$replace\(\$replace\(Version,'),
    ("trailing_dot", r'\$join\(\[\w+,"\."\]\)'),
    ("trailing_dot", r'^\$lowercase\(\$replace\(Name,/\(\.\*\)\\\.\$/,"\$1"\)\)$'),
    ("trailing_space", r"""^\$replace\(\S+,/(\\s\+)?\$/,''\)$"""),
    ("trailing_space", r'^\$join\(\[\w+,""\]\)$'),
    ("any_key", r'^"arn:aws\[-a-z\]\*:kms:'),
    ("arn", r":kms:.*key\\?/"),
    ("arn", r'\$split\([\w.]+,"[\w-]*[/:]"\)\[-1\]'),
    ("arn", r"\$split\([\w.]+,\'/\'\)\[-1\]"),
    ("arn", r'\$substringAfter\([\w.]+,"/"\)'),
    ("arn", r":(iam|ecs):.*:(role|cluster|task-definition)/"),
    ("arn", r"^\$lookup\(\$match\(TargetFunctionArn"),
    ("prefixed", r'^\$join\(\["(Output|Source):",Name\]\)$'),
    ("prefixed", r"^'custom:'&''&Name$"),
    ("case", r"\$lowercase\([\w.]+\)\$OR\$uppercase"),
    ("lower_case", r"\$lowercase\([\w.]+\)(\$OR|$)"),
    ("upper_case", r"\$uppercase\([\w.]+\)(\$OR|$)"),
    ("dash", r"^\$replace\([\w.]+,'-','_'\)$"),
    ("case", r'^\$replace\(Name,"prefix","Prefix"\)'),
    ("decimal", r'^\$contains\(Cost,"\."\)'),
)


def rules(transforms: dict[str, str]) -> dict[str, str]:
    """Returns the kind of rule by path, for each transform that a kind covers."""
    found = {}
    for pointer, expression in sorted(transforms.items()):
        kind = kind_of(expression)
        if kind:
            found[path_of(pointer)] = kind
    return found


def path_of(pointer: str) -> str:
    """Returns the path of a pointer: `/properties/A/*/B` and `/properties/A/items/properties/B` are `A.*.B`."""
    parts = pointer.strip("/").split("/")
    return ".".join("*" if part == "items" else part for part in parts if part != "properties")


def kind_of(expression: str) -> str | None:
    """Returns the kind of rule that a transform is, or None."""
    written = re.sub(r"\s", "", expression)
    return next((kind for kind, form in FORMS if re.search(form, written)), None)
