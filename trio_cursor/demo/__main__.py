"""`python -m trio_cursor.demo DIR`: the command `demo` without the rest of the package."""

import argparse
import sys

from trio_cursor.demo.command import add_arguments, main

parser = argparse.ArgumentParser(
    "python -m trio_cursor.demo",
    description="A fake Cursor in a directory: for tests, benchmarks and people without Cursor.",
)
add_arguments(parser)
sys.exit(main(parser.parse_args()))
