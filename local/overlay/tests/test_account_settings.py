"""What an account sets for itself: encryption by default, the images of others that it allows, and its quotas."""

from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, PRODUCTION, Client, CloudTest, allow, client, control, eventually, unique

# A region of its own: the settings hold for all that an account makes there.
_ELSEWHERE = "eu-central-1"


class AccountTest(CloudTest):
    """Two accounts in a region where no other test is."""

    def setUp(self) -> None:
        super().setUp()
        self.ec2 = client("ec2", DEVELOPMENT, _ELSEWHERE)
        self.other = client("ec2", PRODUCTION, _ELSEWHERE)

    def image(self, api: Client, shared_with: str | None = None, name: str | None = None) -> str:
        """An image of an account, from a volume; returns its id."""
        volume = api.create_volume(AvailabilityZone=f"{_ELSEWHERE}a", Size=1)["VolumeId"]
        disk = api.create_snapshot(VolumeId=volume)["SnapshotId"]
        made = api.register_image(
            Name=name or unique("image"),
            Architecture="x86_64",
            VirtualizationType="hvm",
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": disk}}],
        )["ImageId"]
        if shared_with:
            permission = {"Add": [{"UserId": shared_with}]}
            api.modify_snapshot_attribute(
                SnapshotId=disk, Attribute="createVolumePermission", CreateVolumePermission=permission
            )
            api.modify_image_attribute(ImageId=made, LaunchPermission=permission)
        return made

    def snapshot_of(self, api: Client, image: str) -> Record:
        """The snapshot of an image that is no longer pending."""

        def settled() -> Record | None:
            found = api.describe_images(ImageIds=[image])["Images"][0]
            return found if found["State"] != "pending" else None

        found = eventually(settled, f"{image} is made")
        self.assertEqual(found["State"], "available", found)
        disk = found["BlockDeviceMappings"][0]["Ebs"]
        snapshot = api.describe_snapshots(SnapshotIds=[disk["SnapshotId"]])["Snapshots"][0]
        self.assertEqual(disk["Encrypted"], snapshot["Encrypted"])
        return snapshot


