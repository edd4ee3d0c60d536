# SPDX-License-Identifier: MIT
# Drivers: built as a stranger builds his, by mingw-w64 against its own DDK headers.
#
#   drivers/NAME/*.c    ->  build/drivers/ARCH/NAME.sys     what we ship
#   tests/guest/NAME.c  ->  build/tests/ARCH/NAME.sys       test drivers; guest.h is shared by them
#   tests/guest/broken/NAME.c -> build/broken/ARCH/NAME.sys drivers that break one rule each
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
DDK_LDFLAGS := -nostdlib -Wl,--subsystem,native,--image-base,0x10000,--no-insert-timestamp
DDK_LIBS    := -llkddk -lntoskrnl -lhal -lgcc

driver_names := $(patsubst drivers/%/,%,$(sort $(dir $(wildcard drivers/*/*.c))))
guest_names  := $(patsubst tests/guest/%.c,%,$(wildcard tests/guest/*.c))
broken_names := $(patsubst tests/guest/broken/%.c,%,$(wildcard tests/guest/broken/*.c))

# ddk_compile ARCH: compiles $< to $@;  ddk_link ARCH: links the objects among $^ to $@
ddk_compile = @mkdir -p $(@D); $(mingw_$(1))gcc $(DDK_CFLAGS) -I/usr/$(mingw_$(1):%-=%)/include/ddk -c $< -o $@
ddk_link = @mkdir -p $(@D); $(mingw_$(1))gcc $(DDK_LDFLAGS) -Lbuild/drivers/$(1) -Wl,--entry,$(entry_$(1)) $(filter %.o %.a,$^) -o $@ $(DDK_LIBS)

# Imports that mingw-w64's libntoskrnl lacks.
build/drivers/i386/liblkddk.a: drivers/include/lkddk.def
	@mkdir -p $(@D); $(mingw_i386)dlltool --kill-at -d $< -l $@
build/drivers/amd64/liblkddk.a: drivers/include/lkddk.def
	@mkdir -p $(@D); sed 's/@[0-9]*$$//' $< > $(@D)/lkddk.def; $(mingw_amd64)dlltool -d $(@D)/lkddk.def -l $@

define driver_rules
build/drivers/$(2)/$(1).sys: build/drivers/$(2)/liblkddk.a $(patsubst drivers/%.c,build/drivers/$(2)/obj/%.o,$(wildcard drivers/$(1)/*.c))
	$$(call ddk_link,$(2))
endef

define ddk_rules
build/drivers/$(1)/obj/%.o: drivers/%.c tools/drivers.mk
	$$(call ddk_compile,$(1))
build/tests/$(1)/obj/%.o: tests/guest/%.c tools/drivers.mk
	$$(call ddk_compile,$(1))
build/tests/$(1)/%.sys: build/tests/$(1)/obj/%.o build/drivers/$(1)/liblkddk.a
	$$(call ddk_link,$(1))
drivers-$(1): $(driver_names:%=build/drivers/$(1)/%.sys)
guest-$(1): $(guest_names:%=build/tests/$(1)/%.sys)
# Some import routines that nobody exports; the library only has to let them link.
build/broken/$(1)/libmissing.a: tests/guest/broken/missing_$(1).def
	@mkdir -p $$(@D)
	$(mingw_$(1))dlltool -k -d $$< -l $$@
build/broken/$(1)/obj/%.o: tests/guest/broken/%.c tools/drivers.mk
	$$(call ddk_compile,$(1))
build/broken/$(1)/%.sys: build/broken/$(1)/obj/%.o build/broken/$(1)/libmissing.a
	$$(call ddk_link,$(1))
guest-$(1): $(broken_names:%=build/broken/$(1)/%.sys)
endef

$(foreach a,amd64 i386,$(eval $(call ddk_rules,$(a))))
$(foreach a,amd64 i386,$(foreach d,$(driver_names),$(eval $(call driver_rules,$(d),$(a)))))

.PHONY: drivers guest drivers-amd64 drivers-i386 guest-amd64 guest-i386
drivers: drivers-amd64 drivers-i386
guest: guest-amd64 guest-i386

-include $(wildcard build/drivers/*/obj/*/*.d build/tests/*/obj/*.d build/broken/*/obj/*.d)
