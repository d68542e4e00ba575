"""The KMS keys of volumes, snapshots and images.

ministack's volumes and snapshots know that they are encrypted, not with what. Whether an image can go
to another account depends on exactly that: a snapshot under the AWS-managed key cannot be shared, one
under a customer key can, if the key's policy lets the other account use it.
"""

import json

from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy
from ministack.core.responses import (
    error_response_json,
    get_account_id,
    get_region,
    json_response,
    request_scope,
)
from ministack.services import ec2, kms

from overlay import patched
from overlay.shapes import Params, Record, Reply
from overlay.state import STATE

_key_metadata = patched.KEY_METADATA.current()
_describe_key = patched.DESCRIBE_KEY.current()
_create_volume = patched.EC2_ACTIONS.current("CreateVolume")
_create_snapshot = patched.EC2_ACTIONS.current("CreateSnapshot")


def install() -> None:
    """Let KMS report who manages a key, also to the accounts that share it; volumes and snapshots remember theirs."""
    patched.KEY_METADATA.replace(key_metadata)
    patched.DESCRIBE_KEY.replace(describe_key)
    patched.EC2_ACTIONS.replace("CreateVolume", create_volume)
    patched.EC2_ACTIONS.replace("CreateSnapshot", create_snapshot)


def key_metadata(rec: Record) -> Record:
    """DescribeKey's metadata, with the account, and with ``KeyManager: AWS`` for the keys made here."""
    metadata = _key_metadata(rec)
    metadata["AWSAccountId"] = get_account_id()
    metadata["KeyManager"] = rec.get("KeyManager", "CUSTOMER")
    return metadata


def describe_key(data: Record) -> Reply:
    """DescribeKey, also of another account's key by its ARN, if its policy or a grant allows that."""
    reference = data.get("KeyId", "")
    if not _is_foreign(reference):
        return _describe_key(data)
    if not usable_by(reference, get_account_id()):
        message = (
            "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
            "or you are not allowed to access."
        )
        return error_response_json("AccessDeniedException", message, 400)
    account, region = reference.split(":")[4], reference.split(":")[3]
    with request_scope(account, region):
        return json_response({"KeyMetadata": key_metadata(kms._resolve_key(reference))})


def _is_foreign(reference: str) -> bool:
    return reference.startswith("arn:") and reference.split(":")[4] != get_account_id()


def managed_key_arn() -> str:
    """The account's AWS-managed EBS key in this region; made on first use, as on AWS."""
    alias = f"arn:aws:kms:{get_region()}:{get_account_id()}:alias/aws/ebs"
    if alias not in kms._aliases:
        answer = kms._create_key({"Description": "Default key that protects my EBS volumes"})
        record = kms._keys[json.loads(answer[2])["KeyMetadata"]["KeyId"]]
        record["KeyManager"] = "AWS"
        kms._aliases[alias] = record["KeyId"]
    return kms._keys[kms._aliases[alias]]["Arn"]


def encrypts_by_default() -> bool:
    """Whether EBS encrypts what the caller's account makes in this region, although nobody asked."""
    return bool(STATE.ebs_defaults.get("encrypted"))


def default_key_arn() -> str:
    """The key of what is encrypted without naming one: the account's choice, else the AWS-managed one."""
    return STATE.ebs_defaults.get("key") or managed_key_arn()


def key_of_new_disk(reference: str = "", encrypted: bool = False) -> str | None:
    """The key a new disk is under: the one that was named, the default one, or None for a plain disk."""
    if reference or encrypted or encrypts_by_default():
        return resolve(reference)
    return None


def resolve(reference: str) -> str | None:
    """The ARN of the key a caller named (id, ARN or alias; of any account by ARN), or None; no name is the default."""
    if not reference:
        return default_key_arn()
    if reference in ("alias/aws/ebs", "aws/ebs"):
        return managed_key_arn()
    record = _record(reference)
    return record["Arn"] if record else None


def existing(reference: str) -> str | None:
    """The ARN of the key a caller named, if there is one; none is made."""
    record = _record(reference)
    return record["Arn"] if record else None


def is_managed(key_arn: str) -> bool:
    """Whether the key is managed by AWS, and so never leaves its account."""
    record = _record(key_arn)
    return record is not None and record.get("KeyManager") == "AWS"


def usable_by(key_arn: str, account: str) -> bool:
    """Whether the key exists, is enabled and its policy, or a grant, lets ``account`` use it."""
    record = _record(key_arn)
    if record is None or not record.get("Enabled", True):
        return False
    owner = key_arn.split(":")[4]
    if owner == account:
        return True
    if record.get("KeyManager") == "AWS":
        return False
    if _is_granted(key_arn, account):
        return True
    context = EvalContext(
        principal_arn=f"arn:aws:iam::{account}:root",
        principal_type="Root",
        principal_account=account,
        action="kms:Decrypt",
        resource_arn=key_arn,
        region=key_arn.split(":")[3],
    )
    return evaluate_resource_policy(record.get("Policy"), context).decision == "Allow"


def _is_granted(key_arn: str, account: str) -> bool:
    """Whether a grant on the key names somebody of ``account``."""
    grants = (grant for _, grant in kms._grants.all_items() if grant["KeyId"] == key_arn)
    return any(grant["GranteePrincipal"].split(":")[4:5] == [account] for grant in grants)


def _record(reference: str) -> Record | None:
    if not reference.startswith("arn:"):
        return kms._resolve_key(reference)
    region, account = reference.split(":")[3:5]
    with request_scope(account, region):
        return kms._resolve_key(reference)


def create_volume(params: Params) -> Reply:
    """CreateVolume, which keeps the key of an encrypted volume."""
    key, asked = None, ec2._p(params, "Encrypted").lower() == "true"
    if ec2._p(params, "KmsKeyId") or asked or encrypts_by_default():
        key = key_of_new_disk(ec2._p(params, "KmsKeyId"), asked)
        if key is None:
            return ec2._error("InvalidKmsKeyId.NotFound", f"The key {ec2._p(params, 'KmsKeyId')} does not exist", 400)
        params = {**params, "Encrypted": ["true"]}
    before = set(ec2._volumes.keys())
    answer = _create_volume(params)
    for volume_id in set(ec2._volumes.keys()) - before:
        ec2._volumes[volume_id]["KmsKeyId"] = key
    return answer


def create_snapshot(params: Params) -> Reply:
    """CreateSnapshot, which takes over the volume's key."""
    before = set(ec2._snapshots.keys())
    answer = _create_snapshot(params)
    volume = ec2._volumes.get(ec2._p(params, "VolumeId")) or {}
    for snapshot_id in set(ec2._snapshots.keys()) - before:
        ec2._snapshots[snapshot_id]["KmsKeyId"] = volume.get("KmsKeyId")
    return answer
