"""The tables of labs that generate.py fills in, of the graders themselves and the labs' pages."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def folders() -> list[pathlib.Path]:
    return sorted((ROOT / "docs" / "labs").glob("[0-9][0-9]_*"))


def graded(folder: pathlib.Path) -> tuple[list[str], list[list[str]]]:
    """What `lab_NN --points` says: the lab, then a check a line; words apart by tabs."""
    grader = ROOT / "build" / "labs" / f"lab_{folder.name[:2]}"
    said = subprocess.run([grader, "--points"], capture_output=True, text=True, check=True).stdout
    lines = [line.split("\t") for line in said.splitlines()]
    return lines[0], lines[1:]


def found(pattern: str, folder: pathlib.Path) -> str:
    text = (folder / "README.md").read_text(encoding="utf-8")
    match = re.search(pattern, text, re.M)
    if not match:
        raise SystemExit(f"generate.py: docs/labs/{folder.name}/README.md has no line like {pattern}")
    return match[1]


def labs() -> str:
    """What a student chooses by."""
    table = "| lab | its question | time | points |\n|---|---|---|---|\n"
    for folder in folders():
        (number, title, points), _ = graded(folder)
        question = found(r"^\*\*([^*]+\?)\*\*$", folder)
        time = found(r"\*\*Time\*\*: ([^.]+)\.", folder)
        table += f"| [{number}. {title}]({folder.name}/README.md) | {question} | {time} | {points} |\n"
    return table


def checks() -> str:
    """What a teacher gives points for, and how much is known to be refused."""
    table = "| lab | checks, and their points | points | known-bad |\n|---|---|---|---|\n"
    for folder in folders():
        (number, title, points), rows = graded(folder)
        each = ", ".join(f"`{name}` {worth}" for name, _, worth in rows)
        bad = len(list((ROOT / "labs" / "known_bad" / folder.name[:2]).glob("*.patch")))
        table += f"| {number}. {title} | {each} | {points} | {bad} |\n"
    return table
