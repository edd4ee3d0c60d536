# SPDX-License-Identifier: MIT
# Tests. The last line of `make test` is "N passed, N failed"; tests/run.py says what the suites are.
#
#   make test                     everything
#   make test SUITES="host style" some suites of it

SUITES ?=

.PHONY: test
test:
	@tools/setup test
	@+python3 tests/run.py $(SUITES)
