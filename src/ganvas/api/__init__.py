"""The verbs of ganvas: what the command line calls, and what a program calls.

A signature here is a command: positional-only arguments are its words, keyword arguments its flags.
Modules that need torch are imported when a verb is called, so that asking for help is quick.
"""

from ganvas.api.pictures import locate, prepare, redact
from ganvas.api.runs import evaluate, import_reference, load, resume, sample, train, translate
from ganvas.api.studies import audit, benchmark, compare, demo, density, doctor

__all__ = [
    "audit",
    "benchmark",
    "compare",
    "demo",
    "density",
    "doctor",
    "evaluate",
    "import_reference",
    "load",
    "locate",
    "prepare",
    "redact",
    "resume",
    "sample",
    "train",
    "translate",
]
