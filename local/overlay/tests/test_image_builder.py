"""Builds of images: CodeBuild's answers and events, and the image that a build leaves."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import botocore.session

from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, PRODUCTION, REGION, CloudTest, client, control, eventually, unique

_PROJECT = "lockstep-image-build"
# How JSON writes a shape; every other kind is a number.
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "timestamp": (int, float)}


def _recipe(variables: str = "variables/development.json", size: int = 20) -> bytes:
    """A recipe as CodeBuild fetches it: a zip with the values of the account's variables."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("image.pkr.hcl", "")
        archive.writestr(variables, json.dumps({"volume_gib": size}))
    return written.getvalue()


def _unlike(shape: Any, value: Any, place: str = "answer") -> Iterator[str]:
    """What of a raw answer is not as the service's own description of it says."""
    if shape.type_name == "structure":
        for key, inner in value.items():
            if key not in shape.members:
                yield f"{place}.{key} is unknown"
            else:
                yield from _unlike(shape.members[key], inner, f"{place}.{key}")
    elif shape.type_name == "list":
        for inner in value:
            yield from _unlike(shape.member, inner, f"{place}[]")
    elif getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{place} is {value}, none of {shape.enum}"
    elif not isinstance(value, _TYPES.get(shape.type_name, (int,))):
        yield f"{place} is a {type(value).__name__}, not a {shape.type_name}"


