#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns `nm -n` of the kernel into an assembly file with its table of function names.

The kernel prints its own backtraces, on machines with no debugger near, so it carries the names of
its functions: KiSymbolCount, then sorted offsets from the start of .text with the name's offset.
"""
import sys

# linker.ld's names for where parts begin and end: no functions, but at the same addresses as some.
BOUNDS = ("TextStart", "TextEnd", "InitStart", "InitEnd")


def read_symbols(lines):
    """Returns (base, [(address, name)]) of the text symbols of an `nm -n` listing."""
    text = []
    base = end = None
    for line in lines:
        fields = line.split()
        if len(fields) != 3:
            continue
        address, kind, name = int(fields[0], 16), fields[1], fields[2]
        if name == "KernelTextStart":
            base = address
        elif name == "KernelRodataStart":
            end = address
        elif kind in "tT" and not name.startswith(".") and not name.endswith(BOUNDS):
            text.append((address, name))
    return base, [(a, n) for a, n in text if base is not None and base <= a < end]


def emit(base, symbols):
    """Writes the table as GNU assembler source."""
    print('    .section .symbols, "a"')
    print("    .balign 8\n    .globl KiSymbolCount, KiSymbolTable, KiSymbolNames")
    print(f"KiSymbolCount: .long {len(symbols)}")
    print("KiSymbolTable:")
    offset = 0
    for address, name in symbols:
        print(f"    .long {address - base:#x}, {offset}")
        offset += len(name) + 1
    print("KiSymbolNames:")
    for _, name in symbols:
        print(f'    .asciz "{name}"')
    print('    .byte 0\n    .section .note.GNU-stack, "", @progbits')


if __name__ == "__main__":
    if "--empty" in sys.argv:
        emit(0, [])
    else:
        emit(*read_symbols(sys.stdin))
