#!/usr/bin/env python3
"""Looks through what students get for what they must not: solutions, and known-bad ones, by
what they say and not by their names, and paths of the machine that made it.

    labs/leaks.py FOLDER [PATH...]    fails and says where; PATHs are this machine's folders

A solution is found by any three of its lines, one after the other, that are not the starter's; a
cell's by its formula.
Blank lines, comments, includes and lines of punctuation alone do not count.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
AT_LEAST = 3
FOLDERS = ("solutions", "known_good", "known_bad")


def telling(line: str) -> str:
    """The line without what a quotation or a change of style adds; '' where it says nothing."""
    line = re.sub(r"^[\s>+\-|]+", "", line)
    line = re.sub(r"\s+", "", re.sub(r"(^|\s)//.*", "", line))
    return line if len(re.findall(r"\w", line)) >= 4 and not line.startswith("#include") else ""


def telling_lines(text: str) -> list[str]:
    return [line for line in map(telling, text.splitlines()) if line]


def windows(lines: list[str]) -> set[tuple[str, ...]]:
    return {tuple(lines[i : i + AT_LEAST]) for i in range(len(lines) - AT_LEAST + 1)}


def patched(patch: str) -> str:
    """What a patch leaves: its context and the lines that it adds."""
    body = patch.split("\n@@", 1)[-1]
    return "\n".join(line[1:] for line in body.splitlines() if line[:1] in (" ", "+"))


def public() -> set[tuple[str, ...]]:
    """What a student has anyway."""
    found = set()
    for starter in (ROOT / "docs" / "labs").glob("[0-9][0-9]_*/*.cpp"):
        found |= windows(telling_lines(starter.read_text(encoding="utf-8")))
    return found


def secrets() -> dict[tuple[str, ...], str]:
    """Three lines, and the file that they are of."""
    texts = {}
    for folder in ("solutions", "known_good"):
        for solution in (ROOT / "labs" / folder).rglob("*.cpp"):
            texts[solution] = solution.read_text(encoding="utf-8")
    for patch in (ROOT / "labs" / "known_bad").glob("*/*.patch"):
        texts[patch] = patched(patch.read_text(encoding="utf-8"))
    known = public()
    found = {}
    for file, text in texts.items():
        for window in windows(telling_lines(text)) - known:
            found.setdefault(window, str(file.relative_to(ROOT)))
    return found


def formulas() -> dict[str, str]:
    found = {}
    for cell in (ROOT / "labs" / "solutions" / "cells").glob("*.cell"):
        for line in telling_lines(cell.read_text(encoding="utf-8")):
            if line.startswith("formula="):
                found[line] = str(cell.relative_to(ROOT))
    return found


def look(folder: pathlib.Path, paths: list[str]) -> list[str]:
    secret, formula = secrets(), formulas()
    if not secret:
        raise SystemExit("leaks: there is no solution to look for in labs/solutions")
    complaints = []
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if set(FOLDERS) & set(name.parts):
            complaints.append(f"{name} is of a folder that students do not get")
        if file.is_symlink() or not file.is_file():
            continue
        content = file.read_bytes()
        for path in paths:
            if path.encode() in content:
                complaints.append(f"{name} names {path}, a folder of this machine")
        lines = telling_lines(content.decode("latin-1"))
        # latin-1, so that every file has lines; secrets are compared in the same spelling.
        for window in windows(lines):
            if window in secret:
                complaints.append(f"{name} holds three lines of {secret[window]}: {window[0]}")
                break
        for line in set(lines) & set(formula):
            complaints.append(f"{name} holds the formula of {formula[line]}: {line}")
        if re.search(rb"^refused: \w+ \w+$", content, re.M):
            complaints.append(f"{name} holds the first line of a known-bad solution")
    return complaints


def main() -> None:
    complaints = look(pathlib.Path(sys.argv[1]), sys.argv[2:])
    for words in complaints:
        print(f"leaks: {words}", file=sys.stderr)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
