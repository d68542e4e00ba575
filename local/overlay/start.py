"""Starts ministack with every patch in place. Nothing is patched before the release was checked."""

import importlib
import logging
import os
import sys
from importlib.metadata import PackageNotFoundError, version

from overlay import PINNED_VERSION, lifetime

PATCHES = (
    "runtime_api",
    "stack_events",
    "nested_stacks",
    "stack_templates",
    "change_sets",
    "change_set_conditions",
    "imports",
    "drift_readers",
    "drift_reverting",
    "live_models",
    "resource_faults",
    "function_code",
    "subscriptions",
    "iam_types",
    "simulate",
    "resource_conflicts",
    "definitions",
    "event_forwarding",
    "image_keys",
    "volumes",
    "snapshots",
    "images",
    "ebs_defaults",
    "allowed_images",
    "image_references",
    "authorization",
    "checks",
    "item_checks",
    "pass_role",
    "ec2_checks",
    "parameter_types",
    "dry_run",
    "task_tokens",
    "executions",
    "function_urls",
    "builds",
    "quotas",
    "event_faults",
    "invocations",
    "recording",
    "calls",
    "signatures",
    "front",
)
"""The modules that patch ministack, in order: each has an ``install()``."""


def check_contracts() -> None:
    """Stop unless each function that a patch replaces has the signature that the patch was written for."""
    from overlay import patched

    try:
        patched.check()
    except (AttributeError, ImportError, KeyError, patched.ContractBroken) as error:
        sys.exit(
            f"The overlay cannot replace a function of ministack {PINNED_VERSION}: {error}. "
            "The installation is damaged: delete the emulator-venv folder and start again."
        )


def check_version() -> None:
    """Stop with a sentence a person can act on unless exactly the pinned ministack is installed."""
    try:
        installed = version("ministack")
    except PackageNotFoundError:
        installed = "none"
    if installed != PINNED_VERSION:
        sys.exit(
            f"The overlay was written for ministack {PINNED_VERSION}, but {installed} is installed. "
            "It patches the inside of that release, so it will not start on another one. "
            "Install overlay's own requirements.txt (delete the emulator-venv folder and start again)."
        )


def install() -> None:
    """Apply every patch. An attribute that ministack no longer has ends the start, named."""
    for name in PATCHES:
        module = importlib.import_module(f"overlay.{name}")
        try:
            module.install()
        except (AttributeError, ImportError, KeyError) as error:
            sys.exit(
                f"overlay/{name}.py relies on a part of ministack {PINNED_VERSION} that is not there: {error!r}. "
                "The installation is damaged: delete the emulator-venv folder and start again."
            )


def serve() -> None:
    """Serve until the process group is killed (see ``lifetime``)."""
    import asyncio

    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config
    from ministack import app

    config = Config()
    config.bind = [f"{os.environ.get('BIND_HOST', '127.0.0.1')}:{os.environ['GATEWAY_PORT']}"]
    # Longer than an SDK keeps an idle connection, so that we are never the one who closes it.
    config.keep_alive_timeout = 75
    config.loglevel = os.environ.get("LOG_LEVEL", "INFO").upper()
    logging.getLogger("hypercorn.access").setLevel(logging.WARNING)

    async def forever() -> None:
        # Given a trigger, hypercorn installs no signal handlers over ours.
        await hypercorn_serve(app.app, config, shutdown_trigger=asyncio.Event().wait)

    asyncio.run(forever())


def main() -> None:
    """Check, take charge of our own lifetime, patch, serve."""
    check_version()
    lifetime.install()
    check_contracts()
    install()
    serve()
