"""Answers with a greeting."""

from words import greeting


def handler(event, context):
    # A check of Lockstep invokes the function with its own event.
    return {"ok": True, "greeting": greeting(event.get("name", "you"))}
