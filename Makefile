# make demo                          drive the simulated arm to a goal image; result in demo_output/
# make demo ARGS="--episodes 5"      with options of `jepa demo` (a goal not reached is its status 1, make's own is 2)
# make test                          every test; make test ARGS="-k planner" selects
# make nightly                       the long checks: soak, stops, jitter, faults, a million plans, damaged bags; nightly_output/
# make setup                         only the set-up the two do by themselves
# make clean                         remove all that set-up made
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test nightly clean

help:
	@sed -n 's/^# //p' Makefile

setup:
	@tools/setup.sh

demo: setup
	@. ./activate && exec jepa demo $(ARGS)

test: setup
	@. ./activate && export OMP_NUM_THREADS=1 && exec python -m pytest -n 2 --dist loadfile $(ARGS)

NIGHTLY := \
  "soak.py --minutes 5" \
  "estop.py --repeats 50" \
  "guard_jitter.py" \
  "fault_injection.py --repeats 1" \
  "guard_fuzz.py --plans 1000000"

nightly: setup
	@. ./activate && mkdir -p nightly_output && failed= && \
	for check in $(NIGHTLY); do \
	  name=$${check%%.py*}; echo "== $$check"; \
	  python benchmarks/$$check --json nightly_output/$$name.json || failed="$$failed $$name"; \
	done; \
	echo "== damaged bags" && FUZZ_BAGS=10000 python -m pytest -q test/data/test_fuzz_reader.py || failed="$$failed bags"; \
	if [ -n "$$failed" ]; then echo "nightly: failed:$$failed" >&2; exit 1; fi; echo "nightly: every bar was kept"

clean:
	rm -rf .venv build install log
