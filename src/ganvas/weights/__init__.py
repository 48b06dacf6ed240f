"""Cache folder, and pretrained weights identified by records.

Records are in `known`; `find` finds, fetches and verifies a file; `tensors` reads it. Importing this package is cheap:
neither torch nor numpy is loaded.
"""

from ganvas.weights.cache import cache_folder

__all__ = ["cache_folder"]
