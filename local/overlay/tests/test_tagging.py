"""Permissions of EC2 calls that use several resources or tag what they make."""

from typing import Any

from overlay.shapes import Record, Tag
from overlay.tests.support import DEVELOPMENT, REGION, Client, CloudTest, allow, client, unique

_TAGS = [{"Key": "lockstep:build", "Value": "42"}]


def _arn(kind: str, name: str = "*", account: str = DEVELOPMENT) -> str:
    return f"arn:aws:ec2:{REGION}:{'' if kind in ('image', 'snapshot') else account}:{kind}/{name}"


def _specified(*kinds: str, tags: list[Tag] = _TAGS) -> list[Record]:
    return [{"ResourceType": kind, "Tags": tags} for kind in kinds]


class Launching(CloudTest):
    """RunInstances: an instance, its volume and its network interface, from an image, with tags on each."""

    uses = ("image", "security-group", "subnet")
    makes = ("instance", "network-interface", "volume")

    def setUp(self) -> None:
        super().setUp()
        image = client("ec2", DEVELOPMENT).describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        self.asked = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}

    def denied(self, api: Client, kind: str, action: str = "RunInstances", **more: Any) -> None:
        message = self.refused("UnauthorizedOperation", api.run_instances, **self.asked, **more)
        self.assertIn(f"ec2:{action} on resource: arn:aws:ec2:{REGION}:", message)
        self.assertIn(f":{kind}/", message)

    def test_each_resource_that_is_used_or_made_is_asked_about(self) -> None:
        everything = [*self.uses, *self.makes]
        launch = allow("ec2:RunInstances", resource=[_arn(kind) for kind in everything])
        self.somebody(launch)("ec2").run_instances(**self.asked)
        for missing in everything:
            with self.subTest(missing):
                others = [_arn(kind) for kind in everything if kind != missing]
                self.denied(self.somebody(allow("ec2:RunInstances", resource=others))("ec2"), missing)

    def test_a_subnet_a_group_and_a_key_are_asked_about_by_name(self) -> None:
        api = client("ec2", DEVELOPMENT)
        subnet = api.describe_subnets()["Subnets"][0]["SubnetId"]
        group = api.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        key = api.create_key_pair(KeyName=unique("packer_"))["KeyName"]
        named = {"subnet": subnet, "security-group": group, "key-pair": key}
        where = {"SubnetId": subnet, "SecurityGroupIds": [group], "KeyName": key}
        others = [_arn(kind) for kind in ("image", *self.makes)]
        exact = [_arn(kind, name) for kind, name in named.items()]
        self.somebody(allow("ec2:RunInstances", resource=others + exact))("ec2").run_instances(**self.asked, **where)
        for kind in named:
            with self.subTest(kind):
                wrong = [_arn(of, f"{id_}-not" if of == kind else id_) for of, id_ in named.items()]
                self.denied(self.somebody(allow("ec2:RunInstances", resource=others + wrong))("ec2"), kind, **where)

    def test_what_is_tagged_from_the_start_needs_create_tags_on_each_type(self) -> None:
        tagged = {"TagSpecifications": _specified(*self.makes)}
        launch = allow("ec2:RunInstances")
        tag = allow("ec2:CreateTags", resource=[_arn(kind) for kind in self.makes])
        self.somebody(launch, tag)("ec2").run_instances(**self.asked, **tagged)
        self.somebody(launch)("ec2").run_instances(**self.asked)
        for missing in self.makes:
            with self.subTest(missing):
                tag = allow("ec2:CreateTags", resource=[_arn(kind) for kind in self.makes if kind != missing])
                self.denied(self.somebody(launch, tag)("ec2"), missing, "CreateTags", **tagged)

    def test_tags_of_the_request_are_those_of_the_type(self) -> None:
        """The instance has the tag and the volume has none: a statement that asks for it on both is not met."""
        wanted = {"aws:RequestTag/lockstep:build": "42"}
        others = allow("ec2:RunInstances", resource=[_arn(kind) for kind in (*self.uses, "network-interface")])
        made = allow("ec2:RunInstances", resource=[_arn("instance"), _arn("volume")], StringEquals=wanted)
        api = self.somebody(others, made, allow("ec2:CreateTags"))("ec2")
        api.run_instances(**self.asked, TagSpecifications=_specified("instance", "volume"))
        self.denied(api, "volume", TagSpecifications=_specified("instance"))
        wrong = [{"Key": "lockstep:build", "Value": "43"}]
        self.denied(api, "instance", TagSpecifications=_specified("instance", "volume", tags=wrong))


