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
RACE_SAN  := -fsanitize=thread  # tests/host/test_race_NAME.c: threads that run at the same time
FUZZ_SAN  := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined

# The simulator of the scheduler gets ke's sources with the thread sanitizer's instrumentation, whose
# routines it has itself: at each of them another processor may go on. (KUSER_SHARED_DATA has 64-bit
# times at 4-byte boundaries.)
SIM_SOURCES := $(addprefix kernel/ke/,affinity.c apc.c dpc.c event.c interrupt.c ipi.c irql.c lock.c \
               mutant.c queue.c queuedlock.c rwlock.c sched.c thread.c threadeddpc.c time.c timer.c \
               wait.c watchdog.c amd64/interrupt.c) \
               $(addprefix kernel/ex/,fastmutex.c pushlock.c resource.c rundown.c)
SIM_CFLAGS := -Itests/host/sim $(HOST_CFLAGS) -O2 -fsanitize=undefined -fno-sanitize=alignment \
              -fno-sanitize-recover=undefined

host_tests := $(patsubst tests/host/%.c,build/host/%,$(wildcard tests/host/test_*.c))
host_fuzz  := $(patsubst tests/host/%.c,build/host/%,$(wildcard tests/host/fuzz_*.c))
host_headers := $(wildcard boot/*.h include/*.h include/*/*.h mm/*.h kernel/*/*.h tests/host/*.h \
                tests/host/include/*.h tests/host/include/*/*.h tests/host/sim/*.h)

# Each source is compiled once for every set of sanitizers: asan, race or fuzz.
host_cc_asan := $(HOSTCC) $(HOST_CFLAGS) $(HOST_SAN)
host_cc_race := $(HOSTCC) $(HOST_CFLAGS) $(RACE_SAN)
host_cc_fuzz := $(FUZZCC) $(HOST_CFLAGS) $(FUZZ_SAN)

# host_objects KIND: how its objects are made
define host_objects
build/host/$(1)/%.o: %.c tools/host.mk
	@mkdir -p $$(@D)
	$$(host_cc_$(1)) -MMD -MP -c $$< -o $$@
build/host/$(1)/%.o: %.S tools/host.mk
	@mkdir -p $$(@D)
	$$(host_cc_$(1)) -MMD -MP -c $$< -o $$@
endef
$(foreach k,asan race fuzz,$(eval $(call host_objects,$(k))))

# host_rule NAME, KIND, libraries: what the "Links:" line names is linked in.
define host_rule
build/host/$(1): $(patsubst %,build/host/$(2)/%.o,$(basename tests/host/$(1).c \
                   $(shell sed -n 's|^// Links:||p' tests/host/$(1).c)))
	$$(host_cc_$(2)) $$^ -o $$@ $(3)
endef
$(foreach t,$(filter-out test_scheduler,$(host_tests:build/host/%=%)),\
  $(eval $(call host_rule,$(t),$(if $(filter test_race_%,$(t)),race,asan),-lcmocka -lm)))
$(foreach t,$(host_fuzz:build/host/%=%),$(eval $(call host_rule,$(t),fuzz)))
-include $(shell find build/host/asan build/host/race build/host/fuzz -name '*.d' 2>/dev/null)

build/host/sim/%.o: %.c $(host_headers)
	@mkdir -p $(@D)
	$(HOSTCC) $(SIM_CFLAGS) $(if $(filter kernel/%,$<),-fsanitize=thread -Wno-tsan) -c $< -o $@

build/host/test_scheduler: $(patsubst %.c,build/host/sim/%.o,$(SIM_SOURCES) \
                             $(wildcard tests/host/sim/*.c) tests/host/test_scheduler.c)
	$(HOSTCC) -fsanitize=undefined $^ -o $@ -lcmocka

# What the tables of QEMU's machines say (tests/system/test_routing.py).
$(eval $(call host_rule,show_routes,asan))

.PHONY: host
host: $(host_tests) $(host_fuzz) build/host/show_routes

# The pools for minutes (tests/host/soak_pool.c): the fuzz target's sources under the address and
# behaviour sanitizers, and under the thread sanitizer, which cannot see into assembly.
soak_pool_from := tests/host/soak_pool $(filter-out tests/host/fuzz_pool,$(basename \
                    $(shell sed -n 's|^// Links:||p' tests/host/fuzz_pool.c)))
build/host/soak_pool: $(soak_pool_from:%=build/host/asan/%.o)
	$(host_cc_asan) $^ -o $@ -lpthread
build/host/soak_pool_race: $(patsubst %,build/host/race/%.o,$(filter-out kernel/ex/amd64/%,$(soak_pool_from)) \
                                                            tests/host/fake_slist)
	$(host_cc_race) $^ -o $@ -lpthread

# The pool as malloc (bench/host/poolmalloc.c), without sanitizers and as fast as it gets: one unit
# for the compiler, thread-local storage without calls.
pm_sources := bench/host/poolmalloc.c bench/host/hostkernel.c mm/pool.c mm/amd64/poolfast.c mm/poolcall.c \
              mm/poolpage.c mm/poollarge.c mm/poolbook.c \
              mm/pooltag.c mm/poolbug.c mm/poolquery.c mm/poolcheck.c mm/poolspecial.c mm/poolverify.c \
              mm/pooltrack.c mm/poolname.c mm/range.c kernel/rtl/format.c kernel/rtl/utf.c
PM_CFLAGS := $(subst -O1,-O2,$(subst -DDBG=1,-DDBG=0,$(HOST_CFLAGS))) -include bench/host/include/poolsizes.h -fPIC \
             -flto=auto -fvisibility=hidden -ftls-model=initial-exec -fno-builtin-malloc \
             -fomit-frame-pointer -fno-semantic-interposition
build/host/libpoolmalloc.so: $(pm_sources) $(host_headers) $(wildcard bench/host/*.h bench/host/include/*.h)
	@mkdir -p $(@D)
	$(HOSTCC) -Ibench/host/include -Ibench/host $(PM_CFLAGS) -shared $(pm_sources) -o $@ -lpthread
build/host/alloc: bench/host/alloc.c
	@mkdir -p $(@D)
	$(HOSTCC) -std=gnu11 -O2 -g $(WARN) -fno-builtin -fno-lto $< -o $@ -lpthread
# What programs allocate (bench/traces.py), for LD_PRELOAD.
build/host/libtrace.so: bench/host/trace.c
	@mkdir -p $(@D)
	$(HOSTCC) -std=gnu11 -O2 -g $(WARN) -fPIC -shared -fno-builtin $< -o $@ -lpthread
# Guards for the blocks of other allocators.
build/host/libguarded.so: bench/host/guarded.c
	@mkdir -p $(@D)
	$(HOSTCC) -std=gnu11 -O2 -g $(WARN) -fPIC -shared -fno-builtin -fvisibility=hidden $< -o $@ -ldl
# The pool's duties, one after another.
duties := $(foreach duty,0 1 2 3,build/host/libduty$(duty).so)
$(duties): build/host/libduty%.so: bench/host/duties.c bench/host/include/poolsizes.h
	@mkdir -p $(@D)
	$(HOSTCC) -std=gnu11 -O2 -g $(WARN) -DDUTY=$* -include bench/host/include/poolsizes.h -fPIC -shared -fno-builtin \
	    -fvisibility=hidden $< -o $@
.PHONY: poolmalloc
poolmalloc: build/host/libpoolmalloc.so build/host/alloc build/host/libtrace.so build/host/libguarded.so $(duties)
