#!/usr/bin/env python3
"""Lists what an lcov report says was never reached, apart from the exceptions.

usage: missed.py REPORT EXCEPTIONS
       missed.py REPORT --floor PERCENT

A line of EXCEPTIONS is "FILE: text of the source line  # why nothing reaches it"; it excuses every line of
that file with that text. One whose line is gone fails, too. The last line of output is "N passed, N failed":
the lines that were reached in every way, and those that were not and have no excuse. With a floor, it is
enough that so many of a hundred lines were run.
"""

import re
import sys
from pathlib import Path


NEVER_RUN = "never run"


def read_report(path):
    """Yields (file, line number, what was missed or None)."""
    missed, lines, name = {}, set(), ""
    with open(path, encoding="utf-8") as report:
        for entry in report:
            kind, _, rest = entry.strip().partition(":")
            if kind == "SF":
                name = rest
            elif kind == "DA":
                line, count = rest.split(",")[:2]
                lines.add((name, int(line)))
                if count == "0":
                    missed[name, int(line)] = NEVER_RUN
            elif kind == "BRDA":
                line, _, branch, taken = rest.split(",")
                if taken in ("0", "-"):
                    missed.setdefault((name, int(line)), "branch never taken in one direction")
    for where in sorted(lines):
        yield *where, missed.get(where)


def read_exceptions(path):
    with open(path, encoding="utf-8") as exceptions:
        for line in exceptions:
            match = re.match(r"(\S+): (.*?)  # ", line)
            if match:
                yield match.groups()


def check_floor(report, floor):
    lines = [what for *_, what in read_report(report)]
    run = sum(what != NEVER_RUN for what in lines)
    is_met = bool(lines) and run * 100 >= floor * len(lines)
    print(f"{run} of {len(lines)} lines are run; {floor} % are wanted")
    print(f"{int(is_met)} passed, {int(not is_met)} failed")
    return not is_met


def main():
    if sys.argv[2] == "--floor":
        return check_floor(sys.argv[1], int(sys.argv[3]))
    excused = set(read_exceptions(sys.argv[2]))
    passed = failed = exceptions = 0
    sources = {}
    for path, number, what in read_report(sys.argv[1]):
        if what is None:
            passed += 1
            continue
        if path not in sources:
            with open(path, encoding="utf-8") as source:
                sources[path] = source.read().splitlines()
        name = path[path.index("src/ws/"):]
        text = sources[path][number - 1].strip()
        if (name, text) in excused:
            exceptions += 1
            continue
        failed += 1
        print(f"{name}:{number}: {what}: {text}")
    for name, text in sorted(excused):
        source = Path(name)
        if not source.exists() or text not in map(str.strip, source.read_text().splitlines()):
            failed += 1
            print(f"{name}: there is no such line any more: {text}")
    print(f"{exceptions} excepted")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
