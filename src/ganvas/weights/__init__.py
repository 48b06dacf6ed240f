"""Pretrained weights identified by records.

Records are in `known`; `find` finds, downloads and verifies a file; `tensors` reads it. Importing this package loads
neither torch nor numpy.
"""
