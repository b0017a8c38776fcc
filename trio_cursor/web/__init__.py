"""HTTP: the intake of announcements, health and status, for this machine's own programs."""
