"""The hosts that can run the service for a person: systemd, launchd, the task scheduler of Windows."""
