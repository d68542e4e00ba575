"""EC2 images and snapshots across accounts, with AWS's rules."""

import json
from typing import Any

from overlay.shapes import Record
from overlay.tests.support import (
    DEVELOPMENT,
    PRODUCTION,
    REGION,
    Client,
    CloudTest,
    client,
    control,
    eventually,
    unique,
)

_PATTERN = {"source": ["aws.ec2"], "detail-type": ["EC2 AMI State Change"]}
_OTHER_REGION = "eu-central-1"


class Images(CloudTest):
    """A base image in the development account, and what production may do with it."""

    def setUp(self) -> None:
        super().setUp()
        control("PUT", "settings", {"image_delay_ms": 100})
        self.owner, self.target = client("ec2", DEVELOPMENT), client("ec2", PRODUCTION)

    def snapshot(self, **volume: Any) -> str:
        made = self.owner.create_volume(AvailabilityZone=f"{REGION}a", Size=12, VolumeType="gp3", **volume)
        return self.owner.create_snapshot(VolumeId=made["VolumeId"])["SnapshotId"]

    def base(self, snapshots: list[str] | None = None, **more: Any) -> str:
        """Register an image on snapshots; returns its id."""
        snapshots = snapshots or [self.snapshot()]
        return self.owner.register_image(
            Name=unique("base"),
            Architecture="x86_64",
            VirtualizationType="hvm",
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[
                {"DeviceName": f"/dev/xvd{letter}", "Ebs": {"SnapshotId": snapshot, "DeleteOnTermination": True}}
                for letter, snapshot in zip("abc", snapshots, strict=False)
            ],
            TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "version", "Value": "1.0"}]}],
            **more,
        )["ImageId"]

    def share(self, image_id: str, snapshots: bool = True) -> None:
        """Share an image, and its snapshots, with production."""
        self.owner.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"UserId": PRODUCTION}]})
        if snapshots:
            for snapshot_id in self.snapshots_of(image_id):
                self.owner.modify_snapshot_attribute(
                    SnapshotId=snapshot_id,
                    Attribute="createVolumePermission",
                    OperationType="add",
                    UserIds=[PRODUCTION],
                )

    def snapshots_of(self, image_id: str, api: Client = None) -> list[str]:
        image = (api or self.owner).describe_images(ImageIds=[image_id])["Images"][0]
        return [one["Ebs"]["SnapshotId"] for one in image["BlockDeviceMappings"] if "SnapshotId" in one["Ebs"]]

    def copy(self, image_id: str, api: Client = None, **more: Any) -> str:
        arguments = {"Name": unique("copy"), "SourceImageId": image_id, "SourceRegion": REGION, **more}
        return (api or self.target).copy_image(**arguments)["ImageId"]

    def state(self, image_id: str, api: Client = None) -> str:
        return (api or self.target).describe_images(ImageIds=[image_id])["Images"][0]["State"]

    def available(self, image_id: str, api: Client = None) -> str:
        eventually(lambda: self.state(image_id, api) != "pending", f"{image_id} is no longer pending")
        return self.state(image_id, api)

    def test_a_shared_image_is_copied_and_becomes_available_with_its_snapshots(self) -> None:
        control("PUT", "settings", {"image_delay_ms": 60_000})
        source = self.base()
        self.share(source)
        made = self.copy(
            source,
            TagSpecifications=[
                {"ResourceType": "image", "Tags": [{"Key": "Name", "Value": "copied"}]},
                {"ResourceType": "snapshot", "Tags": [{"Key": "Name", "Value": "disk"}]},
            ],
        )
        self.assertEqual(self.state(made), "pending")
        disk = self.target.describe_snapshots(SnapshotIds=self.snapshots_of(made, self.target))["Snapshots"][0]
        self.assertEqual((disk["State"], disk["OwnerId"], disk["VolumeSize"]), ("pending", PRODUCTION, 12))
        self.assertEqual(disk["Tags"], [{"Key": "Name", "Value": "disk"}])
        control("POST", f"images/{made}", {"account": PRODUCTION, "region": REGION, "finish": True})
        image = self.target.describe_images(ImageIds=[made])["Images"][0]
        self.assertEqual(image["State"], "available")
        self.assertEqual((image["SourceImageId"], image["SourceImageRegion"]), (source, REGION))
        self.assertEqual(image["OwnerId"], PRODUCTION)
        # The tags of the source stay where they are.
        self.assertEqual(image["Tags"], [{"Key": "Name", "Value": "copied"}])
        self.assertEqual(
            self.target.describe_snapshots(SnapshotIds=[disk["SnapshotId"]])["Snapshots"][0]["State"], "completed"
        )
        self.assertNotIn("Tags", self.target.describe_images(ImageIds=[source])["Images"][0])

    def test_an_image_that_is_not_shared_is_unknown_and_one_without_its_snapshots_cannot_be_copied(self) -> None:
        source = self.base()
        self.refused("InvalidAMIID.NotFound", self.copy, image_id=source)
        self.refused("InvalidAMIID.NotFound", self.target.describe_images, ImageIds=[source])
        self.share(source, snapshots=False)
        self.assertEqual(self.state(source), "available")
        self.assertIn("permission to access the storage", self.refused("InvalidRequest", self.copy, image_id=source))

    def test_every_snapshot_of_an_image_must_be_shared(self) -> None:
        source = self.base([self.snapshot(), self.snapshot()])
        self.share(source, snapshots=False)
        first, second = self.snapshots_of(source)
        for snapshot_id, last in ((first, False), (second, True)):
            self.owner.modify_snapshot_attribute(
                SnapshotId=snapshot_id, CreateVolumePermission={"Add": [{"UserId": PRODUCTION}]}
            )
            if not last:
                self.refused("InvalidRequest", self.copy, image_id=source)
        self.assertEqual(self.available(self.copy(source)), "available")

    def test_unsharing_takes_the_image_and_its_snapshots_away(self) -> None:
        source = self.base()
        self.share(source)
        disk = self.snapshots_of(source)[0]
        self.target.describe_snapshots(SnapshotIds=[disk])
        shared = self.owner.describe_image_attribute(ImageId=source, Attribute="launchPermission")
        self.assertEqual(shared["LaunchPermissions"], [{"UserId": PRODUCTION}])
        self.owner.modify_image_attribute(ImageId=source, LaunchPermission={"Remove": [{"UserId": PRODUCTION}]})
        self.owner.modify_snapshot_attribute(
            SnapshotId=disk, Attribute="createVolumePermission", OperationType="remove", UserIds=[PRODUCTION]
        )
        attribute = self.owner.describe_snapshot_attribute(SnapshotId=disk, Attribute="createVolumePermission")
        self.assertEqual(attribute["CreateVolumePermissions"], [])
        self.refused("InvalidAMIID.NotFound", self.target.describe_images, ImageIds=[source])
        self.refused("InvalidSnapshot.NotFound", self.target.describe_snapshots, SnapshotIds=[disk])

    def test_only_the_owner_changes_and_reads_what_is_shared(self) -> None:
        source = self.base()
        self.share(source)
        permission = {"Add": [{"UserId": "444444444444"}]}
        self.refused("AuthFailure", self.target.modify_image_attribute, ImageId=source, LaunchPermission=permission)
        self.refused("AuthFailure", self.target.deregister_image, ImageId=source)
        self.refused("AuthFailure", self.target.describe_image_attribute, ImageId=source, Attribute="launchPermission")

    def test_licensed_images_do_not_leave_their_account(self) -> None:
        attributes = (
            {"PlatformDetails": "Windows with SQL Server Standard"},
            {"BillingProducts": ["bp-12345678"]},
            {"ProductCodes": [{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}]},
        )
        for one in attributes:
            with self.subTest(one):
                source = self.base()
                self.share(source)
                body = {"account": DEVELOPMENT, "region": REGION, "attributes": one}
                control("POST", f"images/{source}", body)
                self.assertIn(
                    "cannot be copied to another AWS account",
                    self.refused("InvalidRequest", self.copy, image_id=source),
                )
                # Within the account it may be copied.
                self.assertEqual(self.available(self.copy(source, self.owner), self.owner), "available")

    def test_a_windows_image_shows_its_platform_and_usage(self) -> None:
        source = self.base(BillingProducts=["bp-6ba54002"])
        image = self.owner.describe_images(ImageIds=[source])["Images"][0]
        self.assertEqual((image["PlatformDetails"], image["UsageOperation"]), ("Windows", "RunInstances:0002"))
        plain = self.owner.describe_images(ImageIds=[self.base()])["Images"][0]
        self.assertEqual((plain["PlatformDetails"], plain["UsageOperation"]), ("Linux/UNIX", "RunInstances"))

    def test_a_snapshot_under_the_managed_key_is_not_shared(self) -> None:
        disk = self.snapshot(Encrypted=True)
        shown = self.owner.describe_snapshots(SnapshotIds=[disk])["Snapshots"][0]
        manager = client("kms", DEVELOPMENT).describe_key(KeyId=shown["KmsKeyId"])["KeyMetadata"]["KeyManager"]
        self.assertEqual(manager, "AWS")
        self.refused(
            "OperationNotPermitted",
            self.owner.modify_snapshot_attribute,
            SnapshotId=disk,
            CreateVolumePermission={"Add": [{"UserId": PRODUCTION}]},
        )
        source = self.base([disk])
        self.share(source, snapshots=False)
        self.refused("InvalidRequest", self.copy, image_id=source)

    def customer_key(self, policy_for: str | None = None) -> str:
        import json

        statements = [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{DEVELOPMENT}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ]
        if policy_for:
            statements.append(
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{policy_for}:root"},
                    "Action": "kms:*",
                    "Resource": "*",
                }
            )
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        return client("kms", DEVELOPMENT).create_key(Policy=policy)["KeyMetadata"]["Arn"]

    def test_a_copy_is_encrypted_again_under_a_key_of_the_target(self) -> None:
        source = self.base([self.snapshot(Encrypted=True, KmsKeyId=self.customer_key(PRODUCTION))])
        self.share(source)
        own = client("kms", PRODUCTION).create_key()["KeyMetadata"]["Arn"]
        made = self.copy(source, Encrypted=True, KmsKeyId=own)
        self.assertEqual(self.available(made), "available")
        disk = self.target.describe_snapshots(SnapshotIds=self.snapshots_of(made, self.target))["Snapshots"][0]
        self.assertEqual((disk["Encrypted"], disk["KmsKeyId"]), (True, own))

    def test_a_key_the_target_may_not_use_lets_the_copy_fail_later(self) -> None:
        caught = self.queue_of_events(_PATTERN, PRODUCTION)
        source = self.base([self.snapshot(Encrypted=True, KmsKeyId=self.customer_key())])
        self.share(source)
        made = self.copy(source)
        self.assertEqual(self.available(made), "failed")
        image = self.target.describe_images(ImageIds=[made])["Images"][0]
        self.assertIn("key ID is not accessible", image["StateReason"]["Message"])
        event = eventually(
            lambda: [one for one in caught() if one["detail"]["ImageId"] == made], "the failure was announced"
        )[0]
        self.assertEqual(event["detail"]["State"], "failed")
        self.assertIn("not accessible", event["detail"]["ErrorMessage"])

    def test_a_client_token_gives_the_same_image_and_no_other_parameters(self) -> None:
        source = self.base()
        self.share(source)
        asked = {"Name": unique("once"), "ClientToken": unique("token")}
        first = self.copy(source, **asked)
        self.assertEqual(self.copy(source, **asked), first)
        self.refused("IdempotentParameterMismatch", self.copy, image_id=source, **{**asked, "Description": "another"})
        self.refused("InvalidAMIName.Duplicate", self.copy, image_id=source, Name=asked["Name"])

    def test_an_image_is_copied_from_another_region(self) -> None:
        source = self.base()
        there = client("ec2", DEVELOPMENT, _OTHER_REGION)
        made = self.copy(source, there)
        self.assertEqual(self.available(made, there), "available")
        self.refused("InvalidAMIID.NotFound", there.describe_images, ImageIds=[source])
        self.refused(
            "InvalidAMIID.NotFound",
            there.copy_image,
            Name=unique("c"),
            SourceImageId=source,
            SourceRegion=_OTHER_REGION,
        )

    def test_state_changes_are_announced_where_they_happen(self) -> None:
        caught = self.queue_of_events(_PATTERN, PRODUCTION)
        source = self.base()
        self.share(source)
        made = self.copy(source)

        def about(image_id: str) -> list[Record]:
            return [one for one in caught() if one["detail"]["ImageId"] == image_id]

        event = eventually(lambda: about(made), "the copy was announced")[0]
        self.assertEqual(event["resources"], [f"arn:aws:ec2:{REGION}::image/{made}"])
        self.assertEqual(set(event["detail"]), {"RequestId", "ImageId", "State", "ErrorMessage"})
        self.assertEqual((event["account"], event["detail"]["State"]), (PRODUCTION, "available"))
        self.target.deregister_image(ImageId=made)
        eventually(lambda: len(about(made)) == 2, "its end was announced")
        self.assertEqual(about(made)[1]["detail"]["State"], "deregistered")

    def test_a_test_can_let_the_next_copy_fail(self) -> None:
        source, name = self.base(), unique("bad")
        control("POST", "images/fail-next", {"message": "disk on fire", "name": name})
        made = self.copy(source, self.owner, Name=name)
        self.assertEqual(self.available(made, self.owner), "failed")
        # The name of a failed image is free again.
        self.assertEqual(self.available(self.copy(source, self.owner, Name=name), self.owner), "available")

    def test_a_snapshot_in_use_stays_until_its_image_is_gone(self) -> None:
        disk = self.snapshot()
        source = self.base([disk])
        self.assertIn(source, self.refused("InvalidSnapshot.InUse", self.owner.delete_snapshot, SnapshotId=disk))
        result = self.owner.deregister_image(ImageId=source, DeleteAssociatedSnapshots=True)
        self.assertEqual(result["DeleteSnapshotResults"], [{"SnapshotId": disk, "ReturnCode": "success"}])
        self.refused("InvalidSnapshot.NotFound", self.owner.describe_snapshots, SnapshotIds=[disk])
        self.refused("InvalidAMIID.NotFound", self.owner.deregister_image, ImageId=source)

    def test_deregistering_skips_a_snapshot_another_image_needs(self) -> None:
        disk = self.snapshot()
        first, _second = self.base([disk]), self.base([disk])
        result = self.owner.deregister_image(ImageId=first, DeleteAssociatedSnapshots=True)
        self.assertEqual(result["DeleteSnapshotResults"], [{"SnapshotId": disk, "ReturnCode": "skipped"}])

    def test_dry_run_does_nothing_but_say_so(self) -> None:
        source = self.base()
        message = {"ImageId": source, "DryRun": True}
        self.refused("DryRunOperation", self.owner.deregister_image, **message)
        self.assertEqual(self.state(source, self.owner), "available")
        self.refused("DryRunOperation", self.copy, image_id=source, api=self.owner, DryRun=True)

    def test_unknown_ids_filters_and_snapshots_are_refused(self) -> None:
        self.refused("InvalidAMIID.NotFound", self.owner.describe_images, ImageIds=["ami-0123456789abcdef9"])
        self.refused("InvalidAMIID.Malformed", self.owner.describe_images, ImageIds=["ami-nonsense"])
        filters = [{"Name": "nonsense", "Values": ["x"]}]
        self.refused("InvalidParameterValue", self.owner.describe_images, Filters=filters)
        self.refused(
            "InvalidSnapshot.NotFound",
            self.owner.register_image,
            Name=unique("x"),
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-0123456789abcdef0"}}],
        )

    def test_images_are_found_by_owner_tag_and_state(self) -> None:
        source = self.base()
        found = self.owner.describe_images(
            Owners=["self"],
            Filters=[{"Name": "tag:version", "Values": ["1.*"]}, {"Name": "state", "Values": ["available"]}],
        )["Images"]
        self.assertIn(source, [image["ImageId"] for image in found])
        amazon = self.owner.describe_images(Owners=["amazon"])["Images"]
        self.assertTrue(amazon and all(image["ImageOwnerAlias"] == "amazon" for image in amazon))

    def test_an_image_is_made_of_an_instance(self) -> None:
        stub = self.owner.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        instance = self.owner.run_instances(ImageId=stub, InstanceType="t3.micro", MinCount=1, MaxCount=1)
        instance_id = instance["Instances"][0]["InstanceId"]
        made = self.owner.create_image(InstanceId=instance_id, Name=unique("made"))["ImageId"]
        self.assertEqual(self.available(made, self.owner), "available")
        self.assertEqual(self.owner.describe_images(ImageIds=[made])["Images"][0]["SourceInstanceId"], instance_id)
        references = self.owner.describe_image_references(ImageIds=[stub], IncludeAllResourceTypes=True)
        arns = [one["Arn"] for one in references["ImageReferences"]]
        self.assertIn(f"arn:aws:ec2:{REGION}:{DEVELOPMENT}:instance/{instance_id}", arns)
        self.owner.terminate_instances(InstanceIds=[instance_id])

    def test_launch_templates_and_parameters_are_references_too(self) -> None:
        source = self.base()
        self.owner.create_launch_template(
            LaunchTemplateName=unique("lt"), LaunchTemplateData={"ImageId": source, "InstanceType": "t3.micro"}
        )
        client("ssm", DEVELOPMENT).put_parameter(Name=f"/{unique('p')}", Value=source, Type="String")
        found = self.owner.describe_image_references(ImageIds=[source], IncludeAllResourceTypes=True)
        kinds = sorted(one["ResourceType"] for one in found["ImageReferences"])
        self.assertEqual(kinds, ["ec2:LaunchTemplate", "ssm:Parameter"])
        self.refused(
            "InvalidParameterValue",
            self.owner.describe_image_references,
            ImageIds=[f"ami-{number:017x}" for number in range(11)],
            IncludeAllResourceTypes=True,
        )

    def key(self, account: str = DEVELOPMENT) -> str:
        return client("kms", account).create_key()["KeyMetadata"]["Arn"]

    def test_a_grant_lets_another_account_use_a_key_and_its_end_takes_that_back(self) -> None:
        key, kms = self.key(), client("kms", DEVELOPMENT)
        source = self.base([self.snapshot(Encrypted=True, KmsKeyId=key)])
        self.share(source)
        there = client("kms", PRODUCTION)
        self.refused("AccessDeniedException", there.describe_key, KeyId=key)
        wanted = {
            "KeyId": key,
            "GranteePrincipal": f"arn:aws:iam::{PRODUCTION}:role/lockstep-promotion-image-target",
            "Operations": ["Decrypt", "DescribeKey", "CreateGrant"],
            "Name": unique("grant"),
        }
        grant = kms.create_grant(**wanted)["GrantId"]
        self.assertEqual(kms.create_grant(**wanted)["GrantId"], grant, "the same name is the same grant")
        self.assertEqual(there.describe_key(KeyId=key)["KeyMetadata"]["KeyManager"], "CUSTOMER")
        own = self.key(PRODUCTION)
        made = self.copy(source, Encrypted=True, KmsKeyId=own)
        self.assertEqual(self.available(made), "available")
        disk = self.target.describe_snapshots(SnapshotIds=self.snapshots_of(made, self.target))["Snapshots"][0]
        self.assertEqual(disk["KmsKeyId"], own)
        kms.revoke_grant(KeyId=key, GrantId=grant)
        self.refused("AccessDeniedException", there.describe_key, KeyId=key)
        self.assertEqual(self.available(self.copy(source, Encrypted=True, KmsKeyId=own)), "failed")

    def test_only_so_many_copies_run_at_once(self) -> None:
        control("PUT", "settings", {"image_delay_ms": 60_000, "copies_at_once": 2})
        self.addCleanup(control, "PUT", "settings", {"image_delay_ms": 100, "copies_at_once": 20})
        source, region = self.base(), client("ec2", DEVELOPMENT, "eu-north-1")
        first = self.copy(source, region)
        self.copy(source, region)
        self.refused("ResourceLimitExceeded", self.copy, image_id=source, api=region)
        control("POST", f"images/{first}", {"account": DEVELOPMENT, "region": "eu-north-1", "finish": True})
        self.copy(source, region)

    def test_a_protected_image_is_not_deregistered_and_a_cooldown_protects_on(self) -> None:
        source = self.base()
        self.owner.enable_image_deregistration_protection(ImageId=source)
        self.refused("OperationNotPermitted", self.owner.deregister_image, ImageId=source)
        self.owner.disable_image_deregistration_protection(ImageId=source)
        self.owner.deregister_image(ImageId=source)
        cooling = self.base()
        self.owner.enable_image_deregistration_protection(ImageId=cooling, WithCooldown=True)
        self.owner.disable_image_deregistration_protection(ImageId=cooling)
        self.refused("OperationNotPermitted", self.owner.deregister_image, ImageId=cooling)

    def test_a_policy_names_a_key_that_is_called_by_its_alias_and_whom_it_may_be_granted_to(self) -> None:
        key, owner, name = self.key(), client("kms", DEVELOPMENT), unique("user")
        alias = f"alias/{unique('key')}"
        owner.create_alias(AliasName=alias, TargetKeyId=key)
        wanted = f"arn:aws:iam::{PRODUCTION}:role/wanted"
        statements = [
            {"Effect": "Allow", "Action": "kms:DescribeKey", "Resource": key},
            {
                "Effect": "Allow",
                "Action": "kms:CreateGrant",
                "Resource": key,
                "Condition": {"StringLike": {"kms:GranteePrincipal": "arn:aws:iam::*:role/wanted"}},
            },
        ]
        iam = client("iam", DEVELOPMENT)
        iam.create_user(UserName=name)
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="it", PolicyDocument=document)
        pair = iam.create_access_key(UserName=name)["AccessKey"]
        person = client("kms", DEVELOPMENT, key=pair["AccessKeyId"], secret=pair["SecretAccessKey"])
        self.assertEqual(person.describe_key(KeyId=alias)["KeyMetadata"]["Arn"], key)
        self.refused("AccessDeniedException", person.describe_key, KeyId="alias/none")
        grant = {"KeyId": key, "Operations": ["Decrypt"]}
        person.create_grant(GranteePrincipal=wanted, **grant)
        other = wanted.replace("wanted", "other")
        self.refused("AccessDeniedException", person.create_grant, GranteePrincipal=other, **grant)
