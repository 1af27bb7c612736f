# On a fresh machine, `make app` serves on this machine alone, `make class` in its network, and `make test` runs all checks.
PYTHON ?= python3
BIN := .venv/bin

# All threads of the server share one heap. glibc would give them up to sixteen, and keep some 60 MB at the end of each.
app class: export MALLOC_ARENA_MAX := 1

.PHONY: app class lock test

app: .venv/app
	$(BIN)/streamlit run app.py

class: .venv/app
	$(BIN)/streamlit run class_server.py --server.address 0.0.0.0 --server.headless true --client.showErrorDetails none

lock: .venv/test
	PATH="$(BIN):$$PATH" $(BIN)/python -m docs.lock

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

.venv/app: requirements.txt
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit( \
	'Squeezelab needs Python 3.11 or later, and this is ' + sys.version.split()[0] \
	+ '. Name another one: make PYTHON=python3.12 app')"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -r requirements.txt
	@touch $@

.venv/test: .venv/app tests/requirements.txt
	$(BIN)/pip install -r tests/requirements.txt
	@touch $@
