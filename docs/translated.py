#!/usr/bin/env python3
"""Holds every Chinese page, docs/NAME.zh.md, to its English one, docs/NAME.md.

    docs/translated.py                  names what differs; exit status 1 where anything does
    docs/translated.py --stamp NAME...  notes that these pages are up to date with their English

Of every chapter there are both pages. They have, in the same order, the same headings (by level),
code blocks (a reader's commands among them), generated blocks, pictures and anchors, and in each
section the same links, code words and numbers. A Chinese page leads to Chinese pages where there
are any; its prose is Chinese, one paragraph a line (a line break between two Chinese characters
would be shown as a space).

What cannot be seen is whether the prose says what the English says. So docs/translations.lock
keeps a checksum of every English section that was translated, and a section that has changed
since is named: translate the change, then stamp the page. Breaks of lines and what generate.py
fills in do not count as a change.
"""

import collections
import dataclasses
import hashlib
import itertools
import pathlib
import re
import sys

DOCS = pathlib.Path(__file__).resolve().parent
LOCK = DOCS / "translations.lock"

LEAST_SHARE = 0.6  # of Chinese characters, English words being counted beside them
FEW_WORDS = 3  # a paragraph of so few may be a name
HAN = re.compile(r"[\u4e00-\u9fff]")
WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
SENTENCE = re.compile(r"(?:[A-Za-z][A-Za-z'’-]*[ ,;:.\n]+){5}[A-Za-z]")
TITLE = re.compile(r"(?<!\*)\*[^*\n]+\*(?!\*)|“[^”\n]+”")  # of a paper: stays as it is
BROKEN_LINE = re.compile(r"[\u3000-\u9fff\uff00-\uffef]\n\s*[\u3000-\u9fff\uff00-\uffef]")
CODE_WORD = re.compile(r"`([^`]+)`")
LINK = re.compile(r"(!?)\[([^][]*)\]\(([^)\s]+)\)")
ANCHOR = re.compile(r'<a id="([^"]*)">')
NUMBER = re.compile(r"(?<![A-Za-z0-9_.])\d+(?:[.,]\d+)*")
NEW_PARAGRAPH = re.compile(r"\s*(?:[-*] |\d+\. |\|)")


@dataclasses.dataclass
class Section:
    heading: str = ""
    text: str = ""  # without code and generated blocks
    whole: str = ""  # with code, and with the names of generated blocks: what is translated


@dataclasses.dataclass
class Page:
    skeleton: list[tuple] = dataclasses.field(default_factory=list)  # kind, what, line
    sections: list[Section] = dataclasses.field(default_factory=lambda: [Section()])


def read(name: str) -> Page:
    page = Page()
    lines = (DOCS / name).read_text(encoding="utf-8").splitlines()
    at = 0

    def block(kind: str, is_last) -> str:
        nonlocal at
        begin = at
        at += 1
        while at < len(lines) and not is_last(lines[at]):
            at += 1
        text = "\n".join(lines[begin : at + 1]).rstrip()
        page.skeleton.append((kind, text, begin + 1))
        return text

    while at < len(lines):
        line = lines[at]
        section = page.sections[-1]
        if line.startswith("<!-- generated: "):
            block("generated block", lambda last: last == "<!-- end -->")
            section.whole += line + "\n"
        elif line.lstrip().startswith("```"):
            section.whole += block("code block", lambda last: last.strip() == "```") + "\n"
        elif line.startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            section.whole += block("code block", lambda last: not last.strip()) + "\n"
        else:
            if heading := re.match(r"(#+) (.*)", line):
                page.skeleton.append(("heading", heading[1], at + 1))
                section = Section(heading[2])
                page.sections.append(section)
            for anchor in ANCHOR.findall(line):
                page.skeleton.append(("anchor", anchor, at + 1))
            for picture, _, target in LINK.findall(line):
                if picture:
                    page.skeleton.append(("picture", target, at + 1))
            section.text += line + "\n"
            section.whole += line + "\n"
        at += 1
    page.sections = [section for section in page.sections if section.whole.strip()]
    return page


def compare_skeletons(name: str, english: Page, chinese: Page) -> list[str]:
    """The first difference: what comes after it is most often its consequence."""
    for wanted, found in itertools.zip_longest(english.skeleton, chinese.skeleton):
        if wanted and found and wanted[:2] == found[:2]:
            continue
        there = f"{wanted[0]} {wanted[1]}".split("\n")[0] if wanted else "nothing more"
        here = f"{found[0]} {found[1]}".split("\n")[0] if found else "nothing more"
        if here == there:
            here = "other lines"
        place = f"docs/{name}.zh.md:{found[2]}" if found else f"docs/{name}.zh.md"
        model = f"docs/{name}.md:{wanted[2]}" if wanted else f"docs/{name}.md"
        return [f"{place}: {here}, where {model} has {there}"]
    return []


def prose(text: str) -> str:
    return re.sub(r"<[^>]*>", " ", LINK.sub(lambda link: link[2], CODE_WORD.sub("", text)))