class OnCreation(CloudTest):
    """``ec2:CreateAction``, ``aws:RequestTag`` and ``aws:TagKeys`` of every call that makes and tags something."""

    def calls(self) -> Any:
        """action -> (the type it tags, its arguments)."""
        api = client("ec2", DEVELOPMENT)
        image = api.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        volume = api.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
        disk = api.create_snapshot(VolumeId=volume)["SnapshotId"]
        device = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": disk, "VolumeSize": 1}}
        registered = {
            "Architecture": "x86_64",
            "VirtualizationType": "hvm",
            "RootDeviceName": "/dev/xvda",
            "BlockDeviceMappings": [device],
        }
        source = api.register_image(Name=unique("source"), **registered)["ImageId"]
        launched = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        instance = api.run_instances(**launched)["Instances"][0]["InstanceId"]
        subnet = api.describe_subnets()["Subnets"][0]
        return {
            "RunInstances": ("network-interface", launched),
            "CreateImage": ("snapshot", {"InstanceId": instance, "Name": unique("made")}),
            "CopyImage": ("image", {"SourceImageId": source, "SourceRegion": REGION, "Name": unique("copy")}),
            "RegisterImage": ("image", {"Name": unique("registered"), **registered}),
            "CreateSnapshot": ("snapshot", {"VolumeId": volume}),
            "CreateVolume": ("volume", {"AvailabilityZone": f"{REGION}a", "Size": 1}),
            "CreateKeyPair": ("key-pair", {"KeyName": unique("key")}),
            "CreateNetworkInterface": ("network-interface", {"SubnetId": subnet["SubnetId"]}),
            "CreateSecurityGroup": (
                "security-group",
                {"GroupName": unique("group"), "Description": "none", "VpcId": subnet["VpcId"]},
            ),
            "CreateVpc": ("vpc", {"CidrBlock": "10.9.0.0/16"}),
        }

    def call(self, api: Client, action: str, arguments: Record, kind: str, tags: Any = _TAGS) -> Any:
        """Whether a call that tags what it makes is let through: ``""`` or the refusal."""
        method = next(name for name, of in api.meta.method_to_api_mapping.items() if of == action)
        try:
            getattr(api, method)(DryRun=True, TagSpecifications=_specified(kind, tags=tags), **arguments)
        except api.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            return "" if code == "DryRunOperation" else error.response["Error"]["Message"]
        raise AssertionError("a dry run has no other answer")

    def test_a_call_tags_what_it_makes_only_with_create_tags_for_that_action(self) -> None:
        for action, (kind, arguments) in self.calls().items():
            with self.subTest(action):
                make = allow(f"ec2:{action}")
                right, wrong = {"ec2:CreateAction": action}, {"ec2:CreateAction": "CreateFleet"}
                may = self.somebody(make, allow("ec2:CreateTags", resource=_arn(kind), StringEquals=right))("ec2")
                self.assertEqual(self.call(may, action, arguments, kind), "")
                for statements in ((make,), (make, allow("ec2:CreateTags", resource=_arn(kind), StringEquals=wrong))):
                    denied = self.call(self.somebody(*statements)("ec2"), action, arguments, kind)
                    self.assertIn("ec2:CreateTags", denied)
                    self.assertIn(_arn(kind), denied)

    def test_keys_and_values_of_the_tags_are_asked_about(self) -> None:
        action, kind, arguments = "CreateVolume", "volume", {"AvailabilityZone": f"{REGION}a", "Size": 1}
        keys = {"aws:TagKeys": ["lockstep:build", "Name"]}
        tag = allow("ec2:CreateTags", ForAllValues_StringEquals=keys, Null={"aws:RequestTag/lockstep:build": "false"})
        api = self.somebody(allow("ec2:CreateVolume"), tag)("ec2")
        name, other = {"Key": "Name", "Value": "disk"}, {"Key": "other", "Value": "1"}
        self.assertEqual(self.call(api, action, arguments, kind, [*_TAGS, name]), "")
        self.assertIn("ec2:CreateTags", self.call(api, action, arguments, kind, [*_TAGS, other]))
        self.assertIn("ec2:CreateTags", self.call(api, action, arguments, kind, [name]))


