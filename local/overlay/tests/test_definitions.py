"""Definitions that AWS refuses are refused, on every road; those that it takes are taken."""

import json
import os
import unittest
from pathlib import Path
from typing import Any

from overlay import definitions
from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, CloudTest, client, role, unique


def _machine(**states: Record) -> Record:
    return {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states}


def _end(**more: Any) -> Record:
    return {"Type": "Pass", "End": True, **more}


def _map(inner: Record) -> Record:
    return {"Type": "Map", "Items": [1], "ItemProcessor": inner, "End": True}


_SHADOWED = _machine(
    First={"Type": "Pass", "Assign": {"failure": "none"}, "Next": "Each"},
    Each=_map(_machine(Inner=_end(Assign={"failure": "some"}))),
)
# Each mutation of a sound machine, and the code it is refused with.
_REFUSED = {
    "a variable of an outer scope in a Map": (_SHADOWED, "SCHEMA_VALIDATION_FAILED"),
    "a variable of an outer scope in a branch": (
        _machine(
            First={"Type": "Pass", "Assign": {"a": 1}, "Next": "Both"},
            Both={"Type": "Parallel", "Branches": [_machine(Left=_end(Assign={"a": 2}))], "End": True},
        ),
        "SCHEMA_VALIDATION_FAILED",
    ),
    "a variable that is assigned outside only afterwards": (
        _machine(
            Each={**_map(_machine(Inner=_end(Assign={"a": 1}))), "End": None, "Next": "Last"},
            Last=_end(Assign={"a": 2}),
        ),
        "SCHEMA_VALIDATION_FAILED",
    ),
    "a variable that only a Catch of the outer scope assigns": (
        _machine(
            Each={
                **_map(_machine(Inner=_end(Assign={"a": 1}))),
                "Catch": [{"ErrorEquals": ["States.ALL"], "Assign": {"a": 2}, "Next": "Last"}],
            },
            Last=_end(),
        ),
        "SCHEMA_VALIDATION_FAILED",
    ),
    "a variable two scopes further in": (
        _machine(
            First={"Type": "Pass", "Assign": {"a": 1}, "Next": "Each"},
            Each=_map(_machine(Deep=_map(_machine(Inner=_end(Assign={"a": 1}))))),
        ),
        "SCHEMA_VALIDATION_FAILED",
    ),
    "the reserved name": (_machine(Only=_end(Assign={"states": 1})), "SCHEMA_VALIDATION_FAILED"),
    "a name that is none": (_machine(Only=_end(Assign={"1st": 1})), "SCHEMA_VALIDATION_FAILED"),
    "a state that is not there": (_machine(Only={"Type": "Pass", "Next": "Nowhere"}), "MISSING_TRANSITION_TARGET"),
    "a state of another scope": (
        _machine(Each=_map(_machine(Inner={"Type": "Pass", "Next": "Last"})), Last=_end()),
        "MISSING_TRANSITION_TARGET",
    ),
    "a start that is not there": ({"StartAt": "Nowhere", "States": {"Only": _end()}}, "MISSING_TRANSITION_TARGET"),
    "a name that appears twice": (
        _machine(Each={**_map(_machine(Last=_end())), "End": None, "Next": "Last"}, Last=_end()),
        "DUPLICATE_STATE_NAME",
    ),
    "an expression that cannot be parsed": (_machine(Only=_end(Output="{% 1 + %}")), "INVALID_JSONATA_EXPRESSION"),
}