def facts(section: Section) -> dict[str, set[str]]:
    text = re.sub(r"(?m)^\s*\d+\. ", "", section.text)
    return {
        "link": {to.replace(".zh.md", ".md") for picture, _, to in LINK.findall(text) if not picture},
        "code word": set(CODE_WORD.findall(" ".join(text.split()))),
        "number": set(NUMBER.findall(prose(text))),
    }


def compare_facts(name: str, english: Page, chinese: Page) -> list[str]:
    complaints = []
    for ours, theirs in zip(english.sections, chinese.sections):
        place = f"docs/{name}.zh.md, {theirs.heading}"
        for kind, wanted in facts(ours).items():
            found = facts(theirs)[kind]
            complaints += [f"{place}: the {kind} {lost} is missing" for lost in sorted(wanted - found)]
            complaints += [
                f"{place}: the {kind} {added} is not in the English" for added in sorted(found - wanted)
            ]
    return complaints


def paragraphs(text: str) -> list[str]:
    found = [""]
    for line in text.splitlines():
        if not line.strip() or NEW_PARAGRAPH.match(line):
            found.append("")
        found[-1] += line + "\n"
    return [paragraph for paragraph in found if paragraph.strip()]


def check_prose(name: str, chinese: Page) -> list[str]:
    complaints = []
    for section in chinese.sections:
        for paragraph in paragraphs(section.text):
            begin = " ".join(paragraph.split())[:60]
            if BROKEN_LINE.search(paragraph):
                complaints.append(f"docs/{name}.zh.md: put this paragraph on one line: {begin}")
            said = TITLE.sub("", prose(paragraph))
            words, han = len(WORD.findall(said)), len(HAN.findall(said))
            lesser_heading = said.startswith("##")
            if SENTENCE.search(said) or (
                (words > FEW_WORDS or lesser_heading) and han < LEAST_SHARE * (han + words)
            ):
                complaints.append(f"docs/{name}.zh.md: not translated: {begin}")
    return complaints


def check_ways(name: str) -> list[str]:
    """Each page leads to the other below its title, and a Chinese one to Chinese ones."""
    complaints = []
    texts = {page: (DOCS / page).read_text(encoding="utf-8") for page in (f"{name}.md", f"{name}.zh.md")}
    for page, way in zip(texts, (f"[中文]({name}.zh.md)", f"[English]({name}.md)")):
        if texts[page].splitlines()[2:3] != [way]:
            complaints.append(f"docs/{page}:3: here stands {way}")
    for _, _, target in LINK.findall(texts[f"{name}.zh.md"]):
        page = target.split("#")[0].removesuffix(".md")
        if page != name and (DOCS / f"{page}.zh.md").exists():
            complaints.append(f"docs/{name}.zh.md: {page}.md is there in Chinese, too")
    return complaints


def check_page(name: str) -> list[str]:
    lost = [page for page in (f"{name}.md", f"{name}.zh.md") if not (DOCS / page).exists()]
    if lost:
        return [f"docs/{page} is not there" for page in lost]
    english, chinese = read(f"{name}.md"), read(f"{name}.zh.md")
    return (
        (compare_skeletons(name, english, chinese) or compare_facts(name, english, chinese))
        + check_prose(name, chinese)
        + check_ways(name)
    )


def stamps(name: str) -> list[str]:
    """A line of the lock for each section of the English page."""
    sections = read(f"{name}.md").sections
    sums = [hashlib.sha256(" ".join(section.whole.split()).encode()) for section in sections]
    return [f"{name} {s.hexdigest()[:16]} {section.heading}" for s, section in zip(sums, sections)]


def locked() -> list[str]:
    return LOCK.read_text(encoding="utf-8").splitlines() if LOCK.exists() else []


def check_age(name: str) -> list[str]:
    known = locked()
    return [
        f"docs/{name}.md, {line.split(' ', 2)[2]}: changed since it was translated; bring"
        f" docs/{name}.zh.md up to date, then run docs/translated.py --stamp {name}"
        for line in (stamps(name) if (DOCS / f"{name}.md").exists() else [])
        if line not in known
    ]


def main() -> None:
    pages = [*DOCS.glob("[0-9]_*.md"), *DOCS.glob("*.zh.md")]
    every = sorted({page.name.removesuffix(".md").removesuffix(".zh") for page in pages})
    stamping = sys.argv[1:2] == ["--stamp"]
    names = sys.argv[2:] if stamping else every
    if not names or (sys.argv[1:] and not stamping):
        raise SystemExit(__doc__)
    complaints = [complaint for name in names for complaint in check_page(name)]
    if stamping and not complaints:
        kept = [line for line in locked() if line.split()[0] not in names]
        new = [line for name in names for line in stamps(name)]
        lines = sorted(kept + new, key=lambda line: line.split()[0])
        LOCK.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif not stamping:
        complaints += [complaint for name in names for complaint in check_age(name)]
    for complaint in complaints:
        print(f"translated: {complaint}", file=sys.stderr)
    sys.exit(1 if complaints else 0)


main()
