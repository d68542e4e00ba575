"""AWS::EC2::Volume in a template."""

import json
import unittest
from typing import Any

from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, REGION, CloudTest, client, stack_at_rest


def _template(**properties: Any) -> Record:
    volume = {"AvailabilityZone": f"{REGION}a", "Size": 10, "Encrypted": True, **properties}
    tags = [{"Key": "Name", "Value": "data"}]
    return {
        "Resources": {"Data": {"Type": "AWS::EC2::Volume", "Properties": {**volume, "Tags": tags}}},
        "Outputs": {"Id": {"Value": {"Ref": "Data"}}},
    }


class Volumes(CloudTest):
    """What a database of one's own is made of."""

    def described(self, stack: Record) -> Record:
        volume = stack["Outputs"][0]["OutputValue"]
        return client("ec2", DEVELOPMENT).describe_volumes(VolumeIds=[volume])["Volumes"][0]

    def updated(self, stack: Record, template: Record) -> Record:
        api = client("cloudformation", DEVELOPMENT)
        api.update_stack(StackName=stack["StackName"], TemplateBody=json.dumps(template))
        return stack_at_rest(stack["StackName"])

    def test_a_volume_is_made_as_it_is_written(self) -> None:
        volume = self.described(self.stack(_template()))
        self.assertEqual((volume["Size"], volume["AvailabilityZone"], volume["Encrypted"]), (10, f"{REGION}a", True))
        self.assertIn({"Key": "Name", "Value": "data"}, volume["Tags"])

    def test_it_grows_in_place(self) -> None:
        stack = self.stack(_template())
        before = self.described(stack)["VolumeId"]
        after = self.described(self.updated(stack, _template(Size=20)))
        self.assertEqual((after["VolumeId"], after["Size"]), (before, 20))

    def test_in_another_zone_it_is_another_one(self) -> None:
        stack = self.stack(_template())
        before = self.described(stack)["VolumeId"]
        after = self.described(self.updated(stack, _template(AvailabilityZone=f"{REGION}b")))
        self.assertNotEqual(after["VolumeId"], before)
        self.assertEqual(after["AvailabilityZone"], f"{REGION}b")

    def test_it_goes_with_its_stack(self) -> None:
        stack = self.stack(_template())
        volume = self.described(stack)["VolumeId"]
        self.delete_stack(stack["StackName"])
        left = client("ec2", DEVELOPMENT).describe_volumes()["Volumes"]
        self.assertNotIn(volume, [one["VolumeId"] for one in left])


if __name__ == "__main__":
    unittest.main()
