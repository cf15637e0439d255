# Obereg. `make help` lists the targets; each does its own set-up in .venv and build/.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
UMQTT := build/lib/umqtt/simple.py
ROBUST := build/bench/umqtt/robust.py
STUBS := build/stubs/.ready
ARGS ?=

.PHONY: help demo test simulate faults faults-long fuzz-host table tray tray-long bench check size format pins clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: $(READY) $(UMQTT)  ## the whole story once: a press, the desk's answer, felt (ARGS="--json FILE")
	@$(PY) -m sim demo $(ARGS)

test: $(READY) $(UMQTT) $(ROBUST)  ## all tests, two files at a time (ARGS="-k name", ARGS="-n 0" for one)
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

simulate: $(READY) $(UMQTT)  ## 2,000 deterministic worlds and the mutants (ARGS="--seed N" replays one)
	$(PY) -m faults.simulate $(ARGS)

faults: $(READY) $(UMQTT)  ## every fault campaign, as CI runs them (7 minutes on two processors)
	$(PY) -m faults

faults-long: $(READY) $(UMQTT)  ## the same at length (MINUTES=120 for each of worlds, fuzz and modem pairs)
	$(PY) -m faults --long --minutes $(or $(MINUTES),120)

fuzz-host: $(READY) $(UMQTT)  ## coverage-guided fuzz of the host's parsers, where there is an atheris (ARGS="--seconds 60")
	@test -d build/fuzz/atheris || $(VENV)/bin/pip install -q --disable-pip-version-check --no-deps --only-binary :all: \
	    --target build/fuzz -r requirements-fuzz.txt || true
	@$(PY) -m faults.coverage $(ARGS)

table: $(READY) $(UMQTT)  ## a technician's table in the simulator: a board on a cable, broker, desk (docs/technician.md)
	@$(PY) -m sim table $(ARGS)

tray: $(READY) $(UMQTT)  ## ten boards through flash.py all, 20 cuts, 1,000 identities (about 8 minutes)
	$(PY) -m faults.tray $(ARGS)

tray-long: $(READY) $(UMQTT)  ## the same with 200 cuts (about an hour)
	$(PY) -m faults.tray --long $(ARGS)

check: $(READY) $(UMQTT) $(STUBS)  ## ruff (lint, format) and types of firmware and host code
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy --config-file firmware/mypy.ini

bench: $(READY) $(UMQTT) $(ROBUST)  ## side by side with a plain firmware on umqtt.robust (ARGS="--count 8")
	@$(PY) -m bench $(ARGS)
	@$(PY) -m bench.install

size: $(READY)  ## bytes of .mpy per firmware module against the budget
	@$(PY) -m tools.size

format: $(READY)  ## let ruff format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

pins: $(READY)  ## resolve requirements.in again into requirements.txt
	$(PYTHON) -m venv --clear build/pins
	build/pins/bin/pip install -q -r requirements.in
	{ echo '# requirements.in, resolved. Written by `make pins`; do not edit.'; build/pins/bin/pip freeze | sort -f; } > requirements.txt

clean:  ## remove .venv and build
	rm -rf $(VENV) build

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Obereg needs Python 3.11 or newer; this is %s" % sys.version.split()[0])'
	@echo "setting up $(VENV) (once, about half a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@

$(UMQTT): tools/fetch_umqtt.py $(READY)
	@$(PY) -m tools.fetch_umqtt build/lib

$(ROBUST): tools/fetch_umqtt.py $(READY)
	@$(PY) -m tools.fetch_umqtt build/bench simple robust

$(STUBS): requirements-stubs.txt $(READY)
	@rm -rf build/stubs
	@$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps --target build/stubs -r requirements-stubs.txt
	@touch $@
