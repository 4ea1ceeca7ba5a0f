#!/usr/bin/env python3
"""Packs what students get: chapters, labs, programs and graders, and no solution.

    labs/release.py BUILD ARCHIVE.tar.gz

BUILD is a built tree. The archive works where its own `make setup` did what the README's does.
It holds no source of the rooms, which would be solutions: of them only headers that a student's
file includes, and the loops that the chapters compare.
"""

import gzip
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile

import leaks

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAME = "lockstep-labs"
FILES = [
    "LICENSE", "requirements.txt", "requirements-test.txt", "cmake/setup.sh", "docs/lesson_diff.sh",
    "single_gpu/train.cpp", "data_parallel/train.cpp", "ddp/train.cpp", "horovod/train.cpp",
    "labs/grade.sh", "reports/render.py",
    "reports/results/amd-epyc-2-cores-forecasts-2026-11-22.jsonl",  # what a cell is held against
]
EXAMPLES = ["resnet18", "schedules", "horovod", "find_unused_parameters", "own_parts"]
FILES += [f"runner/examples/{name}.toml" for name in EXAMPLES]
FOLDERS = ["docs/pictures", "docs/labs", "docs/cells", "reports/web", "charts/specs", "gantt/specs"]
# Rooms whose code the labs and cells ask for; own_parts.cpp has a reducer.
ASKED = "data_parallel|ddp|collectives|predict|runner/examples"
NOT_FOR_STUDENTS = ["docs/teaching.md", "docs/teaching.zh.md"]


def run(*command: object, given: str = "") -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, input=given, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise SystemExit(f"release: {command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def flags(build: pathlib.Path, *release: str) -> list[str]:
    return shlex.split(run(ROOT / "labs/flags.py", build / "compile_commands.json", *release))


def torch_folder(build: pathlib.Path) -> str:
    cache = (build / "CMakeCache.txt").read_text(encoding="utf-8")
    return re.search(r"^LOCKSTEP_TORCH_DIR:PATH=(.*)$", cache, re.M)[1]


def headers(build: pathlib.Path) -> set[str]:
    """Of our own, what a student's file includes; a solution may need more than a starter."""
    files = [*(ROOT / "docs/labs").glob("*/*.cpp"), *(ROOT / "labs/solutions").glob("*.cpp")]
    released = flags(build, "--release", torch_folder(build))
    # All files as one: LibTorch's headers, a second of each file's reading, are read once.
    together = "".join(f'#include "{file}"\n' for file in sorted(files))
    rules = run("clang++", *released, "-MM", "-xc++", "-", given=together).replace("\\\n", " ")
    words = {word.removeprefix(f"{ROOT}/").removeprefix("./") for word in rules.split()}
    return {word for word in words if word.endswith(".h")}


def copy(name: str, stage: pathlib.Path) -> None:
    (stage / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(ROOT / name, stage / name)


def copy_sources(build: pathlib.Path, stage: pathlib.Path) -> None:
    for name in [*FILES, *sorted(headers(build))]:
        copy(name, stage)
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                copy(str(file.relative_to(ROOT)), stage)
    for page in sorted((ROOT / "docs").glob("*.md")):
        name = str(page.relative_to(ROOT))
        if name not in NOT_FOR_STUDENTS:
            copy(name, stage)
    for file in (ROOT / "labs/release").iterdir():
        shutil.copy2(file, stage / file.name)


def hide_code(stage: pathlib.Path) -> None:
    """The chapters quote the very code that labs and cells ask for."""
    quoted = re.compile(rf"<!-- generated: code ((?:{ASKED})/\S+) [^\n]*-->\n.*?<!-- end -->\n", re.S)
    for page in (stage / "docs").glob("*.md"):
        chinese = page.name.endswith(".zh.md")
        words = "这里省去 `{}` 的代码：实验要你自己来写。" if chinese else (
            "(The code of `{}` is left out here: a lab asks you to write it.)")

        def hidden(block: re.Match) -> str:
            return block[0] if (stage / block[1]).exists() else words.format(block[1]) + "\n"

        text = page.read_text(encoding="utf-8")
        page.write_text(quoted.sub(hidden, text), encoding="utf-8")


def cut_links(stage: pathlib.Path) -> None:
    """A link to what is left out becomes its own words."""
    for page in stage.rglob("*.md"):

        def kept(link: re.Match) -> str:
            words, target = link[1], link[2].split("#")[0]
            if target.startswith(("http:", "https:")) or not target:
                return link[0]
            place = stage / target[1:] if target.startswith("/") else page.parent / target
            return link[0] if place.exists() else words

        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^) ]+)\)", kept, text), encoding="utf-8")


def forget(file: pathlib.Path, paths: list[str]) -> None:
    """Paths within a binary (of LibTorch's headers, in the words of its errors) become others of
    the same length: nothing in it moves."""
    content = file.read_bytes()
    for path in paths:
        content = content.replace(path.encode(), ("." + "/" * (len(path.encode()) - 1)).encode())
    file.write_bytes(content)


def paths_here(build: pathlib.Path) -> list[str]:
    """This machine's folders, the longest first: one may lie in another."""
    environment = str(pathlib.Path(torch_folder(build)).parents[3])
    return sorted({environment, str(build.resolve()), str(ROOT)}, key=len, reverse=True)


def pack(stage: pathlib.Path, archive: pathlib.Path) -> None:
    """The same bytes for the same content, and no user's name."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    beside = archive.with_name(archive.name + ".new")
    with (
        open(beside, "wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as whole,
        tarfile.open(fileobj=whole, mode="w") as tar,
    ):
        tar.add(stage, arcname=NAME, filter=anonymous)
    beside.rename(archive)


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("release: labs/release.py BUILD ARCHIVE.tar.gz")
    build, archive = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        stage = pathlib.Path(scratch) / NAME
        run("cmake", "--install", build, "--component", "labs-release", "--strip", "--prefix", stage)
        here = paths_here(build)
        for binary in [*(stage / "build/bin").iterdir(), *(stage / "build/labs").iterdir()]:
            forget(binary, here)
        copy_sources(build, stage)
        options = flags(build, "--release", "build/torch")
        (stage / "build/labs/flags").write_text("".join(shlex.quote(o) + "\n" for o in options))
        hide_code(stage)
        cut_links(stage)
        complaints = leaks.look(stage, here)
        if complaints:
            raise SystemExit("\n".join(f"release: {words}" for words in complaints))
        pack(stage, archive)
        files = sum(file.is_file() for file in stage.rglob("*"))
    print(f"{archive}: {files} files, {archive.stat().st_size / 2**20:.1f} MiB, no solution")


main()
