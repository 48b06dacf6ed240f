"""`python -m ganvas`, and so `torchrun -m ganvas train ...`."""

import sys

from ganvas.cli import main

if __name__ == "__main__":
    sys.exit(main())
