#!/usr/bin/env python3
"""Fills the generated blocks of README.md and docs/*.md, so that none is typed by hand.

    docs/generate.py            rewrites what is out of date
    docs/generate.py --check    changes nothing; fails and names what is out of date

A block stands between two comments and says what belongs in it:

    <!-- generated: lesson_diff single_gpu ddp -->     the lesson's diff of that pair
    <!-- generated: diff FILE FILE -->                 what differs between two files
    <!-- generated: table FILE MODELS [MODES] -->      figures of a kept run, reports/results/FILE
    <!-- generated: ratios FILE -->                    ours over its peers in that run
    <!-- generated: memory FILE -->                    predicted peaks beside measured ones there
    <!-- generated: forecasts FILE -->                foretold steps beside measured ones there
    <!-- generated: said PROGRAM ARGUMENTS -->         what a program of the build prints
    <!-- generated: code FILE FIRST LINES -->          so many lines of FILE from the first that
                                                       holds FIRST, with the place they stand at
    <!-- generated: labs -->                           the labs, their time and points
    <!-- generated: checks -->                         the points of each lab, check by check
    <!-- end -->
"""

import difflib
import pathlib
import re
import subprocess
import sys

from kept_tables import forecasts, memory, ratios, table, ways
from lab_tables import checks, labs

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- generated: (.*?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
LANGUAGES = {".toml": "toml", ".txt": "cmake"}  # of quoted files; all else is C++
def lesson_diff(single: str, other: str) -> str:
    said = subprocess.run(
        [ROOT / "docs/lesson_diff.sh", ROOT], capture_output=True, text=True, check=True
    ).stdout
    head = f"== {single}/train.cpp -> {other}/train.cpp\n"
    if head not in said:
        raise SystemExit(f"generate.py: lesson_diff.sh has no pair {single} {other}")
    return "```diff\n" + said.split(head)[1].split("\n\n")[0].rstrip("\n") + "\n```\n"


def code(file: str, first: str, lines: str) -> str:
    text = (ROOT / file).read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(text) if first in line]
    if not starts:
        raise SystemExit(f"generate.py: no '{first}' in {file}; name another line")
    start = starts[0]
    shown = "\n".join(text[start : start + int(lines)])
    language = LANGUAGES.get(pathlib.Path(file).suffix, "cpp")
    return f"[`{file}`, line {start + 1}](../{file}#L{start + 1})\n\n```{language}\n{shown}\n```\n"


def diff(one: str, other: str) -> str:
    texts = [(ROOT / file).read_text(encoding="utf-8").splitlines() for file in (one, other)]
    lines = difflib.unified_diff(*texts, fromfile=one, tofile=other, lineterm="", n=1)
    return "```diff\n" + "\n".join(lines) + "\n```\n"


def said(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [ROOT / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return "```text\n" + done.stdout + "```\n"


MAKERS = {
    "lesson_diff": lesson_diff,
    "diff": diff,
    "said": said,
    "table": table,
    "ratios": ratios,
    "memory": memory,
    "forecasts": forecasts,
    "ways": ways,
    "code": code,
    "labs": labs,
    "checks": checks,
}


def filled(text: str) -> str:
    def fill(block: re.Match) -> str:
        # Words, and "quoted words" as one.
        words = [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', block[2])]
        return block[1] + MAKERS[words[0]](*words[1:]) + block[4]

    return BLOCK.sub(fill, text)


def main() -> None:
    check = sys.argv[1:] == ["--check"]
    stale = []
    blocks = 0
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "docs/labs/README.md"]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        blocks += len(BLOCK.findall(text))
        wanted = filled(text)
        if wanted == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if not check:
            path.write_text(wanted, encoding="utf-8")
    if blocks == 0:
        raise SystemExit("generate.py: no generated block found: has their form changed?")
    for name in stale:
        print(f"{name}: {'out of date; run docs/generate.py' if check else 'rewritten'}")
    sys.exit(1 if check and stale else 0)


main()
