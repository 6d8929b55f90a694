# Everything a checkout needs; all of it lives in .venv. `make` alone prints what there is.

PYTHON ?= python3
BIN := .venv/bin

# What was built with one compiler or setting is not reused with another.
KEY := $(shell printf '%s\n' '$(CC)' '$(CFLAGS)' '$(LDFLAGS)' '$(SERVERSOCKET_BUILD)' '$(SERVERSOCKET_SANITIZE)' \
	'$(SERVERSOCKET_TRACE)' | cksum | cut -d ' ' -f 1)
VENV := .venv/of-$(subst /,_,$(PYTHON))
INSTALLED := .venv/installed-$(KEY)
NATIVE := src/serversocket/*.so
NATIVE_SOURCES := src/serversocket/_core.pyx $(wildcard src/serversocket/engine/native/*.px?)
SOURCES := $(NATIVE_SOURCES) $(wildcard src/serversocket/*.py src/serversocket/*/*.py src/serversocket/*/*/*.py)
# A native package of its own, for what is not the usual build. What an earlier one left in build/lib would come with it.
PACKAGE = rm -rf build/lib.*; SERVERSOCKET_BUILD=native $(BIN)/python -m pip --quiet --disable-pip-version-check
# What takes a while says so.
STEP := sh tools/step
INSTALLING := Compiling the native engine, if there is a C compiler: about 30 seconds, once
ifeq ($(SERVERSOCKET_BUILD),pure)
INSTALLING := Installing serversocket on pure Python
endif
# CFLAGS takes the place of the interpreter's own.
USUAL_FLAGS = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_config_var("CFLAGS"))')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install serve test test-all wheel inject bench fairness reliability soak states fuzz asan valgrind coverage references record lint anyio-checks docs docs-pictures clean
.PHONY: ci-packages check-wheels check-serve check-newer

help:
	@echo 'make serve [HOST=address] [PORT=number]   a server that shows what clients send, at 127.0.0.1:8000 by default'
	@echo 'make test [ARGS="-k name"] [JOBS=0]       run the tests on every engine that is built: about 4 minutes'
	@echo 'make test-all                             those that take longer, too: about 7 minutes'
	@echo 'make inject [SEED=number]                 the tests with injected faults, long, with another seed each time'
	@echo 'make wheel                                what is released: compiled by a profile of the loads of the benchmark'
	@echo 'make bench                                measure, and draw what was measured'
	@echo 'make fairness                             measure how long hosts and clients wait for each other'
	@echo 'make reliability                          measure what servers survive, for the page on reliability'
	@echo 'make record                               count the instructions that a test compares with; needs valgrind'
	@echo 'make soak [CONNECTIONS=n]                 open and close a million connections'
	@echo 'make states [STEPS=n]                     drive connections at random, beside a model of them'
	@echo 'make fuzz [SECONDS=n]                     fuzz each of the targets'
	@echo 'make asan                                 the tests with sanitizers'
	@echo 'make valgrind PYTHON=python3.13           the tests under valgrind'
	@echo 'make coverage                             which lines of the native engine the tests execute'
	@echo 'make references [PYTHON_DEBUG=program]    count the references that a connection and a message leave'
	@echo 'make lint                                 style, types and stubs'
	@echo 'make anyio-checks                         what anyio publishes as tests of streams, on ours'
	@echo 'make docs                                 the documentation, into docs/_build/html'
	@echo 'make docs-pictures [BEFORE=folder]        pictures of all its pages, compared with earlier ones; wants chromium'
	@echo 'make clean                                remove all that was made'
	@echo 'make ci-packages                          install what .ci/run wants of the system; the next three are parts of it'
	@echo 'make check-wheels                         build the sdist and all wheels, into build/shipped, and look at them'
	@echo 'make check-serve                          have `make serve` serve a client'
	@echo 'make check-newer                          test on newer Pythons what depends on the interpreter'
	@echo
	@echo 'PYTHON=python3.13 takes another Python; CC and SERVERSOCKET_BUILD=auto|native|pure choose the build.'

serve: $(INSTALLED)
	$(BIN)/python -m serversocket serve $(if $(HOST),--host '$(HOST)') $(if $(PORT),--port '$(PORT)')

