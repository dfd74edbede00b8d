# make demo: set up and run the main job against the built-in simulator.
# make test: set up and run the tests.
# make crash: kill it more than a thousand times (BATCHER_CRASH_SEED, BATCHER_CRASH_COUNT).
.PHONY: demo test lint bench crash lock clean

PYTHON ?= python3
BIN := .venv/bin

demo: .venv/run
	$(BIN)/batcher run jobs/nightly_failover.toml --simulate --again

test: .venv/dev
	$(BIN)/python -m pytest -n 3 --dist worksteal

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/dev
	$(BIN)/python -m pytest tests/benchmarks -o python_files='bench_*.py' -s --timeout=3600

crash: .venv/dev
	$(BIN)/python -m tests.crash

# Every pin with its hashes, for all platforms. Needs uv; nobody else does.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --group build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv out dist .mypy_cache .pytest_cache .ruff_cache

# uv installs the same locks in a tenth of the time where it is there.
define install
	@echo "setting up .venv from $(1) ..."
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv -q --allow-existing --python $(PYTHON) .venv && \
	  uv pip install -q --python .venv --require-hashes -r $(1) && \
	  uv pip install -q --python .venv --no-deps --no-build-isolation -e .; \
	else \
	  $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(1) && \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@$(BIN)/python -m compileall -q batcher
	@touch $@
endef

.venv/run: requirements.lock pyproject.toml
	$(call install,requirements.lock)

.venv/dev: requirements-dev.lock requirements.lock pyproject.toml
	$(call install,requirements-dev.lock)
	@touch .venv/run
