#!/bin/bash
# Links and pictures of pages lead somewhere: to the page's neighbours, or, with a slash in front, to
# the root.
#
#   tests/links.sh ROOT PAGE...
set -euo pipefail
root=$1
shift
for page in "$@"; do
  while IFS= read -r link; do
    case $link in
      http*) continue ;;
      /*) target=$root$link ;;
      *) target=$(dirname "$page")/$link ;;
    esac
    [ -z "${link%%#*}" ] || [ -e "${target%%#*}" ] || { echo "$page: $link leads nowhere" >&2; exit 1; }
  done < <(grep -oE '\]\([^) ]+\)' "$page" | sed -E 's/^\]\((.*)\)$/\1/' | sort -u)
done
