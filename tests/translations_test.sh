#!/bin/bash
# The Chinese chapters are those of today's English ones; and docs/translated.py does find what it
# is for: each way in which a page falls behind, made in two small pages, must fail with a line
# that names it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

"$root/docs/translated.py"
echo "ok: the chapters"

mkdir "$trial/docs"
cp "$root/docs/translated.py" "$trial/docs"
cd "$trial/docs"
english=1_page.md
chinese=1_page.zh.md

good_pages() {
  cat >$english <<'PAGE'
# 1. A page

[中文](1_page.zh.md)

Two cards hold 64 samples, says [the next page](2_next.md). A step takes `--steps 3`.

## Predict

<a id="bytes"></a>

1. How many bytes move between the cards in one step?
2. Which way do they move?

```sh
build/bin/ddp --steps 3
build/bin/ddp --steps 4
```

<!-- generated: said build/bin/ddp -->
Loss 0.5
<!-- end -->

![A step's time](pictures/step.svg)

    rank = node_rank * gpus

## Read on

- Somebody, *Some Paper About Something That Has a Long Title*, 2020.
PAGE
  cat >$chinese <<'PAGE'
# 1. 一页

[English](1_page.md)

两张卡上有 64 个样本，[下一页](2_next.zh.md)这样说。一步用 `--steps 3`。

## 预测

<a id="bytes"></a>

1. 一步里有多少字节在卡之间搬动？
2. 它们往哪个方向搬？

```sh
build/bin/ddp --steps 3
build/bin/ddp --steps 4
```

<!-- generated: said build/bin/ddp -->
Loss 0.5
<!-- end -->

![一步的时间](pictures/step.svg)

    rank = node_rank * gpus

## 延伸阅读

- 某人的 *Some Paper About Something That Has a Long Title*，2020。
PAGE
  printf '# 2. Next\n\n[中文](2_next.zh.md)\n' >2_next.md
  printf '# 2. 下一页\n\n[English](2_next.md)\n' >2_next.zh.md
  [ ! -e good.lock ] || cp good.lock translations.lock
}

# expect_failure "words of the message": and of nothing else, where there is one difference.
expect_failure() {
  local output status=0
  output=$(./translated.py 2>&1) || status=$?
  [ $status -eq 1 ] || fail "status $status, not 1, where '$1' was expected: $output"
  grep -qF -- "$1" <<<"$output" || fail "no '$1' in: $output"
  [ "$(wc -l <<<"$output")" -eq 1 ] || fail "more than '$1' in: $output"
  echo "ok: $1"
}

# changed FILE SED-SCRIPT: good pages but for this, which does change the file.
changed() {
  good_pages
  cp "$1" before
  sed -i "$2" "$1"
  ! cmp -s "$1" before || fail "sed '$2' changes nothing in $1"
}

good_pages
./translated.py --stamp 1_page 2_next
./translated.py
cp translations.lock good.lock

changed $chinese '/^## 延伸/d'
expect_failure "1_page.zh.md: nothing more, where docs/1_page.md:27 has heading ##"
changed $chinese 's/^## 延伸/### 延伸/'
expect_failure "1_page.zh.md:27: heading ###, where docs/1_page.md:27 has heading ##"
changed $chinese 's/^build.*4$/build\/bin\/ddp --steps 5/'
expect_failure "1_page.zh.md:14: other lines, where docs/1_page.md:14 has code block"
changed $chinese 's/node_rank \* gpus/nodes * gpus/'
expect_failure "has code block     rank = node_rank * gpus"
changed $chinese '/^```sh/,/^```$/d'
expect_failure "generated block <!-- generated: said build/bin/ddp -->, where docs/1_page.md:14 has code block"
changed $chinese '/generated: said/,/end/d'
expect_failure "has generated block <!-- generated: said build/bin/ddp -->"
changed $chinese 's/pictures\/step/pictures\/other/'
expect_failure "picture pictures/other.svg, where docs/1_page.md:23 has picture pictures/step.svg"
changed $chinese 's/<a id="bytes">/<a id="字节">/'
expect_failure "has anchor bytes"
changed $chinese 's/\[下一页\](.*)这/下一页这/'
expect_failure "1. 一页: the link 2_next.md is missing"
changed $chinese 's/2_next.zh.md/2_next.md/'
expect_failure "2_next.md is there in Chinese, too"
changed $chinese 's/`--steps 3`/几步/'
expect_failure "1. 一页: the code word --steps 3 is missing"
changed $chinese 's/方向搬/方向搬 8 个/'
expect_failure "预测: the number 8 is not in the English"
changed $chinese 's/^1\. .*/1. How many bytes move between the cards?/'
expect_failure "not translated: 1. How many bytes move"
changed $chinese 's/两张卡上有 64 个样本，/&Two cards hold as many samples as this. /'
expect_failure "not translated: 两张卡上有"
changed $chinese 's/^## 预测/## Predict/'
expect_failure "not translated: ## Predict"
changed $chinese 's/有多少字节/&\n/'
expect_failure "put this paragraph on one line: 1. 一步里"
changed $chinese 's/^\[English\]/\n&/'
expect_failure "1_page.zh.md:3: here stands [English](1_page.md)"
changed $english 's/^\[中文\].*/[中文](2_next.zh.md)/'
output=$(./translated.py 2>&1) && fail "a way to another page was not seen"
grep -qF "1_page.md:3: here stands [中文](1_page.zh.md)" <<<"$output" || fail "the way is not in: $output"

good_pages
rm 2_next.zh.md
output=$(./translated.py 2>&1) && fail "a chapter without its Chinese page was not seen"
grep -qF "docs/2_next.zh.md is not there" <<<"$output" || fail "the page is not in: $output"

changed $english 's/Which way/Where/'
expect_failure "docs/1_page.md, Predict: changed since it was translated; bring docs/1_page.zh.md up to date"
./translated.py --stamp 1_page
./translated.py
# What a reader is shown is not another for it.
changed $english 's/^Two cards hold/Two cards\nhold/'
./translated.py
good_pages
sed -i 's/^Loss 0.5/Loss 0.4/' $english $chinese
./translated.py
# A page that differs is not stamped.
changed $chinese 's/64/65/'
rm translations.lock
./translated.py --stamp 1_page 2>/dev/null && fail "a page that differs was stamped"
[ ! -e translations.lock ] || fail "a page that differs is in the lock"
echo "ok: stamps"
