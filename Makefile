# Everything a person needs is here; `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A second interpreter that the product supports, when the machine has one: the network layer differs between them.
OTHER := $(shell $(PYTHON) packaging/other_python.py)
# Hundreds of daemons and commands are started here. Where the environment forbids Python to keep what it compiles, each would
# compile the whole gateway again: twice the time to import it, and not what an installed box does.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test debian lint types tests tests-debian tests-other deb deb-lint deb-arm64-test apt-repo soak bugs bench bench-peers fuzz audit lock clean

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(VENV)/ready  ## run the whole main job on this machine; Ctrl-C ends it
	$(BIN)/gateway demo

test: debian lint types tests tests-debian tests-other  ## install what the tests need, then lint, types and all tests

debian:
	@missing=; command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing="$$missing mosquitto"; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v mkfs.ext4 >/dev/null || [ -x /sbin/mkfs.ext4 ] || missing="$$missing e2fsprogs"; \
	command -v losetup >/dev/null || [ -x /sbin/losetup ] || missing="$$missing mount"; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	command -v mmdebstrap >/dev/null || missing="$$missing mmdebstrap debian-archive-keyring"; \
	command -v systemd-nspawn >/dev/null || missing="$$missing systemd-container"; \
	for one in lintian zsh fish man:man-db ip:iproute2 apt-ftparchive:apt-utils gpg mcopy:mtools $(ALSO); do \
	  command -v $${one%:*} >/dev/null || missing="$$missing $${one#*:}"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; \
	  else echo "The tests need these Debian packages:$$missing. Install them with: sudo apt-get install -y$$missing" >&2; exit 1; fi; fi
	@command -v promtool >/dev/null || [ -x .promtool/promtool ] || $(MAKE) --no-print-directory .promtool/promtool