# In several processes; JOBS=0 is in this one, which shows the tests one by one.
JOBS ?= auto
test: MEANT = -m 'not long'
test: WHAT = those that take longer are left to make test-all. About 2 minutes for an engine on two idle cores
test-all: WHAT = all of them. About 3 minutes for an engine on two idle cores
test test-all: $(INSTALLED) .venv/group-test
	@engines=pure; failed=; \
	if ls $(NATIVE) >/dev/null 2>&1; then \
		engines='native pure'; \
	else \
		echo '== The native engine is not built, so it is not tested (make install SERVERSOCKET_BUILD=native says why)'; \
	fi; \
	echo "== Tests on: $$engines; $(if $(ARGS),with $(subst ",\",$(ARGS)),$(WHAT))"; \
	for engine in $$engines; do \
		echo "== Tests on the $$engine engine"; \
		SERVERSOCKET_IMPL=$$engine $(BIN)/python -m pytest -n $(JOBS) $(MEANT) $(ARGS) || failed="$$failed $$engine"; \
	done; \
	if [ -n "$$failed" ]; then echo "== Failed on:$$failed"; exit 1; fi; \
	echo "== Passed on: $$engines"

INJECT = tests/injection --timeout=0 -rP --inject-connections=50000 --inject-seed=$(or $(SEED),$(shell date +%s))

inject:
	@$(MAKE) --no-print-directory test-all JOBS=0 ARGS='$(INJECT)'

# What is released is compiled by what the engine did under the loads of the benchmark: the paths that were taken
# straight and side by side, what was not recorded as usual. It wants GCC; a profile of other sources is an error.
RECORDING := build/recording
PROFILE := build/profile
RELEASED := build/released
BY_PROFILE = export CFLAGS='$(USUAL_FLAGS) -fprofile-use=$(CURDIR)/$(PROFILE) -fprofile-partial-training -Werror=missing-profile';
$(PROFILE): $(VENV) setup.py bench/train.py $(NATIVE_SOURCES)
	@rm -rf $@ $(RECORDING)
	export CFLAGS='$(USUAL_FLAGS) -fprofile-generate=$(CURDIR)/$@' LDFLAGS=-fprofile-generate; \
		$(PACKAGE) install --no-deps --target $(RECORDING) .
	PYTHONPATH=$(CURDIR)/$(RECORDING) $(BIN)/python bench/train.py
	@touch $@

wheel: $(PROFILE)
	@$(BY_PROFILE) $(PACKAGE) wheel --no-deps --wheel-dir dist .
	@ls dist/*.whl

$(RELEASED): $(PROFILE) $(SOURCES)
	@rm -rf $@
	@$(BY_PROFILE) $(PACKAGE) install --no-deps --target $@ .
	@touch $@

# With ARGS one run with these arguments, into bench/build/results; without, all that bench/results keeps.
bench: $(INSTALLED) $(RELEASED) .venv/group-bench
	@status=0; \
	$(BIN)/python bench/run.py $(or $(ARGS),--results bench/results) || status=$$?; \
	$(if $(ARGS),,$(BIN)/python bench/run.py --growth --results bench/results || status=$$?;) \
	exit $$status

# Wanted beside the benchmark's: strace, and ip and unshare, which give peers that look names up a network without any.
# CONNECTIONS=n opens so many; ARGS are those of bench/soak.py.
soak: $(INSTALLED) .venv/group-bench
	$(BIN)/python bench/soak.py $(if $(CONNECTIONS),--connections $(CONNECTIONS)) $(ARGS)

STEPS ?= 100000
states: $(INSTALLED) .venv/group-test
	@for engine in native pure; do \
		ls $(NATIVE) >/dev/null 2>&1 || [ $$engine = pure ] || continue; \
		echo "== $(STEPS) steps on the $$engine engine"; \
		SERVERSOCKET_IMPL=$$engine SERVERSOCKET_STEPS=$(STEPS) $(BIN)/python -m pytest -q -o faulthandler_timeout=0 tests/stateful || exit 1; \
	done

# The fuzzer learns from a build that tells where it has been; a second build, with sanitizers, then gets what it found.
FUZZED := addresses byte_array connection dispatch typed_reads
SANITIZED := build/sanitized
SANITIZERS := LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 PYTHONMALLOC=malloc \
	PYTHONPATH=$(CURDIR)/$(SANITIZED) SERVERSOCKET_IMPL=native
SECONDS ?= 60
fuzz: $(INSTALLED) .venv/group-fuzz $(SANITIZED)
	@for target in $(FUZZED); do \
		echo "== $$target"; \
		SERVERSOCKET_IMPL=native $(BIN)/python fuzz $$target -max_total_time=$(SECONDS) -max_len=600 || exit 1; \
		$(SANITIZERS) $(BIN)/python fuzz $$target -max_total_time=$(SECONDS) -max_len=600 -rss_limit_mb=0 || exit 1; \
	done

# Greenlets move stretches of the stack, redzones and all, which a sanitizer takes for errors: a build without them.
GREENLETS := build/sanitized-greenlets
$(GREENLETS): export CFLAGS = $(USUAL_FLAGS) --param asan-stack=0
$(SANITIZED) $(GREENLETS): export SERVERSOCKET_SANITIZE = address,undefined
$(SANITIZED) $(GREENLETS): $(VENV) setup.py $(SOURCES)
	@rm -rf $@
	$(PACKAGE) install --no-deps --target $@ .
	@touch $@

# Nothing is measured here; the command line's own tests time out, and a sanitizer takes a worker's SIGSEGV for its own.
UNDER_ASAN := -m pytest -o timeout=1200 -o faulthandler_timeout=0 --ignore=tests/performance --ignore-glob='*/test_cli_*' \
	--deselect tests/behaviour/test_supervisor.py::test_how_it_died_is_told
