# SPDX-License-Identifier: MIT
# Host tests: the kernel's own sources compiled natively, with the address and undefined-behaviour
# sanitizers.
#
# A test names what it is linked with in its first lines, so that adding one needs no change here:
#
#   // Links: mm/pool.c kernel/rtl/list.c tests/host/fake_hal.c
#
#   tests/host/test_NAME.c  ->  build/host/test_NAME    cmocka
#   tests/host/fuzz_NAME.c  ->  build/host/fuzz_NAME    LLVMFuzzerTestOneInput; seeds: tests/host/seeds/NAME/
#
# tests/host/include comes first on the include path: its headers stand in for those that reach the
# processor (CR8, cli, page-table access).

HOSTCC    ?= gcc
FUZZCC    ?= clang
HOST_CFLAGS := -std=gnu11 -O1 -g -DLOOKASIDE_HOST -DDBG=1 -D_AMD64_ -fshort-wchar -mms-bitfields -mcx16 \
               -fno-strict-aliasing -fno-omit-frame-pointer $(WARN) \
               -Itests/host/include -Itests/host -Iinclude -Iinclude/amd64 -I.
HOST_SAN  := -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_SAN  := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined

host_tests := $(patsubst tests/host/%.c,build/host/%,$(wildcard tests/host/test_*.c))
host_fuzz  := $(patsubst tests/host/%.c,build/host/%,$(wildcard tests/host/fuzz_*.c))
host_headers := $(wildcard boot/*.h include/*.h include/*/*.h mm/*.h kernel/*/*.h tests/host/*.h \
                tests/host/include/*.h tests/host/include/*/*.h)

# host_rule NAME, compiler, sanitizers, libraries: what the "Links:" line names is linked in.
define host_rule
build/host/$(1): tests/host/$(1).c $(shell sed -n 's|^// Links:||p' tests/host/$(1).c) $(host_headers)
	@mkdir -p $$(@D)
	$(2) $(HOST_CFLAGS) $$($(3)) $$(filter %.c %.S,$$^) -o $$@ $(4)
endef
$(foreach t,$(host_tests:build/host/%=%),$(eval $(call host_rule,$(t),$$(HOSTCC),HOST_SAN,-lcmocka)))
$(foreach t,$(host_fuzz:build/host/%=%),$(eval $(call host_rule,$(t),$$(FUZZCC),FUZZ_SAN)))

.PHONY: host
host: $(host_tests) $(host_fuzz)