class Rules(unittest.TestCase):
    """The list itself."""

    def test_what_is_wrong_is_found(self) -> None:
        for what, (machine, code) in _REFUSED.items():
            with self.subTest(what):
                found = [one.code for one in definitions.problems(json.dumps(machine))]
                self.assertEqual(found, [code])

    def test_branches_that_are_not_inside_each_other_may_use_the_same_name(self) -> None:
        branches = [_machine(Left=_end(Assign={"a": 1})), _machine(Right=_end(Assign={"a": 2}))]
        both = {"Type": "Parallel", "Branches": branches, "Next": "Each"}
        machine = _machine(Both=both, Each=_map(_machine(Inner=_end(Assign={"a": 3}))))
        self.assertEqual(list(definitions.problems(json.dumps(machine))), [])

    def test_each_definition_of_lockstep_is_sound(self) -> None:
        # The Rust test renders them; by hand: cargo run -p lockstep-statemachines --bin render -- <folder>.
        machines = sorted(Path(os.environ["LOCKSTEP_STATE_MACHINES"]).glob("*.asl.json"))
        self.assertGreater(len(machines), 5)
        for path in machines:
            with self.subTest(path.name):
                self.assertEqual([str(one) for one in definitions.problems(path.read_text())], [])


class Roads(CloudTest):
    """CreateStateMachine, UpdateStateMachine, ValidateStateMachineDefinition, a stack."""

    def setUp(self) -> None:
        super().setUp()
        self.api, self.name = client("stepfunctions", DEVELOPMENT), unique("machine")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        }
        made = client("iam", DEVELOPMENT).create_role(RoleName=self.name, AssumeRolePolicyDocument=json.dumps(trust))
        self.role = made["Role"]["Arn"]

    def test_create_and_update_refuse_it_in_words_that_name_the_place(self) -> None:
        arguments = {"name": self.name, "roleArn": self.role}
        message = self.refused(
            "InvalidDefinition", self.api.create_state_machine, definition=json.dumps(_SHADOWED), **arguments
        )
        self.assertIn("Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED", message)
        self.assertIn("/States/Each/ItemProcessor/States/Inner/Assign/failure", message)
        made = self.api.create_state_machine(definition=json.dumps(_machine(Only=_end())), **arguments)
        arn = made["stateMachineArn"]
        self.refused(
            "InvalidDefinition", self.api.update_state_machine, stateMachineArn=arn, definition=json.dumps(_SHADOWED)
        )
        self.assertEqual(
            json.loads(self.api.describe_state_machine(stateMachineArn=arn)["definition"]), _machine(Only=_end())
        )

    def test_validation_says_what_is_wrong_and_refuses_nothing(self) -> None:
        found = self.api.validate_state_machine_definition(definition=json.dumps(_SHADOWED))
        self.assertEqual(found["result"], "FAIL")
        (told,) = found["diagnostics"]
        self.assertEqual((told["severity"], told["code"]), ("ERROR", "SCHEMA_VALIDATION_FAILED"))
        sound = self.api.validate_state_machine_definition(definition=json.dumps(_machine(Only=_end())))
        self.assertEqual((sound["result"], sound["diagnostics"]), ("OK", []))
        broken = self.api.validate_state_machine_definition(definition="{")
        self.assertEqual(broken["diagnostics"][0]["code"], "INVALID_JSON_DESCRIPTION")

    def test_a_stack_fails_whose_machine_is_refused(self) -> None:
        def template(machine: Record) -> Record:
            properties = {
                "DefinitionString": json.dumps(machine),
                "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
            }
            executor = role(f"{self.name}-stack", {"Service": "states.amazonaws.com"}, [])
            return {
                "Resources": {
                    "Role": executor,
                    "Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties},
                }
            }

        stack = self.stack(template(_SHADOWED))
        self.assertEqual(stack["StackStatus"], "ROLLBACK_COMPLETE")
        events = client("cloudformation", DEVELOPMENT).describe_stack_events(StackName=stack["StackName"])[
            "StackEvents"
        ]
        reasons = [one.get("ResourceStatusReason", "") for one in events if one["ResourceStatus"] == "CREATE_FAILED"]
        self.assertIn("assigned in an outer scope", reasons[0])
        self.assertEqual(self.stack(template(_machine(Only=_end())))["StackStatus"], "CREATE_COMPLETE")
