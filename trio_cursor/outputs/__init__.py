"""Outputs: followers of the event log, each with a durable cursor of its own."""
