# SPDX-License-Identifier: MIT
# Lookaside: build, run, test.
#
#   make run      install what is missing, build, boot in QEMU, end at the kernel's prompt
#   make test     everything, both architectures; the last line is "N passed, N failed"
#   make help     the other targets and variables

ARCH    ?= amd64
CHECKED ?= 0

ifeq ($(filter $(ARCH),amd64 i386),)
$(error ARCH is amd64 or i386, not '$(ARCH)')
endif

FLAVOUR := $(if $(filter 1,$(CHECKED)),checked,free)
OUT     := build/$(ARCH)/$(FLAVOUR)

# The cross compilers: CROSS= where given, else a bare-metal one, else Debian's Linux one.
find_cross = $(or $(firstword $(foreach p,$(1),$(if $(shell command -v $(p)gcc),$(p)))),$(lastword $(1)))
ifdef CROSS
cross_amd64 := $(CROSS)
cross_i386  := $(CROSS)
else
cross_amd64 := $(call find_cross,x86_64-elf- x86_64-linux-gnu-)
cross_i386  := $(call find_cross,i686-elf- i686-linux-gnu-)
endif
PREFIX := $(cross_$(ARCH))
# Boot code is 32-bit on both architectures; any x86 GCC with -m32 compiles it.
CC      := $(PREFIX)gcc
AS      := $(PREFIX)as
LD      := $(PREFIX)ld
OBJCOPY := $(PREFIX)objcopy
NM      := $(PREFIX)nm

WARN   := -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Werror=implicit-function-declaration \
          -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-multichar
COMMON := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fno-strict-aliasing \
          -fno-common -fshort-wchar -fno-asynchronous-unwind-tables -fcf-protection=none \
          -fno-delete-null-pointer-checks -fno-tree-loop-distribute-patterns -mgeneral-regs-only \
          $(WARN) -Iinclude -Iinclude/$(ARCH) -MMD -MP
# No build directory in the image.
COMMON += -ffile-prefix-map=$(CURDIR)/=

# amd64's unwind tables: exceptions and backtraces pass through kernel frames (kernel/rtl/amd64/cfi.c).
arch_amd64 := -fasynchronous-unwind-tables -m64 -mabi=ms -mms-bitfields -mno-red-zone -mcmodel=kernel -mcx16 -D_AMD64_
arch_i386  := -m32 -march=i686 -malign-double -mms-bitfields -freg-struct-return -mpreferred-stack-boundary=2 -D_X86_
checked_1  := -DDBG=1 -fsanitize=undefined -fno-sanitize=alignment,null,pointer-overflow,object-size
checked_0  := -DDBG=0

KCFLAGS := $(COMMON) -fno-omit-frame-pointer -fno-optimize-sibling-calls $(arch_$(ARCH)) $(checked_$(CHECKED))
# Boot code has to tell a 386 that it is too old.
BCFLAGS := $(COMMON) -Iboot -fomit-frame-pointer -m32 -march=i386 -malign-double -mms-bitfields -mpreferred-stack-boundary=2 -DBOOT32 -DDBG=0

