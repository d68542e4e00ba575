"""Layouts of templates, and how an independent reader reads each."""
