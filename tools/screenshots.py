"""Takes pictures of every page of the documentation in a browser, and compares them with those taken before.

    make docs-pictures                                        into build/pictures
    python tools/screenshots.py --before build/pictures.old   compares with an earlier folder, too
    python tools/screenshots.py --only reference/sockets      some pages alone

Each page is looked at as wide as a desktop's window and as a telephone. A page that can be scrolled sideways is an
error: it names what sticks out. `differences.html` in the folder shows old and new beside each other.
It wants chromium; CHROMIUM names another one.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from html import escape, unescape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "_build" / "html"
WIDTHS = (1280, 390)
HIGHEST = 12_000  # pixels; of what is longer the rest is left out
LEFT_OUT = re.compile(r"(^|/)(search|genindex|py-modindex)\.html$")

# Loads each page in a frame of one width after the other, and tells how high it is and what sticks out of it.
PROBE = """<!DOCTYPE html><meta charset="utf-8"><iframe id="frame" style="border:0;height:900px"></iframe><script>
const found = [], frame = document.getElementById("frame");
function sticking(page, width) {
  const inside = element => {
    for (let up = element.parentElement; up; up = up.parentElement)
      if (["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX) && up !== page.body) return true;
    return false;
  };
  return [...page.body.querySelectorAll("*")]
    .filter(each => each.getBoundingClientRect().right > width + 1 && !inside(each))
    .slice(0, 5).map(each => each.tagName.toLowerCase() + ": " + each.textContent.trim().slice(0, 60));
}
async function look() {
  for (const width of WIDTHS) {
    frame.style.width = width + "px";
    for (const page of PAGES) {
      await new Promise(done => { frame.onload = done; frame.src = page; });
      const it = frame.contentDocument;
      found.push({page, width, height: it.documentElement.scrollHeight, wide: it.documentElement.scrollWidth,
                  sticking: it.documentElement.scrollWidth > width ? sticking(it, width) : []});
    }
  }
  const told = document.createElement("pre"); told.id = "told";
  told.textContent = JSON.stringify(found); document.body.append(told);
}
look();
</script>"""


class Look(NamedTuple):
    """What a page is like in one width."""

    page: str
    width: int
    height: int
    wide: int
    sticking: list[str]

    @property
    def picture(self) -> str:
        return f"{self.page.removesuffix('.html').replace('/', '.')}.{self.width}.png"


class Browser:
    """Chromium without a window."""

    def __init__(self, program: str) -> None:
        self.program = program

    def run(self, url: str, *options: str) -> str:
        with tempfile.TemporaryDirectory() as profile:
            command = [self.program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            command += [f"--user-data-dir={profile}", "--force-device-scale-factor=1", *options, url]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=600)
        return done.stdout.decode()

    def look(self, address: str, pages: list[str]) -> list[Look]:
        told = self.run(f"{address}/probe.html", "--dump-dom", "--virtual-time-budget=600000", "--timeout=600000")
        found = re.search(r'<pre id="told">(.*?)</pre>', told, re.DOTALL)
        if found is None:
            sys.exit("screenshots: the browser did not get to the end of the pages")
        return [Look(**each) for each in json.loads(unescape(found[1]))]

    def take(self, address: str, look: Look, folder: Path) -> None:
        # A window is not as narrow as a telephone; a frame in it is.
        height = min(look.height, HIGHEST)
        self.run(
            f"{address}/frame.html?{look.width}&{height}&{look.page}",
            f"--screenshot={folder / look.picture}",
            f"--window-size={max(look.width, 500)},{height}",
            "--virtual-time-budget=5000",
        )


FRAME = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><script>
const [width, height, page] = location.search.slice(1).split("&");
document.body.innerHTML = `<iframe style="border:0" width="${width}" height="${height}" src="${page}"></iframe>`;
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the pages, and the two that look at them."""

    probe = PROBE

    def do_GET(self) -> None:
        own = {"/probe.html": self.probe, "/frame.html": FRAME}.get(self.path.partition("?")[0])
        if own is None:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(own.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def compare(before: Path, after: Path) -> list[str]:
    """The pictures that are new, gone or different; they stand beside each other in a page."""
    names = sorted({path.name for folder in (before, after) for path in folder.glob("*.png")})
    different = [
        name
        for name in names
        if not ((before / name).exists() and (after / name).exists())
        or (before / name).read_bytes() != (after / name).read_bytes()
    ]
    rows = [
        f"<h2>{escape(name)}</h2>"
        + "".join(
            f'<img loading="lazy" width="48%" src="{os.path.relpath(folder / name, after)}">'
            for folder in (before, after)
        )
        for name in different
    ]
    (after / "differences.html").write_text(f'<!DOCTYPE html><meta charset="utf-8">{"".join(rows)}')
    return different


def main() -> int:
    parser = argparse.ArgumentParser(description="Pictures of every page of the documentation.")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "pictures")
    parser.add_argument("--before", type=Path, help="an earlier folder to compare with")
    parser.add_argument("--only", default="", help="pages whose names contain this")
    chosen = parser.parse_args()
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("screenshots: no chromium; install one, or name it: CHROMIUM=/usr/bin/chromium")
    pages = sorted(str(path.relative_to(PAGES)) for path in PAGES.rglob("*.html"))
    pages = [page for page in pages if chosen.only in page and not LEFT_OUT.search(page) and "_static" not in page]
    if not pages:
        sys.exit("screenshots: no pages; make docs first")
    shutil.rmtree(chosen.into, ignore_errors=True)
    chosen.into.mkdir(parents=True)
    for name, value in (("WIDTHS", WIDTHS), ("PAGES", pages)):
        Handler.probe = Handler.probe.replace(f"of {name}", f"of {json.dumps(value)}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(PAGES)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    browser = Browser(program)
    looks = browser.look(address, pages)
    for look in looks:
        browser.take(address, look, chosen.into)
    server.shutdown()
    wide = [look for look in looks if look.wide > look.width]
    for look in wide:
        print(f"{look.page} at {look.width}: {look.wide} pixels wide; {'; '.join(look.sticking)}")
    print(f"{len(looks)} pictures of {len(pages)} pages are in {chosen.into}")
    if chosen.before:
        different = compare(chosen.before, chosen.into)
        print(f"{len(different)} differ from those in {chosen.before}: {', '.join(different) or 'none'}")
    return 1 if wide else 0


if __name__ == "__main__":
    sys.exit(main())
