"""The conformance suite of the overlay: what was added to the emulator, seen through the AWS API."""
