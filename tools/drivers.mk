# SPDX-License-Identifier: MIT
# Drivers: built as a stranger builds his, by mingw-w64 against its own DDK headers.
#
#   drivers/NAME/*.c    ->  build/drivers/ARCH/NAME.sys     what we ship
#   tests/guest/NAME.c  ->  build/tests/ARCH/NAME.sys       test drivers; guest.h is shared by them
#   bench/guest/NAME.c  ->  build/bench/ARCH/NAME.sys       what measures
#   tests/guest/broken/NAME.c -> build/broken/ARCH/NAME.sys drivers that break one rule each
#   tests/guest/debug/NAME.c  -> build/debug/ARCH/NAME.sys  drivers for gdb to look at
#   tests/guest/pool/NAME.c   -> build/pool/ARCH/NAME.sys   drivers that their file's name tells what to do
#
# drivers/include holds what mingw-w64's headers lack (the newer pool interface). The image base is
# given because ld otherwise derives one from the file's name, and the time stamp is left out: the
# same sources give the same bytes.

mingw_amd64 := x86_64-w64-mingw32-
mingw_i386  := i686-w64-mingw32-
entry_amd64 := DriverEntry
entry_i386  := _DriverEntry@8

DDK_CFLAGS  := -std=gnu11 -O2 -g -Wall -Wextra -Wno-multichar -ffreestanding \
               -Idrivers/include -ffile-prefix-map=$(CURDIR)/= -MMD -MP
# GCC takes a fixed low address, and fs or gs, for an array of size 0 otherwise.
DDK_GCC     := --param=min-pagesize=0
DDK_LDFLAGS := -nostdlib -Wl,--subsystem,native,--image-base,0x10000,--no-insert-timestamp
DDK_LIBS    := -lntoskrnl -lhal -lgcc

