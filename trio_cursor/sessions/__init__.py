"""Who is working where: the sources that say so, and the registry that keeps it."""