kernel_c := $(wildcard kernel/*.c kernel/*/*.c kernel/*/$(ARCH)/*.c mm/*.c mm/$(ARCH)/*.c)
kernel_s := $(wildcard kernel/*/$(ARCH)/*.S mm/$(ARCH)/*.S)
boot_c   := $(wildcard boot/*.c boot/$(ARCH)/*.c)
boot_s   := $(wildcard boot/$(ARCH)/*.S)

kernel_o := $(kernel_c:%.c=$(OUT)/%.o) $(kernel_s:%.S=$(OUT)/%.o)
boot_o   := $(boot_c:%.c=$(OUT)/%.o) $(boot_s:%.S=$(OUT)/%.o)
objects  := $(OUT)/boot/boot.o $(kernel_o) $(OUT)/font.o

KERNEL := $(OUT)/lookaside.elf

.DEFAULT_GOAL := kernel
.PHONY: kernel
kernel: $(KERNEL) $(OUT)/lookaside.boot

# Compiles everything without linking: what a part can be checked with on its own.
.PHONY: objects
objects: $(objects)

# Compiler flags are part of what a build depends on.
$(OUT)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(KCFLAGS) $(BCFLAGS)' | cmp -s - $@ || echo '$(CC) $(KCFLAGS) $(BCFLAGS)' > $@
FORCE:

# tools/gdb needs names of states that the code keeps in a byte: the compiler would drop their types.
$(OUT)/kernel/ke/thread.o $(OUT)/mm/poolquery.o: KCFLAGS += -fno-eliminate-unused-debug-types
$(OUT)/kernel/ke/thread.o $(OUT)/mm/poolquery.o: Makefile

$(OUT)/kernel/%.o: kernel/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(CC) $(KCFLAGS) -c $< -o $@
$(OUT)/mm/%.o: mm/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(CC) $(KCFLAGS) -c $< -o $@
$(OUT)/kernel/%.o: kernel/%.S $(OUT)/flags
	@mkdir -p $(@D)
	$(CC) $(KCFLAGS) -D__ASSEMBLER__ -c $< -o $@
$(OUT)/mm/%.o: mm/%.S $(OUT)/flags
	@mkdir -p $(@D)
	$(CC) $(KCFLAGS) -D__ASSEMBLER__ -c $< -o $@
$(OUT)/boot/%.o: boot/%.S $(OUT)/flags
	@mkdir -p $(@D)
	$(CC) $(KCFLAGS) -D__ASSEMBLER__ -c $< -o $@
# boot/'s C is 32-bit code in both images: compiled to 32-bit assembly, then assembled in .code32 into
# an object of the image's own format (which has no place for 32-bit unwind records, nor for debugging
# information with 32-bit addresses, which gdb would trip over).
$(OUT)/boot/%.o: boot/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(CC) $(BCFLAGS) $(if $(filter amd64,$(ARCH)),-g0) -MT $@ -MF $(OUT)/boot/$*.d -S $< -o $(OUT)/boot/$*.s32
	@{ echo '.code32'; grep -v '\.cfi_' $(OUT)/boot/$*.s32; } > $(OUT)/boot/$*.s
	$(AS) $(if $(filter amd64,$(ARCH)),--64,--32) $(OUT)/boot/$*.s -o $@

# Boot code may reach into the kernel only by the names that linker.ld makes for it, the block it fills
# and the routine it ends in: any other reference, a helper of GCC's included, would be a call to high
# addresses before paging is on. Its own memcpy and the like stay its own.
boot_may_use := Physical|BootImageStart|KeLoaderBlockStorage|KiBootStack|KiBootEntry
$(OUT)/boot/boot.o: $(boot_o)
	$(LD) -r $(boot_o) -o $@.all
	$(OBJCOPY) $(foreach s,memcpy memmove memset memcmp,--localize-symbol=$s) $@.all $@
	@if $(NM) -u $@ | grep -Ev '($(boot_may_use))$$'; then echo 'boot/ uses kernel code'; rm $@; exit 1; fi

$(OUT)/linker.ld: linker.ld $(OUT)/flags
	$(CC) -E -P -undef -x c $(filter -D%,$(arch_$(ARCH))) $< -o $@

# The console font: Debian's Terminus, linked as it is.
FONT ?= /usr/share/consolefonts/Lat15-Terminus16.psf.gz
$(OUT)/font.psf: $(FONT)
	@mkdir -p $(@D)
	gzip -dc $< > $@
$(OUT)/font.o: $(OUT)/font.psf
	cd $(OUT) && $(LD) -m $(if $(filter amd64,$(ARCH)),elf_x86_64,elf_i386) -r -b binary -o font.o font.psf
	$(OBJCOPY) --rename-section .data=.font,alloc,load,readonly,data,contents $@

# Linked twice: the second time with the table of the first one's function names, which the kernel's
# own backtraces read. The table lies behind all code, so that filling it moves no function.
LDFLAGS := $(if $(filter amd64,$(ARCH)),--eh-frame-hdr) -nostdlib -static -z max-page-size=4096 -z noexecstack --build-id=none --no-warn-rwx-segments -T $(OUT)/linker.ld
LIBGCC   = $(if $(filter i386,$(ARCH)),$(shell $(CC) -m32 -print-libgcc-file-name))
$(OUT)/symbols0.S: tools/symbols.py
	@mkdir -p $(@D)
	python3 tools/symbols.py --empty > $@
$(OUT)/symbols%.o: $(OUT)/symbols%.S
	$(CC) $(KCFLAGS) -D__ASSEMBLER__ -c $< -o $@
$(OUT)/lookaside.0: $(objects) $(OUT)/symbols0.o $(OUT)/linker.ld
	$(LD) $(LDFLAGS) $(objects) $(OUT)/symbols0.o $(LIBGCC) -o $@
$(OUT)/symbols1.S: $(OUT)/lookaside.0 tools/symbols.py
	$(NM) -n $< | python3 tools/symbols.py > $@
$(KERNEL): $(OUT)/symbols1.o $(OUT)/lookaside.0
	$(LD) $(LDFLAGS) $(objects) $(OUT)/symbols1.o $(LIBGCC) -o $@

# qemu -kernel refuses ELF64: the same image, relabelled.
$(OUT)/lookaside.boot: $(KERNEL)
	$(if $(filter amd64,$(ARCH)),$(OBJCOPY) --strip-debug -O elf32-i386 $< $@,$(OBJCOPY) --strip-debug $< $@)

.SECONDARY:
-include $(objects:.o=.d) $(boot_o:.o=.d)
include $(wildcard tools/*.mk)

.PHONY: clean
clean:
	rm -rf build