driver_names := $(patsubst drivers/%/,%,$(sort $(dir $(wildcard drivers/*/*.c))))
guest_names  := $(patsubst tests/guest/%.c,%,$(wildcard tests/guest/*.c))
broken_names := $(patsubst tests/guest/broken/%.c,%,$(wildcard tests/guest/broken/*.c))
debug_names  := $(patsubst tests/guest/debug/%.c,%,$(wildcard tests/guest/debug/*.c))
pool_names   := $(patsubst tests/guest/pool/%.c,%,$(wildcard tests/guest/pool/*.c))
bench_names  := $(patsubst bench/guest/%.c,%,$(wildcard bench/guest/*.c))

# ddk_compile ARCH, more options: compiles $< to $@
ddk_compile = @mkdir -p $(@D); \
	$(mingw_$(1))gcc $(DDK_CFLAGS) $(DDK_GCC) -I/usr/$(mingw_$(1):%-=%)/include/ddk $(2) -c $< -o $@
# Reading <ntddk.h> is most of a small driver's compilation. Those that begin with it are given it
# compiled, except where they ask it for another version: GCC takes ntddk.h.gch for the file beside it.
ddk_first = build/ddk/$(1)/ntddk.h
ddk_other := $(notdir $(shell grep -l '^.define NTDDI_VERSION' tests/guest/*.c tests/guest/*/*.c bench/guest/*.c))
# ddk_link ARCH: links the objects and libraries among $^ to $@
ddk_link = @mkdir -p $(@D); \
	$(mingw_$(1))gcc $(DDK_LDFLAGS) -Wl,--entry,$(entry_$(1)) $(filter %.o %.a,$^) -o $@ $(DDK_LIBS)

# Imports that mingw-w64's libntoskrnl lacks.
build/drivers/i386/liblkddk.a: drivers/include/lkddk.def
	@mkdir -p $(@D); $(mingw_i386)dlltool --kill-at -d $< -l $@
build/drivers/amd64/liblkddk.a: drivers/include/lkddk.def
	@mkdir -p $(@D); sed 's/@[0-9]*$$//; s/^@//' $< > $(@D)/lkddk.def; \
	$(mingw_amd64)dlltool -d $(@D)/lkddk.def -l $@
# Some imports that nobody exports; the library only has to let them link.
build/broken/%/libmissing.a: tests/guest/broken/missing_%.def
	@mkdir -p $(@D); $(mingw_$*)dlltool --kill-at -d $< -l $@

# kind_rules ARCH, KIND, SOURCES: one .c file a driver, build/KIND/ARCH/NAME.sys
define kind_rules
build/$(2)/$(1)/obj/%.o: $(3)/%.c tools/drivers.mk $(ddk_first).gch
	$$(call ddk_compile,$(1),$$(if $$(filter $(ddk_other),$$*.c),,-include $(ddk_first)))
build/$(2)/$(1)/%.sys: build/$(2)/$(1)/obj/%.o build/drivers/$(1)/liblkddk.a
	$$(call ddk_link,$(1))
endef

define arch_rules
$(ddk_first): tools/drivers.mk
	@mkdir -p $$(@D); echo '#include <ntddk.h>' > $$@
$(ddk_first).gch: $(ddk_first)
	$$(call ddk_compile,$(1),-x c-header)
build/drivers/$(1)/obj/%.o: drivers/%.c tools/drivers.mk
	$$(call ddk_compile,$(1))
$(broken_names:%=build/broken/$(1)/%.sys): build/broken/$(1)/libmissing.a
build/tests/$(1)/lowalign.sys: DDK_LDFLAGS += -Wl,--section-alignment,0x80,--file-alignment,0x80
drivers-$(1): $(driver_names:%=build/drivers/$(1)/%.sys)
guest-$(1): $(guest_names:%=build/tests/$(1)/%.sys) $(broken_names:%=build/broken/$(1)/%.sys) \
    $(debug_names:%=build/debug/$(1)/%.sys) $(pool_names:%=build/pool/$(1)/%.sys)
bench-$(1): $(bench_names:%=build/bench/$(1)/%.sys)
endef

define driver_rules
build/drivers/$(2)/$(1).sys: build/drivers/$(2)/liblkddk.a \
    $(patsubst drivers/%.c,build/drivers/$(2)/obj/%.o,$(wildcard drivers/$(1)/*.c))
	$$(call ddk_link,$(2))
endef

$(foreach a,amd64 i386,\
    $(eval $(call arch_rules,$(a)))\
    $(eval $(call kind_rules,$(a),tests,tests/guest))\
    $(eval $(call kind_rules,$(a),broken,tests/guest/broken))\
    $(eval $(call kind_rules,$(a),debug,tests/guest/debug))\
    $(eval $(call kind_rules,$(a),pool,tests/guest/pool))\
    $(eval $(call kind_rules,$(a),bench,bench/guest))\
    $(foreach d,$(driver_names),$(eval $(call driver_rules,$(d),$(a)))))

# Tests that use __try, which GCC does not know: compiled by clang 19 or later where there is one. On
# i386 only its msvc target has it; link.exe would drop .sxdata, a table of safe handlers.
CLANG := $(firstword $(foreach c,clang-21 clang-20 clang-19,$(shell command -v $(c))))
clang_names := $(if $(CLANG),$(patsubst tests/guest/clang/%.c,%,$(wildcard tests/guest/clang/*.c)))
clang_amd64 := --target=x86_64-w64-windows-gnu -Xclang -fasync-exceptions -funwind-tables
# mingw-w64's headers include some of clang's that it calls deprecated.
hash        := \#
clang_quiet := "-Wno-$(hash)warnings"
clang_i386  := --target=i686-pc-windows-msvc -fgnuc-version=12.0 -U_MSC_VER -D_X86_ -D__i386__ \
               -D_ALLOCA_S_MARKER_SIZE=8 -gdwarf
define clang_rules
build/clang/$(1)/obj/%.o: tests/guest/clang/%.c tests/guest/guest.h tools/drivers.mk
	@mkdir -p $$(@D); $(CLANG) $(clang_$(1)) -fms-extensions $$(clang_quiet) $(filter-out -MMD -MP,$(DDK_CFLAGS)) \
	    -isystem /usr/$(mingw_$(1):%-=%)/include/ddk \
	    -isystem /usr/$(mingw_$(1):%-=%)/include -c $$< -o $$@
	@$(mingw_$(1))objcopy -R .sxdata $$@
build/clang/$(1)/%.sys: build/clang/$(1)/obj/%.o build/drivers/$(1)/liblkddk.a
	$$(call ddk_link,$(1))
guest-$(1): $(clang_names:%=build/clang/$(1)/%.sys)
endef
$(foreach a,amd64 i386,$(eval $(call clang_rules,$(a))))

# The soak test, for minutes instead of operations.
build/soak/%/obj/soak.o: tests/guest/soak.c tests/guest/guest.h tests/guest/crew.h tools/drivers.mk
	$(call ddk_compile,$*)
build/soak/%/obj/soak.o: DDK_CFLAGS += -DSOAK_MINUTES=$(SOAK_MINUTES)
build/soak/%/soak.sys: build/soak/%/obj/soak.o build/drivers/%/liblkddk.a
	$(call ddk_link,$*)

.PHONY: drivers guest bench-drivers
.PHONY: drivers-amd64 drivers-i386 guest-amd64 guest-i386 bench-amd64 bench-i386
drivers: drivers-amd64 drivers-i386
guest: guest-amd64 guest-i386
bench-drivers: bench-amd64 bench-i386

-include $(wildcard build/ddk/*/*.d build/drivers/*/obj/*/*.d build/tests/*/obj/*.d build/broken/*/obj/*.d build/pool/*/obj/*.d)