asan: $(INSTALLED) .venv/group-test $(SANITIZED) $(GREENLETS)
	$(SANITIZERS) $(BIN)/python $(UNDER_ASAN) $(ARGS) -k 'not gevent'
	$(SANITIZERS) PYTHONPATH=$(CURDIR)/$(GREENLETS) $(BIN)/python $(UNDER_ASAN) $(ARGS) -k gevent

# An interpreter from 3.12 on: those before it use uninitialised memory themselves. Processes that tests start are not
# looked into, and what traces this one or comes between it and libc is left out, and who counts clients without a
# descriptor: a descriptor that valgrind refuses has been made, and closed. It takes half an hour, and the tests' limits
# of time are for a faster machine.
VALGRIND := build/valgrind
valgrind: .venv/group-test
	@rm -rf $(VALGRIND)
	export CFLAGS='-g -O1'; $(PACKAGE) install --no-deps --target $(VALGRIND) .
	SERVERSOCKET_STEPS=2001 PYTHONMALLOC=malloc SERVERSOCKET_IMPL=native PYTHONPATH=$(VALGRIND) valgrind --num-callers=25 --error-exitcode=99 \
		--suppressions=tools/valgrind.supp $(BIN)/python -m pytest -q --least-timeout 3000 -o faulthandler_timeout=0 \
		--ignore=tests/performance --ignore=tests/injection --ignore-glob='*/test_cli_*' \
		--ignore-glob='*/test_supervisor*' --ignore-glob='*/test_failing_*' \
		--ignore=tests/faults/test_clocks.py --ignore=tests/faults/test_two_owners.py \
		--deselect tests/behaviour/test_server_out_of_descriptors.py::test_nothing_spins_and_nothing_is_logged $(ARGS)

# The build that traces takes the place of the usual one, until the next make. One test is about tracing functions itself.
coverage: .venv/group-coverage
	@$(MAKE) --no-print-directory install SERVERSOCKET_TRACE=1 SERVERSOCKET_BUILD=native
	@rm -f .coverage .coverage.*
	-SERVERSOCKET_IMPL=native $(BIN)/coverage run -m pytest -q -o timeout=1200 -o faulthandler_timeout=0 \
		--ignore=tests/performance -k 'not tracing_function' $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# For an interpreter that counts references; Debian has one in python3-dbg.