class EncryptionByDefault(AccountTest):
    """Off and on, under the AWS-managed key and under one's own."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.ec2.disable_ebs_encryption_by_default)
        self.addCleanup(self.ec2.reset_ebs_default_kms_key_id)

    def key(self) -> str:
        return client("kms", DEVELOPMENT, _ELSEWHERE).create_key()["KeyMetadata"]["Arn"]

    def test_a_new_account_has_it_off_and_the_managed_key(self) -> None:
        self.assertFalse(self.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"])
        self.assertEqual(self.ec2.get_ebs_default_kms_key_id()["KmsKeyId"], "alias/aws/ebs")

    def test_it_is_set_for_one_account_and_region(self) -> None:
        self.ec2.enable_ebs_encryption_by_default()
        self.assertTrue(self.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"])
        self.assertFalse(self.other.get_ebs_encryption_by_default()["EbsEncryptionByDefault"])
        self.assertFalse(client("ec2", DEVELOPMENT).get_ebs_encryption_by_default()["EbsEncryptionByDefault"])
        self.ec2.disable_ebs_encryption_by_default()
        self.assertFalse(self.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"])

    def test_the_default_key_is_one_that_exists_until_it_is_reset(self) -> None:
        key = self.key()
        self.assertEqual(self.ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)["KmsKeyId"], key)
        self.assertEqual(self.ec2.get_ebs_default_kms_key_id()["KmsKeyId"], key)
        self.refused("InvalidKmsKeyId.NotFound", self.ec2.modify_ebs_default_kms_key_id, KmsKeyId="alias/none")
        self.assertEqual(self.ec2.reset_ebs_default_kms_key_id()["KmsKeyId"], "alias/aws/ebs")

    def made(self) -> list[tuple[bool, str | None]]:
        """Whatever makes a disk: (volume, copied snapshot, copied image, image of an instance), each with its key."""
        source = self.image(self.other, shared_with=DEVELOPMENT)
        public = self.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        instance = self.ec2.run_instances(ImageId=public, InstanceType="t3.micro", MinCount=1, MaxCount=1)
        of_instance = self.ec2.create_image(InstanceId=instance["Instances"][0]["InstanceId"], Name=unique("made"))
        copied = self.ec2.copy_image(Name=unique("copy"), SourceImageId=source, SourceRegion=_ELSEWHERE)
        volume = self.ec2.create_volume(AvailabilityZone=f"{_ELSEWHERE}a", Size=1)["VolumeId"]
        disk = self.plain
        of_disk = self.ec2.copy_snapshot(SourceSnapshotId=disk, SourceRegion=_ELSEWHERE)["SnapshotId"]
        found = [self.snapshot_of(self.ec2, one["ImageId"]) for one in (of_instance, copied)]
        found.append(self.ec2.describe_snapshots(SnapshotIds=[of_disk])["Snapshots"][0])
        found.append(
            self.ec2.describe_snapshots(SnapshotIds=[self.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]])[
                "Snapshots"
            ][0]
        )
        return [(one["Encrypted"], one.get("KmsKeyId")) for one in found]

    def test_what_is_made_is_encrypted_although_nobody_asked(self) -> None:
        volume = self.ec2.create_volume(AvailabilityZone=f"{_ELSEWHERE}a", Size=1)["VolumeId"]
        self.plain = self.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        self.assertEqual(self.made(), [(False, None)] * 4)
        self.ec2.enable_ebs_encryption_by_default()
        managed = {key for encrypted, key in self.made() if encrypted}
        self.assertEqual(len(managed), 1)
        described = client("kms", DEVELOPMENT, _ELSEWHERE).describe_key(KeyId=managed.pop())["KeyMetadata"]
        self.assertEqual(described["KeyManager"], "AWS")
        key = self.key()
        self.ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)
        self.assertEqual(self.made(), [(True, key)] * 4)

    def test_what_is_under_the_managed_key_by_default_cannot_be_shared(self) -> None:
        self.ec2.enable_ebs_encryption_by_default()
        image = self.image(self.ec2)
        snapshot = self.snapshot_of(self.ec2, image)["SnapshotId"]
        self.refused(
            "OperationNotPermitted",
            self.ec2.modify_snapshot_attribute,
            SnapshotId=snapshot,
            Attribute="createVolumePermission",
            CreateVolumePermission={"Add": [{"UserId": PRODUCTION}]},
        )


class AllowedImages(AccountTest):
    """What is found, copied and launched, and what only seems to be missing."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.ec2.disable_allowed_images_settings)
        self.addCleanup(self.ec2.replace_image_criteria_in_allowed_images_settings, ImageCriteria=[])
        self.name = unique("theirs")
        self.theirs, self.mine = self.image(self.other, DEVELOPMENT, self.name), self.image(self.ec2)

    def criteria(self, *criteria: Record) -> None:
        self.ec2.replace_image_criteria_in_allowed_images_settings(ImageCriteria=list(criteria))

    def found(self) -> dict[str, bool | None]:
        listed = self.ec2.describe_images(Filters=[{"Name": "image-id", "Values": [self.theirs, self.mine]}])["Images"]
        return {one["ImageId"]: one.get("ImageAllowed") for one in listed}

    def test_it_is_disabled_until_somebody_enables_it(self) -> None:
        self.assertEqual(self.ec2.get_allowed_images_settings()["State"], "disabled")
        self.assertEqual(self.found(), {self.theirs: None, self.mine: None})

    def test_images_of_others_that_meet_no_criterion_are_not_found_nor_used(self) -> None:
        self.criteria({"ImageProviders": ["amazon"]})
        self.ec2.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")
        self.assertEqual(self.found(), {self.mine: True})
        copy = {"Name": unique("copy"), "SourceImageId": self.theirs, "SourceRegion": _ELSEWHERE}
        self.refused("InvalidAMIID.NotFound", self.ec2.describe_images, ImageIds=[self.theirs])
        self.refused("InvalidAMIID.NotFound", self.ec2.copy_image, **copy)
        self.criteria({"ImageProviders": ["amazon"]}, {"ImageProviders": [PRODUCTION]})
        self.assertEqual(self.found(), {self.theirs: True, self.mine: True})
        self.ec2.copy_image(**copy)

    def test_a_public_image_is_launched_only_where_it_is_allowed(self) -> None:
        public = self.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        launch = {"ImageId": public, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        self.ec2.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")
        self.criteria({"ImageProviders": [PRODUCTION]})
        self.refused("InvalidAMIID.NotFound", self.ec2.run_instances, **launch)
        self.criteria({"ImageProviders": ["amazon"]})
        self.ec2.run_instances(**launch)

    def test_audit_mode_says_what_would_be_missing_and_hides_nothing(self) -> None:
        self.criteria({"ImageProviders": ["amazon"]})
        self.ec2.enable_allowed_images_settings(AllowedImagesSettingsState="audit-mode")
        self.assertEqual(self.found(), {self.theirs: False, self.mine: True})
        self.ec2.copy_image(Name=unique("copy"), SourceImageId=self.theirs, SourceRegion=_ELSEWHERE)

    def test_each_part_of_a_criterion_must_be_met(self) -> None:
        self.ec2.enable_allowed_images_settings(AllowedImagesSettingsState="audit-mode")
        for criterion, allowed in (
            ({"ImageProviders": [PRODUCTION], "ImageNames": [self.name]}, True),
            ({"ImageProviders": [PRODUCTION], "ImageNames": ["theirs-*"]}, True),
            ({"ImageProviders": [PRODUCTION], "ImageNames": ["other-*"]}, False),
            ({"ImageProviders": [DEVELOPMENT], "ImageNames": ["theirs-*"]}, False),
            ({"ImageNames": ["theirs-*"], "CreationDateCondition": {"MaximumDaysSinceCreated": 1}}, True),
            ({"CreationDateCondition": {"MaximumDaysSinceCreated": 0}}, False),
            ({"MarketplaceProductCodes": ["abcdefg1234567890"]}, False),
        ):
            with self.subTest(criterion):
                self.criteria(criterion)
                self.assertEqual(self.found()[self.theirs], allowed)

    def test_the_criteria_are_told_as_they_were_given(self) -> None:
        criteria: list[Record] = [
            {"ImageProviders": ["amazon", PRODUCTION], "ImageNames": ["a-*"]},
            {"CreationDateCondition": {"MaximumDaysSinceCreated": 30}},
        ]
        self.criteria(*criteria)
        found = self.ec2.get_allowed_images_settings()
        self.assertEqual((found["ImageCriteria"], found["ManagedBy"]), (criteria, "account"))


class Quotas(CloudTest):
    """Service Quotas and the account settings of Lambda: what is told is what holds."""

    copies, functions = "Concurrent snapshot copies per destination Region", "L-B99A9384"

    def setUp(self) -> None:
        super().setUp()
        self.api = client("service-quotas", DEVELOPMENT, _ELSEWHERE)

    def set(self, service: str, name: str, value: float | None = None) -> None:
        control("PUT", "quotas", {"service": service, "name": name, "value": value})
        if value is not None:
            self.addCleanup(self.set, service, name)

    def listed(self, service: str) -> dict[str, float]:
        return {one["QuotaName"]: one["Value"] for one in self.api.list_service_quotas(ServiceCode=service)["Quotas"]}

    def test_each_quota_can_be_listed_and_asked_for(self) -> None:
        for service in ("ebs", "ec2", "codebuild", "lambda"):
            for one in self.api.list_service_quotas(ServiceCode=service)["Quotas"]:
                with self.subTest(one["QuotaName"]):
                    asked = {"ServiceCode": service, "QuotaCode": one["QuotaCode"]}
                    self.assertEqual(self.api.get_service_quota(**asked)["Quota"], one)
                    self.assertGreater(one["Value"], 0)
        self.refused("NoSuchResourceException", self.api.get_service_quota, ServiceCode="ec2", QuotaCode="L-00000000")
        self.refused("NoSuchResourceException", self.api.list_service_quotas, ServiceCode="none")

    def test_a_quota_of_copies_is_the_one_that_refuses_copies(self) -> None:
        self.assertEqual(self.listed("ebs")[self.copies], 20)
        self.set("ebs", self.copies, 0)
        self.assertEqual(self.listed("ebs")[self.copies], 0)
        self.assertEqual(control("GET", "settings")["copies_at_once"], 0)
        code = next(
            one["QuotaCode"] for one in self.api.list_service_quotas(ServiceCode="ebs")["Quotas"] if one["Value"] == 0
        )
        default = self.api.get_aws_default_service_quota(ServiceCode="ebs", QuotaCode=code)["Quota"]
        self.assertEqual(default["Value"], 20)

    def test_functions_at_once_are_told_by_both_services(self) -> None:
        self.set("lambda", self.functions, 10)
        limits = client("lambda", DEVELOPMENT).get_account_settings()["AccountLimit"]
        self.assertEqual((limits["ConcurrentExecutions"], self.listed("lambda")["Concurrent executions"]), (10, 10))

    def test_it_needs_its_permission(self) -> None:
        may = self.somebody(allow("servicequotas:ListServiceQuotas"))
        may("service-quotas").list_service_quotas(ServiceCode="ec2")
        may_not = self.somebody(allow("ec2:DescribeImages"))
        self.refused("AccessDeniedException", may_not("service-quotas").list_service_quotas, ServiceCode="ec2")
