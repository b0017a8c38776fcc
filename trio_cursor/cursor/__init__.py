"""Everything that is known of Cursor on disk."""