# Of the package prometheus only the checker is wanted: no server that starts, and 48 MB instead of a hundred.
.promtool/promtool:
	rm -rf .promtool && mkdir .promtool
	@cd .promtool && load="apt-get -q -o APT::Sandbox::User=root download prometheus"; $$load || { apt-get update -q && $$load; } || { \
	  echo "The checker promtool could not be loaded: run apt-get update as root, or install the package prometheus, then try again." >&2; exit 1; }
	cd .promtool && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
	mv .promtool/usr/bin/promtool .promtool/promtool.new && rm -rf .promtool/usr .promtool/*.deb && mv .promtool/promtool.new $@

$(VENV)/ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is older." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV) || { echo "Install the package python3-venv first." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

lint: $(VENV)/ready
	$(BIN)/ruff check gateway tests bench packaging
	$(BIN)/ruff format --check gateway tests bench packaging

types: $(VENV)/ready
	$(BIN)/mypy

tests: $(VENV)/ready
	$(BIN)/python -m pytest -n 3 --dist worksteal

# A Debian keeps the Python that it came with: the 3.11.2 of Debian 12 matches otherwise than later ones (tests/test_patterns.py).
OWN_TESTS := tests/reading tests/sources tests/attacks/test_memory_of_patterns.py tests/http/test_header_lines.py \
  tests/test_redact.py tests/test_masking.py tests/test_logs.py
tests-debian: $(VENV)/ready
	@own=$$(/usr/bin/python3 -c 'import platform; print(platform.python_version())' 2>/dev/null); \
	its=$$($(BIN)/python -c 'import platform; print(platform.python_version())'); \
	if [ "$${own%.*}" = "$${its%.*}" ] && [ "$$own" != "$$its" ]; then \
	  PYTHONPATH=.:$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
	    /usr/bin/python3 -m pytest -q -n 3 $(OWN_TESTS); \
	else echo "This system's own Python ($${own:-none}) has nothing to say beside $$its."; fi

# What behaves differently on another Python: sockets, loop, shutdown, SQLite, XML and JSON, files and archives, programs
# that are started; and one kill with its control.
OTHER_TESTS := tests/http tests/sinks tests/outbox tests/reading tests/sources/test_fixtures.py tests/system/test_receiving.py \
  tests/backup tests/firstboot tests/doctor/test_doctor_command.py \
  tests/chaos/test_kills.py::test_kill_control tests/chaos/test_kills.py::test_kill_with_both_sinks_up \
  tests/chaos/test_lines.py::test_lines_control tests/chaos/test_disks_failing.py::test_disk_that_does_not_fail
tests-other: $(VENV)/ready
ifeq ($(OTHER),)
	@echo "No second supported Python was found: the network tests ran on $(PYTHON) only."
else
	$(MAKE) VENV=.venv-other PYTHON=$(OTHER) .venv-other/ready
	.venv-other/bin/python -m pytest -n 3 --dist worksteal $(OTHER_TESTS)
endif

# ARCHES="amd64 arm64" builds some of them, DEB_VERSION=0.0.9~test another version than the code's.
ARCHES ?=
deb: $(VENV)/ready  ## build the Debian packages into dist/; only the first time needs the package index
	PYTHONPATH=packaging $(BIN)/python -B -m deb $(ARCHES) $(if $(DEB_VERSION),--version $(DEB_VERSION)) $(if $(DEB_MAINTAINER),--maintainer '$(DEB_MAINTAINER)')

deb-lint:  ## hold the packages in dist/ against Debian's rules
	@ls dist/*.deb >/dev/null 2>&1 || { echo "There is no package in dist/: run \`make deb\` first." >&2; exit 1; }
	@command -v lintian >/dev/null || { echo "Install the package lintian first." >&2; exit 1; }
	lintian --allow-root --fail-on error,warning dist/*.deb

# Other words: EMULATED="armhf bookworm", EMULATED="arm64 trixie".
EMULATED ?= arm64 bookworm
deb-arm64-test:  ## install and use the arm64 package under emulation; needs root, a Debian mirror, and says what is missing
	$(PYTHON) -B packaging/emulated.py $(EMULATED)

apt-repo:  ## put the packages in dist/ into the signed repository dist/apt; APT_KEY=FINGERPRINT of your key
	@[ -n "$(APT_KEY)" ] || { echo "Say who signs: make apt-repo APT_KEY=FINGERPRINT of a key in your keyring." >&2; exit 1; }
	PYTHONPATH=packaging $(PYTHON) -B -m apt --key $(APT_KEY)

soak: $(VENV)/ready debian  ## every experiment of tests/chaos in its long form, under two hours; ends with one table
	timeout -s INT 7200 $(BIN)/python -m pytest tests/chaos --soak --soak-table soak-table.md -n 2 --timeout 7200

bugs: $(VENV)/ready  ## plant eleven deliberate bugs, one by one, and see each caught by a named test
	$(BIN)/python tests/chaos/replay_bugs.py

bench bench-peers: ALSO = wrk
bench-peers: ALSO += npm
bench: $(VENV)/ready debian  ## measure, in ratios; about 15 minutes
	$(BIN)/python bench/run.py

bench-peers: $(VENV)/ready debian  ## measure beside ThingsBoard IoT Gateway and Node-RED; installs them first, about 30 minutes
	$(BIN)/python bench/peers.py

# A campaign goes on where it was: ended, it may be started again.
FUZZ_DIR ?= .fuzz
FUZZ_RUNS ?=

.venv-fuzz/ready .venv-audit/ready: .venv-%/ready: requirements-%.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is older." >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv-$* || { echo "Install the package python3-venv first." >&2; exit 1; }
	.venv-$*/bin/python -m pip install --quiet --require-hashes -r requirements-$*.lock
	@touch $@

fuzz: .venv-fuzz/ready  ## attack every parser, led by coverage, until each had FUZZ_RUNS inputs; hours, goes on where it was
	.venv-fuzz/bin/python tests/fuzz/campaign.py $(FUZZ_DIR) $(FUZZ_RUNS)

audit: .venv-audit/ready  ## hold the locked packages against the known vulnerabilities; needs the advisory service
	.venv-audit/bin/python packaging/audit.py requirements.lock

lock:  ## make the lock files anew from pyproject.toml
	$(PYTHON) -m venv --clear .venv-lock && .venv-lock/bin/python -m pip install --quiet uv
	.venv-lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade pyproject.toml -o requirements.lock
	.venv-lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade --extra demo --extra test pyproject.toml -o requirements-dev.lock
	.venv-lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade --extra fuzz pyproject.toml -o requirements-fuzz.lock
	.venv-lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade --extra audit pyproject.toml -o requirements-audit.lock

clean:  ## remove what the targets made
	rm -rf .roots .venv .venv-other .venv-lock .venv-fuzz .venv-audit .fuzz .deb .promtool .peers soak-table.md build dist .mypy_cache .ruff_cache .hypothesis
