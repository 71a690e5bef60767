# Two commands are all a reader needs: `make book` and `make test`.
#   make book    install, get the data, execute what changed, render, say where to open it
#   make test    unit tests, then every notebook that changed, and each headline without training
#   make serve   look at the book in a browser          make sync    .md -> .ipynb (CHECK=1: only compare)
#   make browser   every page in Chromium, at three widths, light and dark
#   make live      a control in a kernel: JupyterLab in Chromium, moved by keys
#   make check   lint, layers, sizes, sync, spelling       make bench   the benchmarks
#   make timings keep the measured run times            make clean   forget every build product
#   make constraints   note the installed versions         COMPLETE=1: fail where data are absent
# A chapter runs on each core; JOBS=1 runs one at a time, with all cores.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := book,compare,hub,test
SPELLED := README.md CONTRIBUTING.md CHANGELOG.md book mmtutor tests benchmarks data_scripts
TESTED := _build/.tested
SOURCES := $(shell find .ci benchmarks book data_scripts mmtutor tests *.toml *.yml *.md *.cff \
	-type f -not -path '*/__pycache__/*' 2>/dev/null)
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := book
.PHONY: book test test-lowest test-newest notebooks serve browser live
.PHONY: sync check data bench timings constraints clean

book: notebooks
	@$(BIN)/python -m book.tools.render
	@$(BIN)/python -m book.tools.links

test: data sync $(TESTED)
	@$(BIN)/python -m book.tools.execute $(if $(JOBS),--jobs $(JOBS)) $(if $(COMPLETE),--complete)
	@$(BIN)/python -m book.tools.headlines $(if $(JOBS),--jobs $(JOBS))

# Like a chapter, the unit tests run again only when something they read has changed. One process a
# core, one thread each; a file's tests stay together, for they share what they trained.
$(TESTED): $(READY) $(SOURCES) | data sync
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses $(or $(JOBS),auto) --dist loadfile
	@mkdir -p $(@D) && touch $@

# An environment of its own each time, `_build/venv-lowest` (8 GB with torch's CUDA packages) or
# `_build/venv-newest`; what came of it is noted for the page "Versions that work".
test-lowest: RESOLUTION := lowest-direct
test-newest: RESOLUTION := highest
test-lowest test-newest: test-%: data
	@bash book/tools/make_venv.sh _build/venv-$*
	_build/venv-$*/bin/python -m pip install --quiet --upgrade uv
	_build/venv-$*/bin/uv pip install --python _build/venv-$* --upgrade \
		--resolution $(RESOLUTION) --editable ".[$(EXTRAS)]"
	OMP_NUM_THREADS=1 _build/venv-$*/bin/python -m book.tools.versions $* \
		--jobs $(or $(JOBS),auto)

notebooks: data sync
	@$(BIN)/python -m book.tools.execute $(if $(JOBS),--jobs $(JOBS)) $(if $(COMPLETE),--complete)

data: $(READY)
	@$(BIN)/mmtutor fetch --all || echo "Cells of the book that need a missing set say so."

sync: $(READY)
	@$(BIN)/python -m book.tools.sync $(if $(CHECK),--check)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m book.tools.size
	$(BIN)/codespell $(wildcard $(SPELLED))
	$(BIN)/python -m book.tools.sync --check
	$(BIN)/python -m book.tools.links

serve: book
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

browser: book
	@bash book/tools/chromium.sh
	@$(BIN)/python -m book.tools.browser $(if $(JOBS),--jobs $(JOBS))

# Outside CI, for it installs JupyterLab.
live: $(READY)
	@bash book/tools/chromium.sh
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[live]"
	$(BIN)/python -m pytest -q tests/notebook/live.py

bench: data
	$(BIN)/python -m benchmarks

timings: notebooks
	@$(BIN)/python -m book.tools.execute --timings

constraints: $(READY)
	@{ head -2 constraints.txt; $(BIN)/pip freeze --exclude-editable \
		| grep -viE '^(nvidia|cuda|triton)'; } > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf _build .pytest_cache .ruff_cache .import_linter_cache

# One pip call sees torch and torchvision together, so that it takes two that match.
$(READY): pyproject.toml constraints.txt book/tools/make_venv.sh
	@bash book/tools/make_venv.sh $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check \
		--constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@
