"""Run folder: the record, the snapshots of the generators and the checkpoint. Import from the submodules.

Neither torch nor numpy is imported here: the command line reads the name of a snapshot.
"""

from typing import Literal

SnapshotName = Literal["auto", "best", "last"]
"""The best snapshot by validation, the last, or the best where there is one."""
