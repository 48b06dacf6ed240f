"""Process that creates the workload of one variant, then measures it for each command on standard input.

`made` returns the peak memory, `time 3` the seconds per call over three calls, `count 1` the operations of one call.
"""

from __future__ import annotations

import importlib
import sys

import torch

from measure.child import given_words
from measure.machine import finish, peak_bytes_of
from measure.operations import count_operations
from measure.timing import Work, timer


def main() -> None:
    """Answer commands until standard input closes."""
    given, answers = given_words(), sys.stdout
    sys.stdout = sys.stderr
    torch.set_num_threads(given["threads"])
    prepare = getattr(importlib.import_module(f"measure.{given['module']}"), "prepare")  # noqa: B009 - by name
    make, made = prepare(given), list[Work]()

    def make_and_do_twice() -> None:
        made.append(make())
        made[0]()
        made[0]()
        finish()

    peak = peak_bytes_of(make_and_do_twice)
    timed = timer(made[0], finish)
    for line in sys.stdin:
        word, _, count = line.strip().partition(" ")
        match word:
            case "made":
                answer = float(peak)
            case "time":
                answer = timed(int(count))
            case _:
                answer = float(count_operations(made[0]))
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()
