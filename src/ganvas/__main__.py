"""`python -m ganvas`, and so `torchrun -m ganvas train ...`."""

import sys

from ganvas.cli import main

sys.exit(main())
