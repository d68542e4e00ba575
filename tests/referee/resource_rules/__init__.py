"""The table of properties that decide if a second stack of a template can exist beside the first."""