PYTHON_DEBUG ?= python3-dbg
REFERENCES := build/references
references: $(VENV)
	@rm -rf $(REFERENCES) && mkdir -p $(REFERENCES)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(REFERENCES)/tools setuptools 'Cython>=3.2,<4'
	SERVERSOCKET_BUILD=native PYTHONPATH=$(REFERENCES)/tools $(PYTHON_DEBUG) setup.py -q build_ext \
		--build-lib $(REFERENCES) --build-temp $(REFERENCES)/temp
	cp -rn src/serversocket $(REFERENCES)
	@for engine in native pure; do \
		SERVERSOCKET_IMPL=$$engine PYTHONPATH=$(REFERENCES) $(PYTHON_DEBUG) tools/count_references.py || exit 1; \
	done

reliability: $(INSTALLED) .venv/group-bench
	PYTHONPATH=bench $(BIN)/python -m scoreboard $(ARGS)

# Wanted beside what pip brings: Xvfb and tkinter for Tk, PyGObject for GLib. What is missing is named.
fairness: $(INSTALLED) .venv/group-bench .venv/group-hosts
	$(BIN)/python bench/fairness.py $(ARGS)

record: $(INSTALLED)
	$(BIN)/python bench/callgrind.py --record

# What nobody uses is only seen in the native engine as a whole.
lint: $(INSTALLED) .venv/group-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/basedpyright
	@mkdir -p build && sed 's|^include "\(.*\)"|echo; cat src/serversocket/\1; echo|e' src/serversocket/_core.pyx | sed '$$d' >build/whole.pyx
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src src/serversocket/engine/native/*.pxi build/whole.pyx
	$(BIN)/python tools/make_stubs.py --check
	$(BIN)/python tools/copy_docstrings.py --check

# Downloads the source distribution of the anyio that is installed.
anyio-checks: $(INSTALLED) .venv/group-anyio
	$(BIN)/python tools/anyio_checks.py $(ARGS)

docs: $(INSTALLED) .venv/group-docs
	SERVERSOCKET_IMPL=pure $(BIN)/sphinx-build --fresh-env --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo 'The documentation is in docs/_build/html/index.html'

# Nothing is sideways: a page that a telephone would have to scroll is an error.
docs-pictures: docs
	$(BIN)/python tools/screenshots.py $(if $(BEFORE),--before $(BEFORE)) $(ARGS)

# Each says more of itself: tools/checks/NAME --help.
SHIPPED := build/shipped
ci-packages:
	tools/checks/packages

$(SHIPPED): $(SOURCES) setup.py pyproject.toml MANIFEST.in
	tools/checks/shipped $@
	@touch $@

check-wheels:
	@rm -rf $(SHIPPED)
	@$(MAKE) --no-print-directory $(SHIPPED)

check-serve: $(INSTALLED)
	tools/checks/serve

check-newer: $(SHIPPED)
	tools/checks/newer $(SHIPPED)/*.tar.gz

clean:
	rm -rf .venv bench/build build dist docs/_build src/*.egg-info $(NATIVE) src/serversocket/*.c
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage
	find bench docs src tests tools -name __pycache__ -prune -exec rm -rf {} +

install: $(INSTALLED)

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'serversocket needs Python 3.11 or later; name one: make PYTHON=python3.13 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'This Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@$(STEP) 'Making a virtual environment in .venv' $(PYTHON) -m venv --clear .venv
	@touch $@

# An editable install: changes in .py files take effect at once, changes in the native sources rebuild.
$(INSTALLED): $(VENV) pyproject.toml setup.py $(NATIVE_SOURCES)
	@rm -f .venv/installed-* $(NATIVE)
	@$(STEP) '$(INSTALLING)' $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@env -u SERVERSOCKET_IMPL $(BIN)/python -c 'import serversocket; print("== Installed serversocket, the", serversocket.implementation, "engine")'
	@[ '$(SERVERSOCKET_BUILD)' = pure ] || ls $(NATIVE) >/dev/null 2>&1 || \
		echo '== No C compiler could build the native engine (make install SERVERSOCKET_BUILD=native says why)'
	@touch $@

.venv/group-%: $(VENV) pyproject.toml
	@$(STEP) 'Fetching what is needed for: $*; a minute at most, once' sh -ec '\
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --group $*'
	@touch $@
