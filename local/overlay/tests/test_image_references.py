"""DescribeImageReferences looks with the rights of its caller, under ``aws:CalledVia``."""

from overlay import image_references
from overlay.tests.support import DEVELOPMENT, CloudTest, allow, client

_VIA = {"aws:CalledVia": "ec2-images.amazonaws.com"}
_ALL = sorted(one for actions in image_references._NEEDED.values() for one in actions)


class Needed(CloudTest):
    """The eight permissions beside the action's own."""

    def setUp(self) -> None:
        super().setUp()
        image = client("ec2", DEVELOPMENT).describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        self.asked = {"ImageIds": [image], "IncludeAllResourceTypes": True}
        self.own = allow("ec2:DescribeImageReferences")

    def test_there_are_eight_and_each_is_needed(self) -> None:
        self.assertEqual(len(_ALL), 8)
        may = self.somebody(self.own, allow(*_ALL, ForAnyValue_StringEquals=_VIA))("ec2")
        may.describe_image_references(**self.asked)
        for missing in _ALL:
            with self.subTest(missing):
                others = [one for one in _ALL if one != missing]
                api = self.somebody(self.own, allow(*others, ForAnyValue_StringEquals=_VIA))("ec2")
                message = self.refused("UnauthorizedOperation", api.describe_image_references, **self.asked)
                self.assertIn(f"{missing} on resource: ", message)

    def test_parameters_and_recipes_may_be_named_by_their_arns(self) -> None:
        named = {
            "ssm:GetParameters": f"arn:aws:ssm:*:{DEVELOPMENT}:parameter/*",
            "imagebuilder:GetContainerRecipe": f"arn:aws:imagebuilder:*:{DEVELOPMENT}:container-recipe/*",
        }
        others = allow(*(one for one in _ALL if one not in named), ForAnyValue_StringEquals=_VIA)
        exact = [allow(one, resource=arn, ForAnyValue_StringEquals=_VIA) for one, arn in named.items()]
        self.somebody(self.own, others, *exact)("ec2").describe_image_references(**self.asked)

    def test_they_are_not_given_for_calls_of_ones_own(self) -> None:
        somebody = self.somebody(self.own, allow(*_ALL, ForAnyValue_StringEquals=_VIA))
        self.refused("UnauthorizedOperation", somebody("ec2").describe_instances)
        self.refused("AccessDeniedException", somebody("ssm").describe_parameters)

    def test_a_type_needs_its_own_permissions_only(self) -> None:
        api = self.somebody(self.own, allow("ec2:DescribeInstances", ForAnyValue_StringEquals=_VIA))("ec2")
        asked = {"ImageIds": self.asked["ImageIds"]}
        api.describe_image_references(ResourceTypes=[{"ResourceType": "ec2:Instance"}], **asked)
        parameters = [{"ResourceType": "ssm:Parameter"}]
        self.refused("UnauthorizedOperation", api.describe_image_references, ResourceTypes=parameters, **asked)

    def test_the_action_itself_is_needed(self) -> None:
        api = self.somebody(allow(*_ALL, ForAnyValue_StringEquals=_VIA))("ec2")
        self.refused("UnauthorizedOperation", api.describe_image_references, **self.asked)