class ImageBuilds(CloudTest):
    """The project that bakes images, in the development account."""

    def setUp(self) -> None:
        super().setUp()
        self.api, self.ec2 = client("codebuild", DEVELOPMENT), client("ec2", DEVELOPMENT)
        control("PUT", "settings", {"build_delay_ms": 50})
        self.addCleanup(control, "PUT", "settings", {"build_delay_ms": 300})
        self.api.create_project(
            name=_PROJECT,
            source={"type": "S3", "location": "none/none.zip", "buildspec": "version: 0.2"},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"},
            serviceRole=f"arn:aws:iam::{DEVELOPMENT}:role/lockstep-image-build",
        )
        self.addCleanup(self.api.delete_project, name=_PROJECT)
        self.bucket, self.name, self.image = unique("bucket"), unique("made"), unique("logstash")
        s3 = client("s3", DEVELOPMENT)
        s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=self.bucket, Key="recipes/one.zip", Body=_recipe())

    def asked(self, **changed: Any) -> Record:
        """The parameters of a build; ``changed`` are variables, or the recipe's ``key``."""
        tags = {"Name": self.name, "lockstep:image": self.image, "version": "1.2.3"}
        key = changed.pop("key", "recipes/one.zip")
        variables = {
            "LOCKSTEP_AMI_NAME": self.name,
            "LOCKSTEP_TAGS": json.dumps(tags),
            "LOCKSTEP_VARIABLES": "variables/development.json",
            **changed,
        }
        return {
            "projectName": _PROJECT,
            "idempotencyToken": self.name,
            "sourceTypeOverride": "S3",
            "sourceLocationOverride": f"{self.bucket}/{key}",
            "environmentVariablesOverride": [{"name": one, "value": value} for one, value in variables.items()],
        }

    def start(self, **changed: Any) -> str:
        return self.api.start_build(**self.asked(**changed))["build"]["id"]

    def build(self, build_id: str) -> Record:
        return self.api.batch_get_builds(ids=[build_id])["builds"][0]

    def ended(self, build_id: str) -> Record:
        def look() -> Record | None:
            build = self.build(build_id)
            return build if build["buildComplete"] else None

        return eventually(look, f"{build_id} has ended")

    def images(self) -> list[Record]:
        """The images with the tag of this test's image."""
        return self.ec2.describe_images(Filters=[{"Name": "tag:lockstep:image", "Values": [self.image]}])["Images"]

    def why(self, build: Record) -> str:
        """What the phase that failed says."""
        failed = [one for one in build["phases"] if one.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED"]
        self.assertEqual([one["phaseType"] for one in failed], ["BUILD"])
        return failed[0]["contexts"][0]["message"]

    def test_answers_have_the_shape_that_the_api_describes(self) -> None:
        model = botocore.session.get_session().get_service_model("codebuild")
        raw: dict[str, list[Any]] = {}

        def keep(http_response: Any, model: Any, **_: Any) -> None:
            raw.setdefault(model.name, []).append(json.loads(http_response.content))

        self.api.meta.events.register("after-call.codebuild", keep)
        self.addCleanup(self.api.meta.events.unregister, "after-call.codebuild", keep)
        self.ended(self.start())
        control("POST", "builds/expect", {"name": self.image, "status": "FAILED"})
        self.name = unique("bad")
        self.ended(self.start())
        control("PUT", "settings", {"build_delay_ms": -1})
        self.name = unique("stopped")
        self.api.stop_build(id=self.start())
        self.assertEqual(set(raw), {"StartBuild", "BatchGetBuilds", "StopBuild"})
        for operation, answers in raw.items():
            shape = model.operation_model(operation).output_shape
            wrong = [one for answer in answers for one in _unlike(shape, answer)]
            self.assertEqual(wrong, [], operation)

    def test_a_build_makes_the_image_it_was_told_to_and_exports_its_id_as_packer_writes_it(self) -> None:
        build_id = self.start()
        begun = self.build(build_id)
        self.assertRegex(build_id, rf"^{_PROJECT}:[0-9a-f-]{{36}}$")
        self.assertEqual(begun["arn"], f"arn:aws:codebuild:{REGION}:{DEVELOPMENT}:build/{build_id}")
        ended = self.ended(build_id)
        self.assertEqual((ended["buildStatus"], ended["currentPhase"]), ("SUCCEEDED", "COMPLETED"))
        self.assertIn(build_id, ended["logs"]["deepLink"])
        self.assertEqual({one["phaseStatus"] for one in ended["phases"] if "phaseStatus" in one}, {"SUCCEEDED"})
        image = self.images()[0]
        # https://developer.hashicorp.com/packer/docs/post-processors/manifest: artifact_id is region:id.
        exported = [{"name": "LOCKSTEP_MADE", "value": f"{REGION}:{image['ImageId']}"}]
        self.assertEqual(ended["exportedEnvironmentVariables"], exported)
        self.assertEqual((image["Name"], image["State"], image["OwnerId"]), (self.name, "available", DEVELOPMENT))
        tags = {one["Key"]: one["Value"] for one in image["Tags"]}
        build = {"lockstep:build": begun["arn"]}
        self.assertEqual(tags, {"Name": self.name, "lockstep:image": self.image, "version": "1.2.3"} | build)
        device = image["BlockDeviceMappings"][0]["Ebs"]
        self.assertEqual(device["VolumeSize"], 20)
        disk = self.ec2.describe_snapshots(SnapshotIds=[device["SnapshotId"]])["Snapshots"][0]
        self.assertEqual((disk["VolumeSize"], disk["State"]), (20, "completed"))
        self.assertEqual({one["Key"]: one["Value"] for one in disk["Tags"]}, tags)
        self.assertEqual(client("ec2", PRODUCTION).describe_images(Owners=["self"])["Images"], [])

    def test_a_build_that_is_in_progress_has_made_nothing(self) -> None:
        control("PUT", "settings", {"build_delay_ms": -1})
        build = self.build(self.start())
        self.assertEqual((build["buildStatus"], build["buildComplete"]), ("IN_PROGRESS", False))
        self.assertNotIn("endTime", build)
        self.assertNotIn("exportedEnvironmentVariables", build)
        self.assertEqual([one["phaseType"] for one in build["phases"]], ["SUBMITTED"])
        self.assertEqual(self.images(), [])

    def test_a_build_is_told_to_fail_and_makes_nothing(self) -> None:
        for status in ("FAILED", "FAULT", "TIMED_OUT"):
            with self.subTest(status):
                told = {"name": self.image, "status": status, "message": "yum is down"}
                control("POST", "builds/expect", told)
                self.name = unique("made")
                build = self.ended(self.start())
                self.assertEqual((build["buildStatus"], self.why(build)), (status, "yum is down"))
                self.assertEqual(self.images(), [])
        # It was told of one build each.
        self.name = unique("made")
        self.assertEqual(self.ended(self.start())["buildStatus"], "SUCCEEDED")

    def test_what_another_image_is_told_does_not_concern_this_one(self) -> None:
        control("POST", "builds/expect", {"name": unique("other"), "status": "FAILED"})
        self.assertEqual(self.ended(self.start())["buildStatus"], "SUCCEEDED")

    def test_a_build_is_stopped_and_what_has_ended_is_not(self) -> None:
        control("PUT", "settings", {"build_delay_ms": -1})
        build_id = self.start()
        self.assertEqual(self.api.stop_build(id=build_id)["build"]["buildStatus"], "STOPPED")
        self.assertEqual(self.build(build_id)["buildStatus"], "STOPPED")
        self.assertEqual(self.images(), [])
        control("PUT", "settings", {"build_delay_ms": 0})
        self.name = unique("made")
        done = self.start()
        self.ended(done)
        self.assertEqual(self.api.stop_build(id=done)["build"]["buildStatus"], "SUCCEEDED")
        self.refused("ResourceNotFoundException", self.api.stop_build, id=f"{_PROJECT}:none")

    def test_every_change_of_a_build_is_told(self) -> None:
        caught = self.queue_of_events({"source": ["aws.codebuild"]})

        def told(build_id: str) -> list[Record]:
            return [one for one in caught() if one["detail"]["build-id"].endswith(f":build/{build_id}")]

        made = self.start()
        eventually(lambda: len(told(made)) == 2, "a beginning and an end")
        self.assertEqual([one["detail"]["build-status"] for one in told(made)], ["IN_PROGRESS", "SUCCEEDED"])
        event = told(made)[1]
        self.assertEqual((event["detail-type"], event["account"]), ("CodeBuild Build State Change", DEVELOPMENT))
        self.assertEqual(event["detail"]["project-name"], _PROJECT)
        self.assertEqual(event["resources"], [event["detail"]["build-id"]])
        information = event["detail"]["additional-information"]
        self.assertEqual(information["phases"][-1]["phase-type"], "COMPLETED")
        self.assertEqual(information["source"]["type"], "S3")
        self.assertRegex(information["build-start-time"], r"^[A-Z][a-z]{2} \d+, \d{4} \d+:\d\d:\d\d [AP]M$")
        control("PUT", "settings", {"build_delay_ms": -1})
        self.name = unique("made")
        stopped = self.start()
        self.api.stop_build(id=stopped)
        self.api.stop_build(id=stopped)
        eventually(lambda: len(told(stopped)) == 2, "a beginning and an end")
        self.assertEqual([one["detail"]["build-status"] for one in told(stopped)], ["IN_PROGRESS", "STOPPED"])

    def test_a_recipe_that_is_not_there_or_lacks_the_account_s_variables_fails_the_build(self) -> None:
        for changed, said in (
            ({"key": "recipes/none.zip"}, f"the recipe {self.bucket}/recipes/none.zip is not there"),
            ({"LOCKSTEP_VARIABLES": "variables/nowhere.json"}, "the recipe has no variables/nowhere.json"),
        ):
            with self.subTest(said):
                self.name = unique("made")
                build = self.ended(self.start(**changed))
                self.assertEqual((build["buildStatus"], self.why(build)), ("FAILED", said))
                self.assertEqual(self.images(), [])

    def test_an_image_name_is_used_once(self) -> None:
        self.ended(self.start())
        again = self.ended(self.api.start_build(**{**self.asked(), "idempotencyToken": unique("token")})["build"]["id"])
        self.assertEqual(self.why(again), f"the image name {self.name} is in use")
        self.assertEqual(len(self.images()), 1)

    def test_a_token_is_one_build_and_refuses_other_parameters(self) -> None:
        build_id = self.start()
        self.assertEqual(self.start(), build_id)
        self.ended(build_id)
        self.assertEqual(self.start(), build_id)
        other = {**self.asked(), "sourceLocationOverride": f"{self.bucket}/recipes/two.zip"}
        self.refused("InvalidInputException", self.api.start_build, **other)
        self.assertEqual(self.api.list_builds_for_project(projectName=_PROJECT)["ids"].count(build_id), 1)

    def test_a_licence_is_the_image_s(self) -> None:
        control("POST", "builds/expect", {"name": self.image, "billing_product": "bp-6ba54002"})
        self.ended(self.start())
        self.assertEqual(self.images()[0]["PlatformDetails"], "Windows")

    def test_unknown_builds_and_projects_are_said_to_be_unknown(self) -> None:
        self.assertEqual(self.api.batch_get_builds(ids=["no:build"])["buildsNotFound"], ["no:build"])
        self.refused("ResourceNotFoundException", self.api.start_build, projectName="none")
