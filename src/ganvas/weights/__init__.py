"""Pretrained weights identified by records.

Records are in `known`; `find` finds, fetches and verifies a file; `tensors` reads it. Importing this package is cheap:
neither torch nor numpy is loaded.
"""
