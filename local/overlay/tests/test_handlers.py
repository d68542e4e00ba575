"""The resource types whose handlers the overlay adds or wraps: a stack creates, updates, replaces and deletes each.

A handler that is called with an argument it does not know fails only on the road that has that argument, such as an
update. So the suite asks the overlay itself which types it touches, and takes each of them down every road.
"""

import json
import subprocess
import sys

from overlay.shapes import Record
from overlay.tests import handler_stories
from overlay.tests.handler_stories import Story
from overlay.tests.support import DEVELOPMENT, CloudTest, client, stack_at_rest, unique

_TOUCHED = """
import json
from ministack.services.cloudformation import provisioners
before = {kind: dict(handlers) for kind, handlers in provisioners._RESOURCE_HANDLERS.items()}
from overlay import start
for name in start.PATCHES:
    __import__(f"overlay.{name}", fromlist=["install"]).install()
after = provisioners._RESOURCE_HANDLERS
touched = {kind for kind, handlers in after.items() if handlers != before.get(kind)}
print(json.dumps(sorted(touched)))
"""


def touched_types() -> set[str]:
    """The types of which any handler differs once the overlay is installed."""
    environment = {"GATEWAY_PORT": "0", "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", _TOUCHED], env=environment, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


class Handlers(CloudTest):
    """One story for each type: no story is missing and none is left over."""

    def test_each_type_that_the_overlay_touches_has_a_story(self) -> None:
        touched = touched_types()
        self.assertGreater(len(touched), 10)
        self.assertEqual(set(touched), set(handler_stories.STORIES))

    def test_each_type_is_created_updated_replaced_and_deleted(self) -> None:
        for kind in touched_types():
            with self.subTest(kind):
                self.tell(kind, handler_stories.STORIES[kind](unique("it")))

    def tell(self, kind: str, story: Story) -> None:
        """Take one resource from its creation to its end, and look at the service itself after each step."""
        stack = self.stack(story.template(story.created))
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", self.reasons(stack))
        first = self.physical_id(stack, kind)
        self.assertEqual(story.look(first), story.before)

        self.update(stack, story.template(story.updated), "UPDATE_COMPLETE")
        self.assertEqual(self.physical_id(stack, kind), first, "changed in place")
        self.assertEqual(story.look(first), story.after)

        # A replacement that is rolled back leaves the first one as it was.
        self.update(stack, story.failing(story.replaced), "UPDATE_ROLLBACK_COMPLETE")
        self.assertEqual(self.physical_id(stack, kind), first)
        self.assertEqual(story.look(first), story.after)

        self.update(stack, story.template(story.replaced), "UPDATE_COMPLETE")
        second = self.physical_id(stack, kind)
        self.assertNotEqual(second, first, "another resource")
        self.assertIsNone(story.look(first), "the first one is gone")
        self.assertIsNotNone(story.look(second))

        self.delete_stack(stack["StackName"])
        self.assertEqual(stack_at_rest(stack["StackId"])["StackStatus"], "DELETE_COMPLETE", self.reasons(stack))
        self.assertIsNone(story.look(second), "the second one is gone with the stack")

    def update(self, stack: Record, template: Record, status: str) -> None:
        """Update the stack and wait until it ends as it should."""
        client("cloudformation", DEVELOPMENT).update_stack(
            StackName=stack["StackName"], TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        self.assertEqual(stack_at_rest(stack["StackName"])["StackStatus"], status, self.reasons(stack))

    def physical_id(self, stack: Record, kind: str) -> str:
        """The id of the stack's one resource of the type under test, which is called ``Thing`` or ``Other``."""
        listed = client("cloudformation", DEVELOPMENT).describe_stack_resources(StackName=stack["StackName"])
        (found,) = (
            one["PhysicalResourceId"]
            for one in listed["StackResources"]
            if one["ResourceType"] == kind and one["LogicalResourceId"] in ("Thing", "Other")
        )
        return found

    def reasons(self, stack: Record) -> list[tuple[str, str, str]]:
        """What failed, for whoever reads a failed assertion."""
        events = client("cloudformation", DEVELOPMENT).describe_stack_events(StackName=stack["StackId"])["StackEvents"]
        return [
            (one["LogicalResourceId"], one["ResourceStatus"], one.get("ResourceStatusReason", ""))
            for one in events
            if one["ResourceStatus"].endswith("FAILED")
        ]
