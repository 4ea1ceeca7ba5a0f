#!/usr/bin/env python3
"""Holds the graders of all labs to what they are for.

    labs/known_bad_test.py BUILD             every solution earns all points, and so does whatever
                                             else is right; every starter none
                                             and without hanging; every known-bad is refused first
                                             by the check, and for the misconception, that its
                                             patch names (checks after that one are not run); and
                                             where those lead to, one can read
    labs/known_bad_test.py BUILD --lab 05    the same of one lab
    labs/known_bad_test.py BUILD --runs 20   the same points in so many runs in a row
    labs/known_bad_test.py BUILD --whole-set every lab compiled and graded, as by `make labs`, in
                                             under 8 minutes

BUILD holds build/labs as CMake makes it. Needs nothing but Python.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
AT_ONCE = 3  # graders beside each other: on two cores one of them waits most of the time
LEAST_KNOWN_BAD = 30
MOST_STARTER_LINES = 80
MOST_SECONDS = 8 * 60  # for the whole set, on two cores
READ = re.compile(r'"(\d_[a-z_]+\.md#[^"]+)"')

complaints = []


def complain(words: str) -> None:
    complaints.append(words)


class Module:
    """A shared object that a lab's grader is run on."""

    def __init__(self, build: pathlib.Path, number: str, kind: str, name: str = ""):
        self.number, self.kind = number, kind
        self.label = f"lab {number}, {kind} {name}".rstrip()
        self.grader = build / f"lab_{number}"
        self.file = build / kind / number / f"{name}.so" if name else build / kind / f"{number}.so"
        self.patch = ROOT / "labs" / "known_bad" / number / f"{name}.patch"

    def grade(self, until_refused: bool = False) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            grade = pathlib.Path(folder) / "grade.json"
            environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
            done = subprocess.run(
                [self.grader, self.file, "--json", grade, *["--until-refused"] * until_refused],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
            )
            if done.returncode != 0:
                raise SystemExit(f"{self.label}: status {done.returncode}: {done.stderr.strip()}")
            return json.loads(grade.read_text(encoding="utf-8"))


def modules(build: pathlib.Path) -> list[Module]:
    found = []
    for folder in sorted((ROOT / "docs" / "labs").glob("[0-9][0-9]_*")):
        number = folder.name[:2]
        found += [Module(build, number, kind) for kind in ("solutions", "starters")]
        others = sorted((ROOT / "labs" / "known_good" / number).glob("*.cpp"))
        found += [Module(build, number, "known_good", other.stem) for other in others]
        patches = sorted((ROOT / "labs" / "known_bad" / number).glob("*.patch"))
        found += [Module(build, number, "known_bad", patch.stem) for patch in patches]
    return found


def not_passed(grade: dict) -> list[dict]:
    return [check for check in grade["checks"] if check["verdict"] != "passed"]


def refused(grade: dict) -> list[dict]:
    """What ran and did not pass."""
    return [check for check in not_passed(grade) if check["verdict"] != "not run"]


def told(check: dict) -> str:
    return f"{check['id']} {check['verdict']} ({check['misconception']['id']}: {check['saw']})"


def judge_solution(module: Module, grade: dict) -> None:
    if grade["earned"] != grade["points"] or grade["points"] == 0:
        seen = "; ".join(told(check) for check in not_passed(grade))
        complain(f"{module.label} earns {grade['earned']} of {grade['points']}: {seen}")


def judge_starter(module: Module, grade: dict) -> None:
    if grade["earned"] != 0:
        complain(f"{module.label} earns {grade['earned']} of {grade['points']}, not 0")
    for check in grade["checks"]:
        if check["verdict"] in ("timed out", "not run"):
            complain(f"{module.label}: {told(check)}; an empty body throws and ends at once")


def judge_known_bad(module: Module, grade: dict) -> None:
    first_line = module.patch.read_text(encoding="utf-8").split("\n", 1)[0]
    named = re.fullmatch(r"refused: (\S+) (\S+)", first_line)
    if not named:
        complain(f"{module.label}: its first line is 'refused: CHECK MISCONCEPTION', not {first_line!r}")
        return
    wrong = not_passed(grade)
    if not wrong:
        complain(f"{module.label} passes")
    elif (wrong[0]["id"], wrong[0]["misconception"]["id"]) != named.groups():
        complain(f"{module.label} should be {first_line}, but first is {told(wrong[0])}")
    elif wrong[0]["verdict"] == "not run":
        complain(f"{module.label} does not run: {told(wrong[0])}")


def judge_checks(number: str, grades: list[dict]) -> None:
    """A check that refuses nothing is none."""
    refusing = {check["id"] for grade in grades for check in refused(grade)}
    for check in grades[0]["checks"]:
        if check["id"] not in refusing:
            complain(f"lab {number}: {check['id']} refuses neither the starter nor a known-bad")


