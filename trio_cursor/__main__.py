"""`python -m trio_cursor`."""

import sys

from trio_cursor.cli import main

sys.exit(main())
