"""Step Functions: what our state machines rely on, as the emulator and the overlay do it."""

import json
from typing import Any

from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, CloudTest, client, eventually, python_function, role, unique

_ASSIGN = {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]}
_ECHO = "def handler(event, context):\n    return event\n"
_FAIL = "def handler(event, context):\n    raise ValueError('told to')\n"
# What the emulator calls an exception of a Python function; a Rust one has its own error type.
_FAILED = "Runtime.HandlerError"
# Answers the token it is given, with the rights of the function's role.
_RESUME = """
import json, os
import botocore.session
def handler(event, context):
    states = botocore.session.get_session().create_client("stepfunctions", region_name=os.environ["AWS_REGION"])
    states.send_task_success(taskToken=event["token"], output=json.dumps({"got": event}))
"""


class StepFunctions(CloudTest):
    """Each test deploys a state machine with a stack and runs it."""

    def machine(self, definition: Record, functions: dict[str, str] | None = None) -> str:
        """Deploy a JSONata state machine; ``${Name}`` is the ARN of a function. Returns its ARN."""
        name = unique("machine")
        resources = {
            "Role": role(f"{name}-role", _ASSIGN, [{"Effect": "Allow", "Action": "*", "Resource": "*"}]),
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "StateMachineName": name,
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                    "DefinitionString": json.dumps({"QueryLanguage": "JSONata", **definition}),
                    "DefinitionSubstitutions": {key: {"Fn::GetAtt": [key, "Arn"]} for key in (functions or {})},
                },
            },
        }
        for key, code in (functions or {}).items():
            resources[key] = python_function({"Fn::GetAtt": ["Role", "Arn"]}, code)
        stack = self.stack({"Resources": resources, "Outputs": {"Arn": {"Value": {"Ref": "Machine"}}}})
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", stack)
        return stack["Outputs"][0]["OutputValue"]

    def run_machine(self, arn: str, given: Any = None, name: str | None = None) -> Record:
        """Run to the end; returns DescribeExecution's answer with ``output`` parsed."""
        api = client("stepfunctions", DEVELOPMENT)
        more = {"name": name} if name else {}
        execution = api.start_execution(stateMachineArn=arn, input=json.dumps(given or {}), **more)["executionArn"]

        def look() -> Record | None:
            found = api.describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        found = eventually(look, "the execution ended")
        found["output"] = json.loads(found["output"]) if found.get("output") else None
        return found

    def test_a_jsonata_task_gets_its_arguments_and_its_output_is_the_result(self) -> None:
        arn = self.machine(
            {
                "StartAt": "Call",
                "States": {
                    "Call": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::lambda:invoke",
                        "Arguments": {"FunctionName": "${Echo}", "Payload": {"v": "{% $states.input.a & 'x' %}"}},
                        "Output": "{% $states.result.Payload %}",
                        "End": True,
                    }
                },
            },
            {"Echo": _ECHO},
        )
        self.assertEqual(self.run_machine(arn, {"a": "1"})["output"], {"v": "1x"})

    def test_a_nested_execution_with_a_deterministic_name_returns_its_output(self) -> None:
        child = self.machine({"StartAt": "P", "States": {"P": {"Type": "Pass", "Output": {"n": 7}, "End": True}}})
        parent = self.machine(
            {
                "StartAt": "Nested",
                "States": {
                    "Nested": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::states:startExecution.sync:2",
                        "Arguments": {
                            "StateMachineArn": child,
                            "Name": "{% 'run-' & $states.context.Execution.Name %}",
                            "Input": {"a": "{% $states.input.a %}"},
                        },
                        "Output": "{% $states.result.Output %}",
                        "End": True,
                    }
                },
            }
        )
        name = unique("parent")
        found = self.run_machine(parent, {"a": 1}, name)
        self.assertEqual(found["output"], {"n": 7}, found)
        executions = client("stepfunctions", DEVELOPMENT).list_executions(stateMachineArn=child)["executions"]
        self.assertEqual([one["name"] for one in executions], [f"run-{name}"])

    def test_a_failed_nested_execution_fails_the_task_as_states_task_failed(self) -> None:
        child = self.machine({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Inner", "Cause": "because"}}})
        parent = self.machine(
            {
                "StartAt": "Nested",
                "States": {
                    "Nested": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::states:startExecution.sync:2",
                        "Arguments": {"StateMachineArn": child, "Input": {}},
                        "Catch": [
                            {
                                "ErrorEquals": ["States.TaskFailed"],
                                "Output": "{% $states.errorOutput %}",
                                "Next": "Done",
                            }
                        ],
                        "End": True,
                    },
                    "Done": {"Type": "Pass", "End": True},
                },
            }
        )
        found = self.run_machine(parent)
        self.assertEqual(found["output"]["Error"], "States.TaskFailed", found)
        cause = json.loads(found["output"]["Cause"])
        self.assertEqual((cause["Status"], cause["Error"], cause["Cause"]), ("FAILED", "Inner", "because"))

    def waiting_machine(self, **task: Any) -> Record:
        """A task that hands its token to ``${Given}``; ``task`` adds fields to the state."""
        return {
            "StartAt": "Wait",
            "States": {
                "Wait": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                    "Arguments": {
                        "FunctionName": "${Given}",
                        "Payload": {
                            "token": "{% $states.context.Task.Token %}",
                            "execution": "{% $states.context.Execution.Id %}",
                            "name": "{% $states.context.Execution.Name %}",
                            "retry": "{% $states.context.State.RetryCount %}",
                        },
                    },
                    "TimeoutSeconds": 15,
                    "End": True,
                    **task,
                },
                "Caught": {"Type": "Pass", "End": True},
            },
        }

    def test_a_token_is_answered_by_the_function_that_got_it(self) -> None:
        arn = self.machine(self.waiting_machine(), {"Given": _RESUME})
        name = unique("wait")
        found = self.run_machine(arn, name=name)
        self.assertEqual(found["status"], "SUCCEEDED", found)
        self.assertEqual(found["output"]["got"]["name"], name)
        self.assertEqual(found["output"]["got"]["execution"], found["executionArn"])

    def test_a_token_nobody_answers_ends_in_states_timeout_which_can_be_caught(self) -> None:
        catch = [{"ErrorEquals": ["States.Timeout"], "Output": "{% $states.errorOutput.Error %}", "Next": "Caught"}]
        arn = self.machine(self.waiting_machine(TimeoutSeconds=1, Catch=catch), {"Given": _ECHO})
        self.assertEqual(self.run_machine(arn)["output"], "States.Timeout")

    def test_a_function_that_fails_while_given_a_token_fails_the_task_at_once(self) -> None:
        catch = [{"ErrorEquals": [_FAILED], "Output": "{% $states.errorOutput.Error %}", "Next": "Caught"}]
        arn = self.machine(self.waiting_machine(TimeoutSeconds=600, Catch=catch), {"Given": _FAIL})
        self.assertEqual(self.run_machine(arn)["output"], _FAILED)

    def test_each_attempt_has_its_own_token_and_a_closed_token_is_refused(self) -> None:
        retry = [{"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1, "IntervalSeconds": 1}]
        catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
        arn = self.machine(self.waiting_machine(TimeoutSeconds=1, Retry=retry, Catch=catch), {"Given": _ECHO})
        found = self.run_machine(arn)
        api = client("stepfunctions", DEVELOPMENT)
        history = api.get_execution_history(executionArn=found["executionArn"], maxResults=100)["events"]
        self.assertEqual(sum(event["type"] == "TaskScheduled" for event in history), 2)
        self.refused("InvalidToken", api.send_task_success, taskToken="invented", output="{}")

    def test_a_token_is_answered_once(self) -> None:
        self.queue = client("sqs", DEVELOPMENT)
        arn = self.machine(
            {
                "StartAt": "Wait",
                "States": {
                    "Wait": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                        "Arguments": {
                            "QueueUrl": self.queue.create_queue(QueueName=unique("tokens"))["QueueUrl"],
                            "MessageBody": {"token": "{% $states.context.Task.Token %}"},
                        },
                        "End": True,
                    }
                },
            }
        )
        api = client("stepfunctions", DEVELOPMENT)
        execution = api.start_execution(stateMachineArn=arn)["executionArn"]
        url = json.loads(api.describe_state_machine(stateMachineArn=arn)["definition"])["States"]["Wait"]["Arguments"]
        message = eventually(
            lambda: self.queue.receive_message(QueueUrl=url["QueueUrl"]).get("Messages"), "the token was sent"
        )[0]
        token = json.loads(message["Body"])["token"]
        api.send_task_success(taskToken=token, output='{"first": 1}')
        self.refused("TaskTimedOut", api.send_task_failure, taskToken=token, error="Late", cause="second")
        eventually(
            lambda: api.describe_execution(executionArn=execution)["status"] == "SUCCEEDED", "the first answer counts"
        )

    def test_a_fail_state_computes_its_error_and_cause(self) -> None:
        arn = self.machine(
            {
                "StartAt": "F",
                "States": {
                    "F": {
                        "Type": "Fail",
                        "Error": "{% $states.input.error %}",
                        "Cause": "{% 'because ' & $states.input.why %}",
                    }
                },
            }
        )
        found = self.run_machine(arn, {"error": "Custom.Error", "why": "of it"})
        self.assertEqual((found["status"], found["error"], found["cause"]), ("FAILED", "Custom.Error", "because of it"))

    def test_a_map_over_none_one_and_two_items_keeps_their_order(self) -> None:
        arn = self.machine(
            {
                "StartAt": "Each",
                "States": {
                    "Each": {
                        "Type": "Map",
                        "Items": "{% $states.input.names %}",
                        "ItemSelector": {
                            "name": "{% $states.context.Map.Item.Value %}",
                            "index": "{% $states.context.Map.Item.Index %}",
                        },
                        "MaxConcurrency": 2,
                        "ItemProcessor": {
                            "ProcessorConfig": {"Mode": "INLINE"},
                            "StartAt": "One",
                            "States": {"One": {"Type": "Pass", "Output": "{% $states.input %}", "End": True}},
                        },
                        "End": True,
                    }
                },
            }
        )
        for names in ([], ["a"], ["a", "b"]):
            with self.subTest(names=names):
                expected = [{"name": name, "index": index} for index, name in enumerate(names)]
                self.assertEqual(self.run_machine(arn, {"names": names})["output"], expected)

    def test_a_jsonata_filter_that_finds_one_element_gives_a_map_one_item(self) -> None:
        # JSONata unwraps a sequence of one: [ ... ] around the expression keeps it an array.
        arn = self.machine(
            {
                "StartAt": "Each",
                "States": {
                    "Each": {
                        "Type": "Map",
                        "Items": "{% [$states.input.all[keep].name] %}",
                        "ItemProcessor": {
                            "ProcessorConfig": {"Mode": "INLINE"},
                            "StartAt": "One",
                            "States": {"One": {"Type": "Pass", "End": True}},
                        },
                        "End": True,
                    }
                },
            }
        )
        for count in (0, 1, 2):
            everything = [{"name": f"n{number}", "keep": number < count} for number in range(3)]
            found = self.run_machine(arn, {"all": everything})
            self.assertEqual(found["output"], [f"n{number}" for number in range(count)], found)

    def test_a_retry_with_a_maximum_delay_and_jitter_is_carried_out(self) -> None:
        retry = [
            {
                "ErrorEquals": [_FAILED],
                "IntervalSeconds": 1,
                "MaxAttempts": 2,
                "BackoffRate": 2,
                "MaxDelaySeconds": 3,
                "JitterStrategy": "FULL",
            }
        ]
        arn = self.machine(
            {
                "StartAt": "Call",
                "States": {
                    "Call": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::lambda:invoke",
                        "Arguments": {"FunctionName": "${Given}", "Payload": {}},
                        "Retry": retry,
                        "End": True,
                    }
                },
            },
            {"Given": _FAIL},
        )
        found = self.run_machine(arn)
        self.assertEqual((found["status"], found["error"]), ("FAILED", _FAILED))
        api = client("stepfunctions", DEVELOPMENT)
        history = api.get_execution_history(executionArn=found["executionArn"], maxResults=100)["events"]
        self.assertEqual(sum(event["type"] == "TaskScheduled" for event in history), 3)

    def test_the_same_name_joins_a_running_execution_and_is_refused_once_it_closed(self) -> None:
        arn = self.machine(self.waiting_machine(), {"Given": _ECHO})
        api, name = client("stepfunctions", DEVELOPMENT), unique("once")
        first = api.start_execution(stateMachineArn=arn, name=name, input='{"a": 1}')["executionArn"]
        again = api.start_execution(stateMachineArn=arn, name=name, input='{"a": 1}')["executionArn"]
        self.assertEqual(first, again)
        different = {"stateMachineArn": arn, "name": name, "input": '{"a": 2}'}
        self.refused("ExecutionAlreadyExists", api.start_execution, **different)
        api.stop_execution(executionArn=first)
        closed = {"stateMachineArn": arn, "name": name, "input": '{"a": 1}'}
        self.refused("ExecutionAlreadyExists", api.start_execution, **closed)

    def test_stopping_an_execution_stops_the_nested_one_it_waits_for(self) -> None:
        child = self.machine(self.waiting_machine(), {"Given": _ECHO})
        parent = self.machine(
            {
                "StartAt": "Nested",
                "States": {
                    "Nested": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::states:startExecution.sync:2",
                        "Arguments": {"StateMachineArn": child, "Name": "nested", "Input": {}},
                        "End": True,
                    }
                },
            }
        )
        api = client("stepfunctions", DEVELOPMENT)
        execution = api.start_execution(stateMachineArn=parent)["executionArn"]
        nested = child.replace(":stateMachine:", ":execution:") + ":nested"

        def waits() -> Any:
            running = api.list_executions(stateMachineArn=child, statusFilter="RUNNING")["executions"]
            return [one["executionArn"] for one in running] == [nested]

        eventually(waits, "the nested execution runs")
        api.stop_execution(executionArn=execution)
        eventually(lambda: api.describe_execution(executionArn=nested)["status"] == "ABORTED", "it was stopped too")
