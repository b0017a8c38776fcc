"""Why there may be no telemetry: everything that the service needs, looked at once, each with what to do."""

from trio_cursor.doctor.check import Check, Level
from trio_cursor.doctor.examining import CHECKS, Section, examine
from trio_cursor.doctor.facts import Announced, Unplaced

__all__ = ["CHECKS", "Announced", "Check", "Level", "Section", "Unplaced", "examine"]
