"""Draws finished chart specifications, and bundles the page's script.

Usage: render.py FOLDER SCRIPT...

For every FOLDER/NAME.vl.json writes NAME.svg and NAME.png beside it, for every
NAME.page.json NAME.page.svg, the page's picture. Writes script.js (Vega, Vega-Lite,
Vega-Embed and the scripts, in one function; nothing fetched) and script.sha256, by which
the page allows this one script and no other.
It computes no figure: the data is in the specifications.
"""

import base64
import ctypes
import hashlib
import os
import pathlib
import signal
import sys

import vl_convert

# The version whose schema the specifications name (v6); page and pictures use the same one.
VEGA_LITE = "6.4"


def libraries() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script. Bundling takes as long as all pictures do, and
    gives the same each time: it is kept in the user's cache folder."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    kept = cache / "lockstep" / f"vega-{VEGA_LITE}-{vl_convert.__version__}.js"
    try:
        return kept.read_bytes().decode("utf-8")
    except OSError:
        pass
    script = vl_convert.javascript_bundle(vl_version=VEGA_LITE)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Without a name until it is whole: whoever is killed leaves nothing.
        file = os.open(kept.parent, os.O_TMPFILE | os.O_WRONLY, 0o644)
        pathlib.Path(f"/proc/self/fd/{file}").write_bytes(script.encode("utf-8"))
        opened = os.open("/proc/self/fd", os.O_RDONLY)
        os.link(str(file), kept, src_dir_fd=opened, follow_symlinks=True)
    except OSError:
        pass  # it cannot be kept there, or another one was quicker
    return script


def main() -> None:
    # Nobody waits for the pictures once `report` has gone (prctl's PR_SET_PDEATHSIG).
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    folder = pathlib.Path(sys.argv[1])
    for path in sorted(folder.glob("*.vl.json")):
        spec = path.read_text(encoding="utf-8")
        stem = path.name.removesuffix(".vl.json")
        svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
        (folder / f"{stem}.svg").write_text(svg, encoding="utf-8")
        png = vl_convert.svg_to_png(svg, scale=2)
        (folder / f"{stem}.png").write_bytes(png)
    for path in sorted(folder.glob("*.page.json")):
        svg = vl_convert.vegalite_to_svg(path.read_text(encoding="utf-8"), vl_version=VEGA_LITE)
        path.with_suffix(".svg").write_text(svg, encoding="utf-8")

    own = "".join(pathlib.Path(name).read_text(encoding="utf-8") for name in sys.argv[2:])
    script = libraries()
    script += '\n(function () {\n"use strict";\n' + own + "})();\n"
    # Inside a script element these would end it early; in strings and patterns of the
    # libraries the escaped spelling means the same. An HTML parser turns \r\n into \n before
    # the hash is taken.
    script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    script = script.replace("\r\n", "\n").replace("\r", "\n")
    (folder / "script.js").write_bytes(script.encode("utf-8"))
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest())
    (folder / "script.sha256").write_bytes(digest)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # one line for `report` to pass on
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
