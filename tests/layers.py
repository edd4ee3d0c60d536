#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Components call downwards only (design, section 4): one line a breach, exit status 1 if any.

    rtl, hal < ke < mm < ex, ob < ps, io, ldr < drivers        kd stands beside and reads everything

Two things are looked at. What a source includes: the public header of its own layer or a lower one,
and of private headers only its own component's. And what an object really refers to: a symbol that
another component defines must come from the same layer or a lower one. The second needs a build and
is skipped where there is none. `boot` hands over to the kernel and calls nothing in it, and
kernel/*.c (the list of start-up phases) may call everything.

What every component may use whatever its layer: kd's DbgPrint and log, and ke's bugcheck, which are
how anything reports that it is broken.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {"rtl": 0, "hal": 0, "ke": 1, "mm": 2, "ex": 3, "ob": 3, "ps": 4, "io": 4, "ldr": 4}
REPORTING = re.compile(r"^(Kd|v?DbgPrint|KeBugCheck|KiBugCheck|KeRegisterBugCheck|__ubsan)")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def component_of(path: Path) -> str:
    """The component a source or object belongs to, "" for what stands outside the layers."""
    parts = path.parts
    for index, part in enumerate(parts):
        if part == "kernel" and len(parts) > index + 2:
            return parts[index + 1]
        if part == "mm":
            return "mm"
    return ""


def allowed(user: str, used: str) -> bool:
    """Whether component `user` may call `used`."""
    if user == used or used not in LAYERS or user not in LAYERS:
        return True
    return LAYERS[used] <= LAYERS[user]


def owners_of_private_headers() -> dict:
    """Private headers by file name, with the component whose folder holds them."""
    return {header.name: component_of(header.relative_to(ROOT))
            for folder in ("kernel", "mm") for header in (ROOT / folder).rglob("*.h")}


def include_breaches():
    """Yields breaches found in #include lines."""
    private = owners_of_private_headers()
    for folder in ("kernel", "mm"):
        for source in sorted((ROOT / folder).rglob("*.[chS]")):
            name = source.relative_to(ROOT)
            user = component_of(name)
            for number, line in enumerate(source.read_text(errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                if not match or not user:
                    continue
                header = Path(match.group(1)).name
                owner = private.get(header)
                stem = Path(header).stem
                if owner and owner != user and user != "kd":
                    yield "%s:%d: %s is private to %s" % (name, number, header, owner)
                elif stem in LAYERS and not owner and not allowed(user, stem):
                    yield "%s:%d: %s includes %s, which stands above it" % (
                        name, number, user, header)


def symbols(objects: list) -> dict:
    """(defined, undefined) global symbols of each object file."""
    tables = {str(obj): (set(), set()) for obj in objects}
    done = subprocess.run(["nm", "-A", "-g", *tables], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        obj, rest = line.split(":", 1)
        fields = rest.split()
        tables[obj][fields[-2] in "Uw"].add(fields[-1])
    return tables


def plain(symbol: str) -> str:
    """A symbol without i386's stdcall and fastcall decoration."""
    return re.sub(r"@\d+$", "", symbol).lstrip("@")


def symbol_breaches(built: Path):
    """Yields breaches found in one build's object files."""
    components = {obj: component_of(obj.relative_to(built)) for obj in sorted(built.rglob("*.o"))}
    tables = symbols([obj for obj, component in components.items() if component])
    owner = {symbol: components[Path(obj)] for obj, (defined, _) in tables.items()
             for symbol in defined}
    for obj, (_, undefined) in tables.items():
        user = components[Path(obj)]
        for symbol in sorted(undefined):
            used = owner.get(symbol, "")
            if not allowed(user, used) and not REPORTING.match(plain(symbol)):
                yield "%s: %s calls %s of %s, which stands above it" % (
                    Path(obj).relative_to(ROOT), user, plain(symbol), used)


def main() -> int:
    """Checks sources, and the free build of each architecture that exists."""
    found = list(include_breaches())
    for arch in ("amd64", "i386"):
        built = ROOT / "build" / arch / "free"
        if built.is_dir():
            found += symbol_breaches(built)
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
