#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints casetable.h: which characters of the basic plane are each other's capital and small form.

A pair counts only when each maps to the other alone, so that raising and lowering undo each other
(the dotless i, the long s and the Kelvin sign stay what they are, as on NT). Runs of pairs with one
distance, next to each other or every second one, become one row.
"""
import unicodedata


def pairs():
    """(small, capital) for all pairs, ascending by the small one."""
    for code in range(0x10000):
        small = chr(code)
        capital = small.upper()
        if len(capital) != 1 or capital == small or capital.lower() != small:
            continue
        if ord(capital) < 0x10000:
            yield code, ord(capital)


def runs(mapping):
    """Joins (from, to) pairs into [first, last, step, distance]."""
    rows = []
    for source, target in mapping:
        distance = target - source
        if rows:
            first, last, step, same = rows[-1]
            gap = source - last
            if same == distance and gap in (1, 2) and (first == last or gap == step):
                rows[-1] = [first, source, gap, distance]
                continue
        rows.append([source, source, 1, distance])
    return rows


def table(name, mapping):
    """One table as C."""
    print("static const RTLP_CASE_RUN %s[] = {" % name)
    for first, last, step, distance in runs(mapping):
        print("    {0x%04X, 0x%04X, %d, %d}," % (first, last, step, distance))
    print("};")


def main():
    """The header."""
    print("// SPDX-License-Identifier: MIT")
    print("// Made by casetable.py from the Unicode character database %s."
          % unicodedata.unidata_version)
    print("#pragma once\n")
    print("// Every Step-th character from First to Last maps to the one Distance away.")
    print("typedef struct _RTLP_CASE_RUN {\n    WCHAR First, Last;\n    USHORT Step;\n"
          "    LONG Distance;\n} RTLP_CASE_RUN;\n")
    known = sorted(pairs())
    table("RtlpToCapital", known)
    print()
    table("RtlpToSmall", sorted((capital, small) for small, capital in known))


main()
