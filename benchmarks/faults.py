"""Fault injection: kills at random moments, mutated files, decompression bombs and full disks, for docs/experiments.md.

    python benchmarks/faults.py --out faults.json
    python benchmarks/faults.py --only kills files --quick --seed 7

kills   Every verb is killed (SIGKILL or SIGTERM) at random moments and repeated until it finishes. No original may
        change, no output may be incomplete, no temporary file may remain, and the result must equal that of an
        uninterrupted command.
files   Files of every format that ganvas reads, with bits flipped, bytes overwritten, or parts cut, duplicated or
        inserted. Each is read or refused with an error that names it; nothing else may be raised, and no process may
        die or hang.
bombs   Small files that declare enormous contents: time and memory.
disk    A disk that becomes full at every possible moment (a tmpfs, which needs root to mount): the error names the
        file, nothing is half written, and the same command succeeds once there is space.

Commands run in forked child processes whose content gate admits everything. Takes about 25 minutes on two cores, or 2
with --quick.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measure.fault_files import FORMATS, bombs, read_bomb, read_mutants
from measure.fault_lab import Ended, Lab, fingerprint, half_written, leftovers, run, warm_up
from measure.machine import describe
from measure.table import Row, Table, markdown

SLOW = ("compare", "demo", "audit")
"""Slow verbs: tested with only a few runs, and not at all with --quick."""
TIMED = ("evaluate", "benchmark", "audit", "compare", "demo")
"""Verbs whose outputs contain times, or scores of a training limited by time: only their file names are compared."""
TERMINATED = (130, 0)


@dataclass(frozen=True)
class Plan:
    """Settings of a campaign.

    Attributes:
        home: a temporary folder.
        seed: seed of all random numbers.
        kills: number of kills per verb.
        mutants: number of mutated files per format.
        verbs: verbs to kill and to run on a full disk.
        formats: formats of the mutated files.
    """

    home: Path
    seed: int
    kills: int
    mutants: int
    verbs: Sequence[str]
    formats: Sequence[str]


def kill_verbs(plan: Plan, lab: Lab) -> Table:
    table, before = Table("Kills"), fingerprint(lab.originals)
    for verb in plan.verbs:
        row, problems = _kill_verb(verb, plan, lab)
        if fingerprint(lab.originals) != before:
            problems.append("an original changed")
        table.rows.append({"verb": verb, **row, "problems": len(problems)})
        table.failures += [f"FAILED: {verb}: {problem}" for problem in problems]
    return table


def _kill_verb(verb: str, plan: Plan, lab: Lab) -> tuple[Row, list[str]]:
    chance, problems = random.Random(f"{plan.seed} {verb}"), list[str]()
    whole_folder = plan.home / "whole" / verb
    whole = run([verb, *lab.commands()[verb](whole_folder)])
    if whole.code:
        return {"kills": 0}, [f"ends with {whole.code}: {whole.said[-300:]}"]
    wanted, kills, rounds = plan.kills if verb not in SLOW else max(plan.kills // 10, 1), 0, 0
    while kills < wanted and rounds < 4 * wanted:
        rounds += 1
        out = plan.home / "killed" / f"{verb}-{rounds}"
        for _ in range(3):
            number = signal.SIGTERM if chance.random() < 0.2 else signal.SIGKILL
            ended = run(_words(verb, lab, out), kill_after=chance.uniform(0, 1.05 * whole.seconds), number=number)
            problems += [f"half written: {bad}" for bad in half_written(out)]
            if ended.code >= 0 and ended.code not in TERMINATED:
                problems.append(f"ends with {ended.code}: {ended.said[-300:]}")
            if ended.code == 0:
                break
            kills += 1
        if ended.code:
            ended = run(_words(verb, lab, out))
        problems += _differences(verb, ended, out, whole_folder)
        shutil.rmtree(out, ignore_errors=True)
    return {"kills": kills, "starts": rounds, "seconds of a run": round(whole.seconds, 2)}, problems


def _words(verb: str, lab: Lab, out: Path) -> list[str]:
    """Return the same command, or the resumption of a training that has a checkpoint."""
    if verb == "train" and (out / "state.safetensors").exists():
        return ["resume", str(out)]
    return [verb, *lab.commands()[verb](out)]


def _differences(verb: str, ended: Ended, out: Path, whole: Path) -> Iterator[str]:
    """Return the differences between an interrupted and resumed command and an uninterrupted one."""
    found, wanted = fingerprint(out), fingerprint(whole)
    complete = found.keys() == wanted.keys()
    if ended.code and not (ended.code == 2 and complete):  # killed after it had finished: the output exists
        yield f"did not go on: {ended.code}: {ended.said[-300:]}"
    yield from (f"left {name}" for name in leftovers(out))
    if not complete:
        yield f"other files: {sorted(found.keys() ^ wanted.keys())[:5]}"
    if verb not in TIMED:
        same = (".png", ".jpg", ".safetensors")
        yield from (f"{name} differs" for name in found.keys() & wanted.keys()
                    if name.endswith(same) and name != "state.safetensors" and found[name] != wanted[name])  # fmt: skip


def mutate_files(plan: Plan, lab: Lab) -> Table:
    table = Table("Mutated files")
    for name in plan.formats:
        counts, problems = read_mutants(name, lab, plan.home / "mutants", count=plan.mutants, seed=plan.seed)
        table.rows.append({"format": name, **counts, "problems": len(problems)})
        table.failures += [f"FAILED: {name}: {problem}" for problem in problems]
    table.notes.append(
        "refused: an error that names the file. otherwise: read without an error as a different picture; BMP, .npy and "
        "uncompressed TIFF carry no checksum, and JPEG and WebP have none over their pixels."
    )
    return table


def set_off_bombs(plan: Plan, lab: Lab) -> Table:
    del lab
    table = Table("Bombs")
    for name, path in bombs(plan.home / "bombs"):
        row, problem = read_bomb(path)
        table.rows.append({"file": name, "bytes": path.stat().st_size, **row})
        if problem:
            table.failures.append(f"FAILED: {name}: {problem}")
    return table


def fill_disks(plan: Plan, lab: Lab) -> Table:
    table, disk = Table("Full disks"), plan.home / "disk"
    disk.mkdir(exist_ok=True)
    for verb in plan.verbs:
        try:
            with _small_disk(disk):
                row, problems = _fill_disk(verb, plan, lab, disk)
        except (OSError, subprocess.CalledProcessError) as error:
            table.notes.append(f"Skipped: a tmpfs cannot be mounted here ({error}).")
            break
        table.rows.append({"verb": verb, **row, "problems": len(problems)})
        table.failures += [f"FAILED: {verb}: {problem}" for problem in problems]
    return table


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", str(folder)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _fill_disk(verb: str, plan: Plan, lab: Lab, disk: Path) -> tuple[Row, list[str]]:
    chance, problems, full = random.Random(f"{plan.seed} disk {verb}"), list[str](), 0
    whole_folder = plan.home / "whole" / verb
    if not whole_folder.exists():
        run([verb, *lab.commands()[verb](whole_folder)])
    needed = sum(path.stat().st_size for path in whole_folder.rglob("*") if path.is_file())
    tries = 2 if verb in SLOW else max(plan.kills // 4, 3)
    for number in range(tries):
        out = disk / f"{verb}-{number}"
        _fill(disk, room=4096 * (1 + int(chance.random() * max(needed // 4096, 1))))
        ended = run(_words(verb, lab, out))
        if ended.code:
            full += 1
            if "No space left" not in ended.said or ended.code not in (1, 2, 5):
                problems.append(f"ends with {ended.code}: {ended.said[-300:]}")
            elif str(disk) not in ended.said:
                problems.append(f"names no file: {ended.said[-300:]}")
        problems += [f"half written: {bad}" for bad in half_written(out)]
        problems += [f"left {name}" for name in leftovers(out)]
        (disk / "filler").unlink()
        if ended.code and (again := run(_words(verb, lab, out))).code:
            problems.append(f"does not go on with room: {again.code}: {again.said[-300:]}")
        shutil.rmtree(out, ignore_errors=True)
    return {"tries": tries, "full": full}, problems


def _fill(disk: Path, *, room: int) -> None:
    """Fill the disk, and leave `room` bytes free."""
    with (disk / "filler").open("wb") as file:
        file.write(bytes(max(shutil.disk_usage(disk).free - room, 0)))


PARTS = {"kills": kill_verbs, "files": mutate_files, "bombs": set_off_bombs, "disk": fill_disks}


def campaign(plan: Plan, parts: Sequence[str]) -> list[Table]:
    """Create the originals, and run the parts."""
    os.environ["GANVAS_CACHE"] = str(plan.home / "cache")
    (plan.home / "cache").mkdir(parents=True, exist_ok=True)
    lab = Lab(plan.home)
    lab.make()
    warm_up()
    return [PARTS[part](plan, lab) for part in parts]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, help="kills per verb; unset: 40, with --quick 3")
    parser.add_argument("--mutants", type=int, help="mutated files per format; unset: 1000, with --quick 40")
    parser.add_argument("--verbs", nargs="+", help="verbs to test; unset: all, with --quick those that take seconds")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--quick", action="store_true")
    given, started = parser.parse_args(), time.monotonic()
    verbs = given.verbs or [verb for verb in Lab(Path()).commands() if not (given.quick and verb in SLOW)]
    kills, mutants = given.kills or (3 if given.quick else 40), given.mutants or (40 if given.quick else 1000)
    with tempfile.TemporaryDirectory() as home:
        tables = campaign(Plan(Path(home), given.seed, kills, mutants, verbs, given.formats), given.only)
    print(markdown(tables))
    print(f"\nSeed {given.seed}, {time.monotonic() - started:.0f} s.")
    if given.out:
        record = {"machine": describe(), "seed": given.seed, "tables": [table.as_record() for table in tables]}
        given.out.write_text(json.dumps(record, indent=1) + "\n")
    return int(any(table.failures for table in tables))


if __name__ == "__main__":
    sys.exit(main())
