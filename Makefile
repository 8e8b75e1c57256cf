# SPDX-License-Identifier: Apache-2.0
# make demo and make test set everything up by themselves, in any order.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ROS_VENV := .venv-ros

# With ROS 2 sourced its Python path reaches into the environment. Embedded modules stand in for what
# is missing there, but not for our messages on its rclpy: without a colcon build it is hidden.
CLEAN_PATH = if [ -n "$$PYTHONPATH" ] && ! $(BIN)/python -c 'import dsac_ros.msg' >/dev/null 2>&1; \
	then unset PYTHONPATH; fi; export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
# A file of tests is one worker's; test/conftest.py says how many there are, and puts the slow files
# first. All of them read the compiled files of the first one that needs them.
export PYTHONDONTWRITEBYTECODE :=
PARALLEL := -p xdist -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test test-ros lint docs clean

help:
	@echo 'make demo      learn a rendered room, localize in it through the node, write a report'
	@echo 'make test      run the tests, on all cores'
	@echo 'make test-ros  run those of nodes on the rclpy of ROS 2 Jazzy from PyPI, in $(ROS_VENV)'
	@echo 'make lint      check style (ruff) and types (mypy)'
	@echo 'make docs      build the documentation site into site/'
	@echo 'make setup     only what all do first: a virtual environment in $(VENV)'
	@echo 'make clean     remove the virtual environments and what the builds left'

setup: $(STAMP)

$(STAMP): setup.py pyproject.toml constraints.txt embedded/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
		|| { echo 'make: $(PYTHON) is missing or older than 3.10: install Python 3.10 or newer, or name one: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo 'make: $(PYTHON) cannot make virtual environments: sudo apt install python3-venv' >&2; exit 1; }
	@$(BIN)/python -c 'import pip' 2>/dev/null || { echo '== virtual environment in $(VENV)'; \
		rm -rf $(VENV) && env -u PYTHONPATH $(PYTHON) -m venv $(VENV); }
	@echo '== packages of constraints.txt into $(VENV): the first time this downloads torch, minutes'
	@env -u PYTHONPATH $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ./embedded -e '.[test,standalone]'
	@touch $(STAMP)
	@echo '== set up'

demo: $(STAMP)
	@echo '== dsac demo'
	@$(CLEAN_PATH); $(BIN)/dsac demo

test: $(STAMP)
	@echo '== tests'
	@$(CLEAN_PATH); $(BIN)/python -m pytest -q $(PARALLEL)

# The quick tests of nodes and of both vendors' DDS, on a real rclpy; it says so where it cannot.
test-ros: $(STAMP)
	@$(BIN)/python -E test/ros_wheels/run_tests.py $(ROS_VENV) $(PARALLEL)

lint: $(STAMP)
	@echo '== ruff'
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet || { echo 'make lint: run $(BIN)/ruff format' >&2; exit 1; }
	@echo '== mypy'
	@env -u PYTHONPATH $(BIN)/mypy

# The variable: no notice that the theme ends in May 2027; Zensical, its successor, reads mkdocs.yml.
docs: $(VENV)/.docs
	@echo '== documentation into site/'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

$(VENV)/.docs: $(STAMP)
	@env -u PYTHONPATH $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) $(ROS_VENV) site build install log dist demo_output dsac_ros.egg-info .pytest_cache .ruff_cache \
		.mypy_cache embedded/embedded_ros.egg-info embedded/build
