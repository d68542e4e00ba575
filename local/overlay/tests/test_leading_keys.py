"""``dynamodb:LeadingKeys``: who may touch which items of a table that many share."""

from collections.abc import Callable
from typing import Any

from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, Client, CloudTest, allow, client, unique

_MINE, _OTHER = {"pk": {"S": "mine#1"}, "sk": {"S": "a"}}, {"pk": {"S": "other#1"}, "sk": {"S": "a"}}
_ITEMS = (
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:Query",
    "dynamodb:Scan",
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
)


class LeadingKeys(CloudTest):
    """Each call that names items, with an item of one's own and with another one."""

    def setUp(self) -> None:
        super().setUp()
        self.table = unique("shared")
        keys = [("pk", "HASH"), ("sk", "RANGE")]
        client("dynamodb", DEVELOPMENT).create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "of")],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-of",
                    "KeySchema": [{"AttributeName": "of", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        somebody = self.somebody(allow(*_ITEMS, ForAllValues_StringLike={"dynamodb:LeadingKeys": ["mine#*"]}))
        self.api = somebody("dynamodb")

    def denied(self, call: Callable[..., Any], **arguments: Any) -> str:
        message = self.refused("AccessDeniedException", call, **arguments)
        self.assertIn(f"table/{self.table}", message)
        return message

    def test_single_items(self) -> None:
        calls = {
            self.api.get_item: "Key",
            self.api.put_item: "Item",
            self.api.update_item: "Key",
            self.api.delete_item: "Key",
        }
        for call, member in calls.items():
            with self.subTest(call.__name__):
                call(TableName=self.table, **{member: _MINE})
                self.denied(call, TableName=self.table, **{member: _OTHER})
        stored = client("dynamodb", DEVELOPMENT).scan(TableName=self.table)["Items"]
        self.assertNotIn(_OTHER, stored, "a refused call has no effect")

    def test_a_table_named_by_its_arn_is_the_same_table(self) -> None:
        arn = client("dynamodb", DEVELOPMENT).describe_table(TableName=self.table)["Table"]["TableArn"]
        self.api.put_item(TableName=arn, Item=_MINE)
        self.denied(self.api.put_item, TableName=arn, Item=_OTHER)

    def test_queries_name_one_partition(self) -> None:
        def query(value: str, condition: str = "pk = :p", **more: Any) -> Any:
            return {
                "TableName": self.table,
                "KeyConditionExpression": condition,
                "ExpressionAttributeValues": {":p": {"S": value}, **more.pop("values", {})},
                **more,
            }

        self.api.query(**query("mine#1"))
        self.denied(self.api.query, **query("other#1"))
        alias: Record = {"condition": "#k = :p AND begins_with(sk, :s)", "ExpressionAttributeNames": {"#k": "pk"}}
        self.api.query(**query("mine#1", values={":s": {"S": "a"}}, **alias))
        self.denied(self.api.query, **query("other#1", values={":s": {"S": "a"}}, **alias))
        # The sort key comes first and is another's: only the partition key counts.
        swapped: Record = {"condition": "sk = :s AND pk = :p", "values": {":s": {"S": "other#1"}}}
        self.api.query(**query("mine#1", **swapped))
        conditions = {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "other#1"}]}}
        self.denied(self.api.query, TableName=self.table, KeyConditions=conditions)

    def test_a_query_of_an_index_names_the_key_of_the_index(self) -> None:
        def query(value: str) -> Any:
            condition = {"KeyConditionExpression": "#o = :o", "ExpressionAttributeNames": {"#o": "of"}}
            values = {":o": {"S": value}}
            return {"TableName": self.table, "IndexName": "by-of", "ExpressionAttributeValues": values, **condition}

        self.api.query(**query("mine#1"))
        self.assertIn("/index/by-of", self.denied(self.api.query, **query("other#1")))

    def test_batches_are_refused_for_one_item_of_another(self) -> None:
        def get(*keys: Record) -> Any:
            return {"RequestItems": {self.table: {"Keys": list(keys)}}}

        def write(*items: Record) -> Any:
            return {"RequestItems": {self.table: list(items)}}

        self.api.batch_get_item(**get(_MINE))
        self.denied(self.api.batch_get_item, **get(_MINE, _OTHER))
        put, delete = {"PutRequest": {"Item": _MINE}}, {"DeleteRequest": {"Key": {**_MINE, "sk": {"S": "b"}}}}
        self.api.batch_write_item(**write(put, delete))
        for other in ({"PutRequest": {"Item": _OTHER}}, {"DeleteRequest": {"Key": _OTHER}}):
            self.denied(self.api.batch_write_item, **write(put, other))

    def test_each_item_of_a_transaction_is_asked_about(self) -> None:
        def of(member: str, key: Record) -> Record:
            update: Record = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "1"}}}
            check: Record = {"ConditionExpression": "attribute_not_exists(nothing)"}
            more: Record = {"Update": update, "ConditionCheck": check}.get(member, {})
            return {member: {"TableName": self.table, "Item" if member == "Put" else "Key": key, **more}}

        second = {**_MINE, "sk": {"S": "b"}}
        for member in ("Put", "Update", "Delete", "ConditionCheck"):
            with self.subTest(member):
                self.api.transact_write_items(TransactItems=[of("Put", second), of(member, _MINE)])
                items = [of("Put", second), of(member, _OTHER)]
                self.denied(self.api.transact_write_items, TransactItems=items)
        self.api.transact_get_items(TransactItems=[of("Get", _MINE)])
        self.denied(self.api.transact_get_items, TransactItems=[of("Get", _MINE), of("Get", _OTHER)])

    def test_each_item_of_a_transaction_needs_the_statement_of_its_own_action(self) -> None:
        mine, other = {"dynamodb:LeadingKeys": ["mine#*"]}, {"dynamodb:LeadingKeys": ["other#*"]}
        api = self.somebody(
            allow("dynamodb:PutItem", ForAllValues_StringLike=mine),
            allow("dynamodb:DeleteItem", ForAllValues_StringLike=other),
        )("dynamodb")
        put, delete = {"TableName": self.table, "Item": _MINE}, {"TableName": self.table, "Key": _OTHER}
        api.transact_write_items(TransactItems=[{"Put": put}, {"Delete": delete}])
        wrong = [{"Put": {"TableName": self.table, "Item": _OTHER}}, {"Delete": delete}]
        self.denied(api.transact_write_items, TransactItems=wrong)

    def test_a_call_that_names_no_item_passes_for_all_values_unless_null_asks_for_the_key(self) -> None:
        self.api.scan(TableName=self.table)
        api = self.somebody(
            allow(
                "dynamodb:Scan",
                "dynamodb:GetItem",
                ForAllValues_StringLike={"dynamodb:LeadingKeys": ["mine#*"]},
                Null={"dynamodb:LeadingKeys": "false"},
            )
        )("dynamodb")
        api.get_item(TableName=self.table, Key=_MINE)
        self.refused("AccessDeniedException", api.scan, TableName=self.table)

    def test_a_number_is_compared_as_text(self) -> None:
        name = unique("numbered")
        client("dynamodb", DEVELOPMENT).create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        api = self.somebody(allow("dynamodb:GetItem", ForAllValues_StringEquals={"dynamodb:LeadingKeys": ["7"]}))(
            "dynamodb"
        )
        api.get_item(TableName=name, Key={"id": {"N": "7"}})
        self.refused("AccessDeniedException", api.get_item, TableName=name, Key={"id": {"N": "8"}})

    def test_who_is_not_allowed_at_all_and_whose_signature_is_wrong_is_refused_as_before(self) -> None:
        nobody = self.somebody(allow("sts:GetCallerIdentity"))("dynamodb")
        self.denied(nobody.get_item, TableName=self.table, Key=_MINE)
        forged = client("dynamodb", DEVELOPMENT, key=self.key_of(self.api), secret="wrong")
        self.refused("InvalidSignatureException", forged.get_item, TableName=self.table, Key=_MINE)
        unknown = client("dynamodb", DEVELOPMENT, key="AKIAIOSFODNN7EXAMPLE", secret="wrong")
        self.refused("UnrecognizedClientException", unknown.get_item, TableName=self.table, Key=_MINE)

    def key_of(self, api: Client) -> Any:
        """The access key that a client signs with."""
        return api._request_signer._credentials.access_key
