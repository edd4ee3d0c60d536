# SPDX-License-Identifier: MIT
# Tests. The last line of `make test` is "N passed, N failed"; tests/run.py says what the suites are.
#
#   make test                     everything
#   make test SUITES="host style" some suites of it
#   make test-hw                  a table of machines that stand in for hardware
#   make test-hw MACHINES="isapc" some rows of it; tests/hardware/run.py --list names them

#   make soak                     everything at once on four processors, for ten minutes
#   make soak ARCH=i386 SOAK_MINUTES=60

#   make soak-pool                the pools on this host for as long: random operations, each round with
#                                 its seed, under the sanitizers (SOAK_SEED=0x... runs one round again)

SUITES ?=
SOAK_MINUTES ?= 10
SOAK_SEED ?=
MACHINES ?=

.PHONY: test test-hw
test:
	@tools/setup test
	@+python3 tests/run.py $(SUITES)

# Needs the medium and the sample drivers; the pictures are in build/hardware/.
test-hw:
	@tools/setup test-hw
	@$(MAKE) --no-print-directory build/lookaside.iso
	@python3 tests/hardware/run.py $(MACHINES)

.PHONY: soak
soak: kernel
	@rm -rf build/soak
	@$(MAKE) --no-print-directory build/soak/$(ARCH)/soak.sys
	@./lookaside run --no-build $(if $(filter 1,$(CHECKED)),--checked) --smp 4 --timeout 0 build/soak/$(ARCH)/soak.sys

.PHONY: soak-pool
soak-pool: build/host/soak_pool build/host/soak_pool_race
	@build/host/soak_pool $$(($(SOAK_MINUTES) * 40)) $(SOAK_SEED)
	@build/host/soak_pool_race $$(($(SOAK_MINUTES) * 20)) $(SOAK_SEED)
