"""Why there may be no telemetry: everything that the service needs, looked at once, each with what to do."""
