# make demo                          drive the simulated arm to a goal image; result in demo_output/
# make demo ARGS="--episodes 5"      with options of `jepa demo` (a goal not reached is its status 1, make's own is 2)
# make test                          every test; make test ARGS="-k planner" selects
# make setup                         only the set-up the two do by themselves
# make clean                         remove all that set-up made
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test clean

help:
	@sed -n 's/^# //p' Makefile

setup:
	@tools/setup.sh

demo: setup
	@. ./activate && exec jepa demo $(ARGS)

test: setup
	@. ./activate && export OMP_NUM_THREADS=1 && exec python -m pytest $(ARGS)

clean:
	rm -rf .venv build install log
