# One line each; the work is in tools/.
# Try: make demo SECONDS=60 ARGS="--cameras 8"   make test ARGS="-k digest"    PYTHON=python3.12 make demo
#      make deb ARCH=arm64 KEY=release.key     make stick ARCH=arm64 KEY=release.key
SECONDS ?= 30
ARGS ?=
ARCH ?= amd64
KEY ?=

.PHONY: demo test check bench campaign deb stick clean

demo: ; @tools/environment && .venv/bin/pasu demo --seconds $(SECONDS) $(ARGS)
test: ; @tools/environment dev && tools/peers && tools/tests $(ARGS)
check: ; @tools/environment dev && tools/check
bench: ; @tools/environment dev && tools/peers && tools/bench $(ARGS)
campaign: ; @tools/environment dev && tools/peers && tools/tests --campaign $(ARGS)
deb: ; @tools/environment && .venv/bin/python tools/deb --arch $(ARCH) $(if $(KEY),--sign $(KEY)) $(ARGS)
stick: deb ; @tools/stick $(ARCH) $(KEY)
clean: ; rm -rf .venv build dist *.egg-info demo-output bench-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
