#!/usr/bin/env python3
"""Prints what the compiler is told of a lab's starter, one option a line, for labs/grade.sh.

    labs/flags.py build/compile_commands.json                 in this tree
    labs/flags.py build/compile_commands.json --release TORCH for the students' archive, where
                                                              LibTorch is in the folder TORCH
"""

import argparse
import json
import pathlib
import shlex

ROOT = pathlib.Path(__file__).resolve().parent.parent


def options_of(commands: list[dict]) -> list[str]:
    """All starters are compiled alike: the first one's, without its own files and without the
    precompiled header, which grade.sh adds where it is."""
    starters = [c for c in commands if c["file"].startswith(f"{ROOT}/docs/labs/")]
    if not starters:
        raise SystemExit("flags.py: no starter of docs/labs is compiled; configure again")
    words = shlex.split(starters[0]["command"])
    compiler = next(i for i, word in enumerate(words) if "clang++" in word or "g++" in word)
    options = []
    words = iter(words[compiler + 1 :])
    for word in words:
        if word in ("-o", "-c", "-include-pch"):
            next(words)
        elif not word.endswith("_EXPORTS"):
            options.append(word)
    return options


def released(options: list[str], torch: str) -> list[str]:
    """Without full paths, which are of this machine."""
    result = []
    for word in options:
        if "/torch/include" in word:
            result.append(torch + "/include" + word.split("/torch/include")[1])
        else:
            result.append("-I." if word == f"-I{ROOT}" else word)
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("commands", type=pathlib.Path)
    parser.add_argument("--release", metavar="TORCH")
    arguments = parser.parse_args()
    options = options_of(json.loads(arguments.commands.read_text()))
    if arguments.release:
        options = released(options, arguments.release)
    for option in options:
        print(shlex.quote(option))


main()
