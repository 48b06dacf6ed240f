"""The verbs of ganvas: what the command line calls, and what a program calls.

A signature here is a command: positional-only arguments are its words, keyword arguments its flags.
Modules that need torch are imported when a verb is called, so that asking for help is quick.
"""

from ganvas.api.auditing import audit
from ganvas.api.benchmarks import benchmark
from ganvas.api.comparing import compare
from ganvas.api.pictures import locate, prepare, redact
from ganvas.api.runs import evaluate, load, sample, translate
from ganvas.api.studies import demo, density, doctor
from ganvas.api.training import import_reference, resume, train

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
