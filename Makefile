# One line each; the work is in tools/.
# Try: make demo SECONDS=60 ARGS="--cameras 8"   make test ARGS="-k digest"    PYTHON=python3.12 make demo
SECONDS ?= 30
ARGS ?=

.PHONY: demo test check bench campaign clean

demo: ; @tools/environment && .venv/bin/pasu demo --seconds $(SECONDS) $(ARGS)
test: ; @tools/environment dev && tools/peers && tools/tests $(ARGS)
check: ; @tools/environment dev && tools/check
bench: ; @tools/environment dev && tools/peers && tools/bench $(ARGS)
campaign: ; @tools/environment dev && tools/peers && tools/tests --campaign $(ARGS)
clean: ; rm -rf .venv build dist *.egg-info demo-output bench-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
