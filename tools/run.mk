# SPDX-License-Identifier: MIT
# Running: everything here first installs what is missing, then builds, then calls ./lookaside.
#
# The installation comes before a second make because this one has looked for compilers already.

flavour_option := $(if $(filter 1,$(CHECKED)),--checked)

.PHONY: setup run debug iso bench help
setup:
	@tools/setup

run:
	@tools/setup run
	@./lookaside run --arch $(ARCH) $(flavour_option)

debug:
	@tools/setup debug
	@$(MAKE) --no-print-directory kernel drivers-$(ARCH)
	@tools/debug --arch $(ARCH) $(flavour_option)

iso:
	@tools/setup iso
	@$(MAKE) --no-print-directory build/lookaside.iso
	@echo "build/lookaside.iso: burn it, or write it raw to a USB stick"

bench:
	@tools/setup bench
	@$(MAKE) --no-print-directory ARCH=amd64 CHECKED=0 kernel drivers guest bench-drivers
	@$(MAKE) --no-print-directory poolmalloc
	@$(MAKE) --no-print-directory build/lookaside.iso
	@python3 bench/bench.py $(ROWS)

# The medium: both architectures, the sample drivers, the guest tests. tools/mkiso says what is where.
kernel_kinds := amd64-0 amd64-1 i386-0 i386-1
.PHONY: kernels $(kernel_kinds:%=kernel-%)
kernels: $(kernel_kinds:%=kernel-%)
$(kernel_kinds:%=kernel-%): kernel-%:
	@$(MAKE) --no-print-directory ARCH=$(firstword $(subst -, ,$*)) CHECKED=$(lastword $(subst -, ,$*)) kernel

build/lookaside.iso: kernels drivers guest iso/grub.cfg $(wildcard iso/data/* iso/data/*/*)
	@tools/mkiso $@

help:
	@echo "make run       the sample drivers, then the kernel's prompt (ARCH=i386, CHECKED=1)"
	@echo "make test      everything, both architectures (SUITES=\"host style\" for some of it)"
	@echo "make debug     the same under gdb, stopped at KiSystemStartup"
	@echo "make test-hw   a table of machines standing in for hardware; pictures in build/hardware/"
	@echo "make iso       build/lookaside.iso for CD and USB, BIOS and UEFI, both architectures"
	@echo "make bench     measurements: a table, and build/bench.json (ROWS=\"pool boot-wall\": some)"
	@echo "make drivers   drivers/*/ with mingw-w64, both architectures"
	@echo "make setup     installs what all of these need"
	@echo "make clean     removes build/"
	@echo "CROSS=x86_64-elf- chooses a compiler; ./lookaside --help runs your own driver"
