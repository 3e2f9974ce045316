"""A page as a picture for the README: ``python docs/picture.py report.html images/report.png``.

Needs Chromium, playwright and Pillow. The file is made small enough for a README by as many
colours as that takes.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
from pathlib import Path

MOST_BYTES = 200_000


def shot(args: argparse.Namespace) -> bytes:
    """The page's upper part, or the part that begins with an element."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        page = browser.new_page(
            viewport={"width": args.width, "height": args.height},
            color_scheme="dark" if args.dark else "light",
            device_scale_factor=args.scale,
            reduced_motion="reduce",
        )
        page.goto(Path(args.page).resolve().as_uri())
        for selector in args.click:
            page.locator(selector).click()
        if args.at:
            page.locator(args.at).evaluate("e => e.scrollIntoView()")
        page.wait_for_timeout(600)
        made: bytes = page.screenshot()
        browser.close()
    return made


def small(png: bytes) -> bytes:
    """The same with fewer colours, as many as 200 kB allow."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64, 32, 16):
        out = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() < MOST_BYTES:
            return out.getvalue()
    raise SystemExit(f"it has more than {MOST_BYTES} bytes even in 16 colours: use --height")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page")
    parser.add_argument("picture")
    parser.add_argument("--width", type=int, default=1100)
    parser.add_argument("--height", type=int, default=1200)
    parser.add_argument("--scale", type=float, default=1.5)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--at", default="", help="selector of the element at the top")
    parser.add_argument("--click", action="append", default=[], help="selectors to click first")
    args = parser.parse_args()
    Path(args.picture).write_bytes(small(shot(args)))


if __name__ == "__main__":
    main()
