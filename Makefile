# Two commands: `make serve` and `make test`. Both make what they need first, on a machine that
# has Python 3.11 or newer and make. Everything is installed from lock files with hashes.

VENV ?= .venv
PORT ?= 8080
IMAGE ?=
# How images are made and run; podman and buildah do as well as docker:
#   CONTAINER=podman BUILDAH_FORMAT=docker (the image format that has health checks)
export CONTAINER ?= docker
export IMAGE_TAG ?= anpr:latest
IMAGE_BUILD ?= $(CONTAINER) build --tag
export IMAGE_RUN ?= $(CONTAINER) run --memory 1g --memory-swap 1g --cpus 1 --network host
# address of a package index with CPU wheels of Torch, for image-reference
TORCH_INDEX ?=
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

bin := $(VENV)/bin
pip := $(bin)/python -m pip --disable-pip-version-check install --quiet --no-deps
# One thread, few arenas: what the product is tuned for, here as in the container
run := OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=2

.PHONY: readme reference-test help serve read test check reference training lock clean
.PHONY: image image-test image-lambda image-test-lambda image-reference image-test-reference
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 22

serve: $(VENV)/.base ## the service on port 8080 (PORT=…)
	$(run) $(bin)/anpr serve --port $(PORT)

read: $(VENV)/.base ## read one photo: make read IMAGE=photo.jpg
	@test -n "$(IMAGE)" || { echo "usage: make read IMAGE=photo.jpg" >&2; exit 2; }
	@$(run) $(bin)/anpr read "$(IMAGE)"

test: $(VENV)/.test ## the default test suite
	$(run) $(bin)/python -m pytest

check: $(VENV)/.test ## what CI checks beside the tests: lint, format, types
	PATH="$(abspath $(bin)):$$PATH" scripts/check

reference: $(VENV)/.reference ## add Ultralytics, PaddleOCR and Paddle (about 7 GB)

reference-test: $(VENV)/.test $(VENV)/.training $(VENV)/.reference ## test what needs Ultralytics or Paddle
	$(run) $(bin)/python -m pytest -m "reference and not container"

training: $(VENV)/.training ## add what training needs (about 7 GB)

image: ## the container image (IMAGE_TAG=…)
	$(IMAGE_BUILD) $(IMAGE_TAG) . --target runtime --build-arg "TORCH_INDEX=$(TORCH_INDEX)"

image-test: $(VENV)/.test ## measure the image in 1 GiB and one CPU
	$(run) $(bin)/python -m pytest -s -m container tests/container/test_lean.py

image-lambda: ## the image for AWS Lambda
	$(IMAGE_BUILD) $(IMAGE_TAG)-lambda . --target lambda --build-arg "TORCH_INDEX=$(TORCH_INDEX)"

image-test-lambda: $(VENV)/.test ## let that image answer events
	$(run) $(bin)/python -m pytest -s -m container tests/container/test_lambda.py

image-reference: ## the image with Ultralytics and PaddleOCR (about 8 GB)
	$(IMAGE_BUILD) $(IMAGE_TAG)-reference . --target reference --build-arg "TORCH_INDEX=$(TORCH_INDEX)"

image-test-reference: $(VENV)/.test ## measure that image in the same way
	$(run) $(bin)/python -m pytest -s -m container tests/container/test_reference.py

readme: $(VENV)/.base ## write the table of settings into the README
	scripts/readme

lock: ## resolve the dependencies anew (needs uv)
	scripts/lock

clean: ## remove the environment and what was built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# pip hashes every file against the lock; the package itself is linked, not copied
$(VENV)/.base: $(VENV)/.python requirements/base.lock requirements/build.lock pyproject.toml
	$(pip) --require-hashes -r requirements/base.lock -r requirements/build.lock
	$(pip) --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.base requirements/test.lock
	$(pip) --require-hashes -r requirements/test.lock
	@touch $@

$(VENV)/.training: $(VENV)/.base requirements/training.lock
	$(pip) --require-hashes -r requirements/training.lock
	@touch $@

# PaddleX looks for the metadata of opencv-contrib-python, whose files and those of
# opencv-python-headless fight for the folder cv2: the headless ones are put there last.
$(VENV)/.reference: $(VENV)/.base requirements/reference.lock requirements/opencv.lock
	$(pip) --require-hashes -r requirements/reference.lock
	$(pip) --force-reinstall --require-hashes -r requirements/opencv.lock
	@touch $@