def anchors(page: pathlib.Path) -> set[str]:
    """What a link can lead to: HTML's anchors, and headings as GitHub makes anchors of them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in re.findall(r"^#+ +(.*)$", text, flags=re.M):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-"))
    return found


def judge_reads(grades: list[dict]) -> int:
    reads = {check["misconception"]["read"] for grade in grades for check in refused(grade)}
    for source in [*(ROOT / "labs").rglob("*.cpp"), *(ROOT / "labs").rglob("*.h")]:
        reads |= set(READ.findall(source.read_text(encoding="utf-8")))
    for read in sorted(reads):
        name, _, anchor = read.partition("#")
        page = ROOT / "docs" / name
        chinese = page.with_suffix(".zh.md")
        if not page.is_file() or not anchor:
            complain(f"'{read}' is no chapter and anchor")
            continue
        for each in [page, *([chinese] if chinese.exists() else [])]:
            if anchor not in anchors(each):
                complain(f"docs/{each.name} has no anchor #{anchor}, where a misconception leads")
    return len(reads)


def judge_starters_length() -> None:
    for starter in (ROOT / "docs" / "labs").glob("[0-9][0-9]_*/*.cpp"):
        lines = len(starter.read_text(encoding="utf-8").splitlines())
        if lines > MOST_STARTER_LINES:
            complain(f"{starter.relative_to(ROOT)} has {lines} lines, over {MOST_STARTER_LINES}")


def grade_all(found: list[Module], first_reason: bool = False) -> list[dict]:
    """`first_reason`: of a known-bad one only what it is refused for."""
    short = [first_reason and module.kind == "known_bad" for module in found]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(Module.grade, found, short))


def judge_once(found: list[Module], least: int) -> None:
    grades = grade_all(found, first_reason=True)
    judges = {
        "solutions": judge_solution, "starters": judge_starter,
        "known_good": judge_solution, "known_bad": judge_known_bad,
    }
    for module, grade in zip(found, grades):
        judges[module.kind](module, grade)
    for number in sorted({module.number for module in found}):
        judge_checks(number, [g for m, g in zip(found, grades) if m.number == number])
    reads = judge_reads(grades)
    judge_starters_length()
    count = sum(module.kind == "known_bad" for module in found)
    others = sum(module.kind == "known_good" for module in found)
    labs = len({module.number for module in found})
    if count < least and labs > 1:
        complain(f"only {count} known-bad solutions, of at least {least}")
    print(f"{labs} labs, {count} known-bad solutions, {others} other right ones, {reads} places to read")


def points_and_reason(grade: dict) -> list:
    """Each check's points, and what is told of the first that does not pass: those after it may
    come out of whatever the first mistake has left."""
    first = [(check["id"], check["misconception"]["id"]) for check in not_passed(grade)[:1]]
    return [(check["id"], check["earned"]) for check in grade["checks"]] + first


def judge_runs(found: list[Module], runs: int) -> None:
    """Points, check by check, and the first reason are the same in every run."""
    first = None
    for run in range(runs):
        begun = time.monotonic()
        now = [points_and_reason(grade) for grade in grade_all(found)]
        print(f"run {run + 1}: {len(found)} graded in {time.monotonic() - begun:.0f} s", flush=True)
        first = first or now
        for module, before, after in zip(found, first, now):
            if before != after:
                complain(f"{module.label}: run {run + 1} says {after}, the first {before}")


def judge_whole_set(build: pathlib.Path) -> None:
    flags = subprocess.run(
        [ROOT / "labs/flags.py", build / "compile_commands.json"],
        check=True, capture_output=True, text=True,
    )
    (build / "labs" / "flags").write_text(flags.stdout, encoding="utf-8")
    begun = time.monotonic()
    done = subprocess.run(
        [ROOT / "labs/grade.sh", "all", ROOT / "labs/solutions"], capture_output=True, text=True
    )
    seconds = time.monotonic() - begun
    if done.returncode != 0:
        complain(f"grade.sh ends with status {done.returncode}: {done.stderr.strip()}")
        return
    last = done.stdout.strip().splitlines()[-1]
    print(f"the whole set in {seconds:.0f} s: {last}")
    earned = re.findall(r"(\d+) of (\d+)", last)
    if not earned or any(got != most for got, most in earned):
        complain(f"solutions earn less than all points: {last}")
    if seconds > MOST_SECONDS:
        complain(f"the whole set takes {seconds:.0f} s, over {MOST_SECONDS}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--lab", help="its number, two digits; with any of these but --whole-set")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--whole-set", action="store_true")
    parser.add_argument("--least", type=int, default=LEAST_KNOWN_BAD, help="known-bad solutions")
    arguments = parser.parse_args()
    found = [m for m in modules(arguments.build / "labs") if arguments.lab in (None, m.number)]
    if not found:
        raise SystemExit(f"known_bad_test: there is no lab {arguments.lab or ''} in docs/labs")
    if arguments.whole_set:
        judge_whole_set(arguments.build)
    elif arguments.runs:
        judge_runs(found, arguments.runs)
    else:
        judge_once(found, arguments.least)
    for words in complaints:
        print(f"known_bad_test: {words}", file=sys.stderr)
    sys.exit(1 if complaints else 0)


main()
