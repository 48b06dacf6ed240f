"""Entry point of `ganvas`, `python -m ganvas` and `torchrun -m ganvas train ...`."""

import sys


def run() -> int:
    """Run the command line and return its exit code; an interruption during the imports prints no traceback."""
    try:
        from ganvas.cli import main  # here, where an interruption is caught

        return main()
    except KeyboardInterrupt:
        print("ganvas: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
