"""EBS encryption by default: whether what an account makes in a region is encrypted, and under which key.

Off in a new account, with the AWS-managed key. Where it is on, new volumes, copies of snapshots and images, and images
of instances are encrypted although nobody asked for it, and what is under the AWS-managed key cannot be shared.
"""

from overlay import image_keys, patched
from overlay.ec2_wire import Refused, action, element, required
from overlay.shapes import Params, Rendered
from overlay.state import STATE


def install() -> None:
    """Register the six actions."""
    actions = {
        "GetEbsEncryptionByDefault": get,
        "EnableEbsEncryptionByDefault": enable,
        "DisableEbsEncryptionByDefault": disable,
        "GetEbsDefaultKmsKeyId": get_key,
        "ModifyEbsDefaultKmsKeyId": modify_key,
        "ResetEbsDefaultKmsKeyId": reset_key,
    }
    for name, function in actions.items():
        patched.EC2_ACTIONS.replace(name, action(function))


def get(_params: Params, _request_id: str) -> Rendered:
    """GetEbsEncryptionByDefault: on or off. The kind of encryption is reserved for future use."""
    return "GetEbsEncryptionByDefaultResponse", element("ebsEncryptionByDefault", image_keys.encrypts_by_default())


def enable(_params: Params, _request_id: str) -> Rendered:
    """EnableEbsEncryptionByDefault, in the caller's account and region."""
    STATE.ebs_defaults["encrypted"] = True
    return "EnableEbsEncryptionByDefaultResponse", element("ebsEncryptionByDefault", True)


def disable(_params: Params, _request_id: str) -> Rendered:
    """DisableEbsEncryptionByDefault: what is encrypted stays encrypted."""
    STATE.ebs_defaults.pop("encrypted", None)
    return "DisableEbsEncryptionByDefaultResponse", element("ebsEncryptionByDefault", False)


def get_key(_params: Params, _request_id: str) -> Rendered:
    """GetEbsDefaultKmsKeyId: the key's ARN, or the alias of the AWS-managed one."""
    return "GetEbsDefaultKmsKeyIdResponse", element("kmsKeyId", STATE.ebs_defaults.get("key") or "alias/aws/ebs")


def modify_key(params: Params, _request_id: str) -> Rendered:
    """ModifyEbsDefaultKmsKeyId, to a key that exists."""
    reference = required(params, "KmsKeyId")
    key = image_keys.existing(reference)
    if key is None:
        raise Refused("InvalidKmsKeyId.NotFound", f"The key {reference} does not exist")
    STATE.ebs_defaults["key"] = key
    return "ModifyEbsDefaultKmsKeyIdResponse", element("kmsKeyId", key)


def reset_key(_params: Params, _request_id: str) -> Rendered:
    """ResetEbsDefaultKmsKeyId: the AWS-managed key again."""
    STATE.ebs_defaults.pop("key", None)
    return "ResetEbsDefaultKmsKeyIdResponse", element("kmsKeyId", "alias/aws/ebs")
