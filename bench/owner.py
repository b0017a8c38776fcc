"""What an owner's commits cost while we read its database, against a process that only stats its files.

One owner commits to two databases of each journal mode in turn, in an order drawn anew each time: one of each
is watched by the service, the other by a process that looks at its size. So whatever else this machine does
meets both alike. A commit is what Cursor does most: the ring of 100 generations written anew with one more.
"""

import argparse
import os
import statistics

from live import quantile
from owner_compared import compare


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=1000, help="to each database")
    parser.add_argument("--pause", type=float, default=0.03, help="seconds between two commits to one")
    parser.add_argument("--place", help="a directory on the disk to be measured")
    arguments = parser.parse_args()
    found = compare(arguments.commits, arguments.pause, arguments.place)
    print(f"{arguments.commits} commits to each, {os.cpu_count()} cores")
    print("journal  beside    p50 ms  p90 ms  p99 ms  max ms  failed  largest -wal")
    for mode, both in found.items():
        for beside_what, one in both.items():
            print(
                f"{mode:8} {beside_what:8} {statistics.median(one.took):7.3f} {quantile(one.took, 0.9):7.3f}"
                f" {quantile(one.took, 0.99):7.3f} {max(one.took):7.3f} {one.failed:7} {one.wal:13,}"
            )
        parts = {name: one.took for name, one in both.items()}
        ratios = [
            statistics.median(parts["us"][first : first + 100])
            / statistics.median(parts["stat"][first : first + 100])
            for first in range(0, arguments.commits - 99, 100)
        ]
        print(
            f"{mode:8} p50 {statistics.median(ratios):.2f} x"
            f" ({min(ratios):.2f} to {max(ratios):.2f} by hundreds),"
            f" p99 {quantile(parts['us'], 0.99) / quantile(parts['stat'], 0.99):.2f} x,"
            f" {quantile(parts['us'], 0.99) - quantile(parts['stat'], 0.99):+.2f} ms"
        )


if __name__ == "__main__":
    main()
