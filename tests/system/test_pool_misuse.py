# SPDX-License-Identifier: MIT
"""Every mistake with the pool in a real driver: its bugcheck, its parameters, who did it in words.

tests/host/test_pool_mistakes.c makes all mistakes with all pools, sizes and configurations. Here
each is made on both architectures, one with the free and one with the checked build, with and
without special pool where both can be; pools, sizes and configurations take turns, so that
together the runs see all of them. WHOLE_MATRIX=1 in the environment has every mistake made with
every pool, size and configuration, in both builds, on both architectures: some thousand boots.
"""
import itertools
import os
import re
import shutil

import pytest
from conftest import ARCHES, FLAVOURS, ROOT, driver, flavour_option, lookaside
from test_rules import assert_parameters

SOURCE = (ROOT / "tests" / "guest" / "pool" / "mistakes.h").read_text()
ROW = re.compile(r'^    \{"(\w+)", \w+, ([A-Z_ |]+), ([A-Z_ |]+), "([\w ]*)"\},$', re.M)
POOLS = ("paged", "nx", "execute")
VERIFIED = ("tracked", "verifier")
USUAL = {"plain": [], "tracked": ["--verifier=8"]}
ALONE = {"verifier": ["--verifier"], "overrun": ["--special-pool", "all"],
         "underrun": ["--special-pool", "all,underrun"], "guard": ["--pool-guard", "1"]}


def sizes_of(words):
    """The sizes in a row's words, as the driver names them."""
    return ("small", "page", "large") if "EVERY" in words else words.lower().split(" | ")


def scenes(sizes, where):
    """All sizes and configurations that a mistake can be made in, the usual ones first."""
    usual = [(size, watch) for watch in USUAL for size in sizes] if {"USUAL", "EITHER"} & where \
        else []
    alone = [("small", watch) for watch in ALONE
             if not (watch == "underrun" and "AT_END" in where)] if {"ALONE", "EITHER"} & where \
        else []
    if "VERIFIED" in where:
        usual, alone = ([scene for scene in some if scene[1] in VERIFIED]
                        for some in (usual, alone))
    return usual, alone


def whole_matrix():
    """Everything that is possible."""
    for name, sizes, where, named in ROW.findall(SOURCE):
        where = set(where.split(" | "))
        flavours = ["checked"] if "CHECKED" in where else FLAVOURS
        choices = itertools.chain(*scenes(sizes_of(sizes), where))
        for (size, watch), pool, arch, flavour in itertools.product(choices, POOLS, ARCHES,
                                                                    flavours):
            case = "-".join((name, pool, size, watch))
            yield pytest.param(case, watch, named.split(), arch, flavour,
                               id="-".join((case, arch, flavour)))


def turns():
    """One scene with and one without special pool for each mistake and architecture."""
    for row, (name, sizes, where, named) in enumerate(ROW.findall(SOURCE)):
        where = set(where.split(" | "))
        for turn, arch in enumerate(ARCHES):
            for alone, choices in enumerate(scenes(sizes_of(sizes), where)):
                if not choices:
                    continue
                size, watch = choices[(row + turn) % len(choices)]
                flavour = "checked" if "CHECKED" in where else FLAVOURS[(row + turn + alone) % 2]
                case = "-".join((name, POOLS[(row + turn) % 3], size, watch))
                yield pytest.param(case, watch, named.split(), arch, flavour,
                                   id="-".join((case, arch, flavour)))


def cases():
    """What is run."""
    return whole_matrix() if os.environ.get("WHOLE_MATRIX") else turns()


def test_the_table_was_read():
    table = SOURCE[SOURCE.index("Mistakes[] = {"):].split("};")[0]
    assert len(ROW.findall(SOURCE)) == table.count("{\"") > 20, "a row looks otherwise"


@pytest.mark.parametrize("case, watch, named, arch, flavour", cases())
def test_a_mistake_is_told_in_words(case, watch, named, arch, flavour, tmp_path):
    mistaken = tmp_path / (case + ".sys")
    shutil.copyfile(driver(arch, "misuse", "pool"), mistaken)
    options = {**USUAL, **ALONE}[watch] + flavour_option(flavour)
    run = lookaside("run", mistaken, *options)
    assert run.status == 3, run.tail()
    assert_parameters(run, mistaken.name)
    sentence = re.search(r"^\*\*\* ([A-Z][a-z].*|.*\.sys.*)$", run.out, re.M)
    assert sentence, "no sentence\n" + run.tail()
    for routine in named:
        assert re.search(r"\.sys\+0x\w+ %s\+0x" % routine, sentence.group(1)), \
            "the report does not name %s\n%s" % (routine, run.tail())
    if watch in ("tracked", "verifier") and "Allocates" in named and "Frees" in named:
        assert re.search(r"pool: +\S+\.sys\+0x\w+ Allocates", run.out), run.tail()
