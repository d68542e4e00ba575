"""What the overlay remembers between calls, beside what ministack stores.

It lasts as long as the process, as ministack's stores do. The rules of faults, the journals and the recording are
objects of their own (``rules``, ``recording``).
"""

import os
from collections import OrderedDict
from dataclasses import dataclass, field

from ministack.core.responses import AccountRegionScopedDict

from overlay.shapes import Record


def _milliseconds(variable: str) -> int:
    return int(os.environ.get(variable, "300"))


@dataclass
class State:
    """The settings that a test changes, what it asked for, and what makes a call that is repeated the same call."""

    image_delay_ms: int = field(default_factory=lambda: _milliseconds("LOCKSTEP_IMAGE_DELAY_MS"))
    """How long a copied or created image stays pending, in milliseconds."""
    copies_at_once: int = 20
    """How many copies may be pending in one account and region; AWS's own default."""
    build_delay_ms: int = field(default_factory=lambda: _milliseconds("LOCKSTEP_BUILD_DELAY_MS"))
    """How long a build is in progress, in milliseconds; negative: until ``builds.finish`` is called."""

    copies: AccountRegionScopedDict = field(default_factory=AccountRegionScopedDict)
    """CopyImage's client token -> (parameters, image id)."""
    builds: AccountRegionScopedDict = field(default_factory=AccountRegionScopedDict)
    """StartBuild's idempotency token -> (parameters, build id)."""
    allowed_images: AccountRegionScopedDict = field(default_factory=AccountRegionScopedDict)
    """``state`` and ``criteria`` of an account and region; see ``allowed_images``."""
    ebs_defaults: AccountRegionScopedDict = field(default_factory=AccountRegionScopedDict)
    """What EBS does by default in an account and region: ``encrypted`` and ``key``; see ``ebs_defaults``."""

    failing_images: list[Record] = field(default_factory=list)
    """The images that are to fail: the ``message``, and the ``name`` unless any image will do."""
    expected_builds: list[Record] = field(default_factory=list)
    """How builds that are to come end; see ``image_builder.expect``."""
    failing_resources: set[tuple[str, str, str]] = field(default_factory=set)
    """The resources of stacks that are to fail: account, stack and logical id."""
    issued_tokens: OrderedDict[str, str | None] = field(default_factory=OrderedDict)
    """Task tokens that were handed out, oldest first, each with the ARN of its execution."""


STATE = State()
