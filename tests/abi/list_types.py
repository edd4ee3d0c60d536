# SPDX-License-Identifier: MIT
"""Lists the types that a C unit declares. Runs inside gdb, on an image with DWARF:

    gdb -batch -nx -ex 'source tests/abi/list_types.py' IMAGE

The unit holds a variable `abi_anchor`: its symbol table is what gets listed. Prints a JSON object:

    records    {name: [[path, is_bit_field], ...]}
    constants  enumerators
    typedefs   {name: is_integer}

A record is named by a typedef where it has one (that is what drivers write), by "struct tag" where
not. A path is what C's offsetof takes: members of unnamed members count as members, members of a
member whose type has no name of its own are listed too (u.LowPart, Parameters.Read.Key).
"""
import json

import gdb

RECORDS = (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)
INTEGERS = (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR, gdb.TYPE_CODE_BOOL)


def fields_of(record, prefix=""):
    """Yields (path, is_bit_field) of every field of a record, unnamed and nested ones opened."""
    for field in record.fields():
        inner = field.type
        while inner.code == gdb.TYPE_CODE_ARRAY:
            inner = inner.target()
        if not field.name:
            yield from fields_of(inner, prefix)
            continue
        path = prefix + field.name
        yield path, bool(field.bitsize)
        if inner.code in RECORDS and not inner.name:
            element = "[0]" if field.type.code == gdb.TYPE_CODE_ARRAY else ""
            yield from fields_of(inner, path + element + ".")


def plain(symbol):
    """The type a typedef stands for, qualifiers and further typedefs removed."""
    return symbol.type.strip_typedefs().unqualified()


def keyword(record):
    """"struct" or "union"."""
    return "struct" if record.code == gdb.TYPE_CODE_STRUCT else "union"


def main():
    """Prints what is described above."""
    symbols = list(gdb.lookup_global_symbol("abi_anchor").symtab.static_block())
    symbols += list(gdb.lookup_global_symbol("abi_anchor").symtab.global_block())
    named = [s for s in symbols if s.addr_class == gdb.SYMBOL_LOC_TYPEDEF]
    records, typedefs, seen = {}, {}, set()
    for symbol in sorted(named, key=lambda s: (s.type.code != gdb.TYPE_CODE_TYPEDEF, s.name)):
        record = plain(symbol)
        is_typedef = symbol.type.code == gdb.TYPE_CODE_TYPEDEF
        if is_typedef:
            typedefs[symbol.name] = record.code in INTEGERS
        if record.code not in RECORDS or not record.fields():
            continue
        identity = record.name or symbol.name
        if identity in seen and not is_typedef:
            continue
        seen.add(identity)
        name = symbol.name if is_typedef else keyword(record) + " " + symbol.name
        records[name] = list(fields_of(record))
    constants = sorted(s.name for s in symbols if s.addr_class == gdb.SYMBOL_LOC_CONST)
    print(json.dumps({"records": records, "constants": constants, "typedefs": typedefs}))


main()
