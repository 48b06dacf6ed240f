"""One variant's work in a process of its own: made at once, then done as the lines on standard input say.

`made` is answered with the peak memory, `time 3` with seconds a call over three, `count 1` with the operations of one.
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
    """Answer until the other side ends."""
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