class Afterwards(CloudTest):
    """CreateTags and DeleteTags of what is there: each resource, by its type, its tags and the new ones."""

    def setUp(self) -> None:
        super().setUp()
        api = client("ec2", DEVELOPMENT)
        subnet = api.describe_subnets()["Subnets"][0]["SubnetId"]
        self.volume = api.create_volume(AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=_specified("volume"))[
            "VolumeId"
        ]
        self.disk = api.create_snapshot(VolumeId=self.volume)["SnapshotId"]
        self.interface = api.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]

    def test_each_resource_is_asked_about(self) -> None:
        both = [_arn("volume"), _arn("network-interface"), _arn("snapshot")]
        resources = [self.volume, self.interface, self.disk]
        self.somebody(allow("ec2:CreateTags", resource=both))("ec2").create_tags(Resources=resources, Tags=_TAGS)
        for missing, kind in enumerate(("volume", "network-interface", "snapshot")):
            others = both[:missing] + both[missing + 1 :]
            api = self.somebody(allow("ec2:CreateTags", "ec2:DeleteTags", resource=others))("ec2")
            for call in (api.create_tags, api.delete_tags):
                message = self.refused("UnauthorizedOperation", call, Resources=resources, Tags=_TAGS)
                self.assertIn(f":{kind}/", message)

    def test_the_tags_it_has_and_the_tags_it_gets_are_asked_about(self) -> None:
        has = allow("ec2:CreateTags", StringEquals={"aws:ResourceTag/lockstep:build": "42"})
        api = self.somebody(has)("ec2")
        api.create_tags(Resources=[self.volume], Tags=[{"Key": "a", "Value": "b"}])
        self.refused("UnauthorizedOperation", api.create_tags, Resources=[self.disk], Tags=_TAGS)
        gets = self.somebody(allow("ec2:CreateTags", StringEquals={"aws:RequestTag/a": "b"}))("ec2")
        gets.create_tags(Resources=[self.disk], Tags=[{"Key": "a", "Value": "b"}])
        self.refused("UnauthorizedOperation", gets.create_tags, Resources=[self.disk], Tags=_TAGS)

    def test_what_is_there_is_not_tagged_under_the_right_to_tag_on_creation(self) -> None:
        api = self.somebody(allow("ec2:CreateTags", StringEquals={"ec2:CreateAction": "CreateVolume"}))("ec2")
        self.refused("UnauthorizedOperation", api.create_tags, Resources=[self.volume], Tags=_TAGS)

    def test_an_image_goes_with_those_of_its_snapshots_that_may_be_deleted(self) -> None:
        """Each snapshot needs ``ec2:DeleteSnapshot``; one that may not be deleted stays, and the answer says so."""
        root = client("ec2", DEVELOPMENT)
        root.create_tags(Resources=[self.disk], Tags=_TAGS)
        other = root.create_snapshot(VolumeId=self.volume)["SnapshotId"]
        disks = [
            {"DeviceName": f"/dev/xvd{at}", "Ebs": {"SnapshotId": one}} for at, one in (("a", self.disk), ("b", other))
        ]
        image = root.register_image(
            Name=unique("image"),
            Architecture="x86_64",
            VirtualizationType="hvm",
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=disks,
        )["ImageId"]
        tagged = allow(
            "ec2:DeleteSnapshot", resource=_arn("snapshot"), StringEquals={"aws:ResourceTag/lockstep:build": "42"}
        )
        api = self.somebody(allow("ec2:DeregisterImage"), tagged)("ec2")
        answer = api.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
        told = {one["SnapshotId"]: one["ReturnCode"] for one in answer["DeleteSnapshotResults"]}
        self.assertEqual(told, {self.disk: "success", other: "missing-permissions"})
        root.describe_snapshots(SnapshotIds=[other])
        self.refused("InvalidSnapshot.NotFound", root.describe_snapshots, SnapshotIds=[self.disk])
