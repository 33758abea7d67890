# template.mk: the template's own tests and pictures. A project does not have this file.
# The Makefile includes it after the other .mk files, as it uses their variables.

include ve.mk

FLEETS = 1 2
KEEP  ?=

## The template itself
.PHONY: new package test-real pins image-test browser screenshots psycopg lowest old-python s3 e2e e2e-all ports benchmark \
        demo faults mutants companions companion-image applications

MYPY = $(VE)/bin/python -m mypy --config-file tests/mypy.ini
RUFF = $(VE)/bin/ruff check --config tests/ruff.toml .

# The tests also need the packages for provisioning.
test: $(VE)/sentinel-tests

# In a git hook or the user's shell, these variables name another repository.
unexport GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

new: $(VE)/copier/sentinel ## start a project from the last commit (NAME=../shop)
	@$(call with,ARGS $(of_uv)) $(slipway) new start $(COPIER) $(call quoted,NAME) {ARGS}

package: FORCE ## build the wheel that projects get, in var/package
	@rm -rf var/package
	@$(call with,$(of_uv)) $(slipway) wheel package

# More processes than cores, as most tests wait. Those marked "alone" run by themselves.
test test-real: PYTEST += -n 6 --dist worksteal

# The first folders in norecursedirs of tests/pytest.ini.
real = $(wildcard $(addprefix tests/,$(shell sed -n '/^norecursedirs/{s/^.*\.\* //; s/ browser .*//p;}' tests/pytest.ini)))

pytest = $(call with,PYTEST_ARGS) $(slipway) exec $(PYTEST)

test-real: $(VE)/sentinel-tests ## run tests with real processes and services: Postgres, Redis, nginx, systemd
	@$(pytest) $(real) --durations=15 {PYTEST_ARGS}

mutants: $(VE)/sentinel-tests $(VE)/sentinel-browser ## break the code at one place at a time: tests must notice (ARGS="--since COMMIT")
	@$(call with,ARGS) $(slipway) exec $(VE)/bin/python tests/mutants.py {ARGS}

pins: $(VE)/sentinel-dev ## test that the pins are complete, up to date and for all platforms; needs the network
	@$(pytest) tests/pins {PYTEST_ARGS}

image-test: $(VE)/sentinel-dev ## test the image: takes minutes, needs Docker (PYTEST_ARGS="…")
	@$(pytest) tests/image --durations=15 {PYTEST_ARGS}

browser: $(VE)/sentinel-browser ## test the pages in a headless Chromium (CHROMIUM=/path if it is not found)
	@$(pytest) tests/browser {PYTEST_ARGS}

screenshots: $(VE)/sentinel-browser ## take the pictures of pages in docs/images again
	@SCREENSHOTS='$(CURDIR)/docs/images' $(PYTEST) tests/browser -k 'alive or 1280-light'

s3: $(VE)/sentinel-s3 ## test the storage of files in S3, which moto imitates
	@$(pytest) tests/s3 {PYTEST_ARGS}

# psycopg 3 has a virtualenv of its own, as Django prefers it to psycopg2.
psycopg: $(VE)/psycopg/sentinel ## test with psycopg 3 and its pool
	@$(call with,PYTEST_ARGS) $(slipway) exec $(VE)/psycopg/bin/python -m pytest tests/pool tests/blobs {PYTEST_ARGS}

$(VE)/psycopg/sentinel: $(REQUIREMENTS) $(REQUIREMENTS_DEV) requirements/psycopg.txt $(VE)/sentinel
	$(call install,$(filter %.txt,$^))

old-python: $(VE)/sentinel-tests ## test what hosts run by an older Python (OLD_PYTHON=python3.9)
	@$(call with,OLD_PYTHON $(of_uv)) PYTHONPATH=. $(VE)/bin/python tests/old_python.py

applications: $(VE)/sentinel-tests ## compare verdicts on migrations of others' applications with what breaks: half an hour, network
	@$(call with,ARGS $(of_uv)) PYTHONPATH=tests $(slipway) exec $(VE)/bin/python -m schema.applications {ARGS}

lowest: $(VE)/lowest/sentinel ## test with the oldest packages that pyproject.toml allows; needs the network
	@VE=$(VE)/lowest $(VE)/lowest/bin/python manage.py test slipway
	@$(call with,PYTEST_ARGS) $(slipway) exec env VE=$(VE)/lowest $(VE)/lowest/bin/python -m pytest -n 6 --dist worksteal tests/ops tests/celery {PYTEST_ARGS}

$(VE)/lowest/sentinel: var/lowest.txt
	$(call install,$<)

var/lowest.txt: pyproject.toml requirements.in requirements/dev.in tests/lowest.py $(VE)/sentinel-dev
	@$(call with,$(of_uv)) PYTHONPATH=. $(VE)/bin/python tests/lowest.py

of_tests = $(REQUIREMENTS) $(REQUIREMENTS_DEV) $(call pins,deploy) $(call pins,copier) $(call pins,docs) requirements/tests.txt

$(VE)/sentinel-tests: $(VE)/sentinel-dev $(of_tests)
	$(call install,$(of_tests))

$(VE)/sentinel-browser $(VE)/sentinel-s3: $(VE)/sentinel-%: $(VE)/sentinel-dev requirements/%.txt
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEV) requirements/$*.txt)

# ---- companions: examples/companions/README.md ----

companion_names = $(patsubst examples/companions/%/README.md,%,$(wildcard examples/companions/*/README.md))
companion_python = $(abspath $(VE))/companion/bin/python
MORE_PINS += $(wildcard slipway/requirements/*.txt examples/companions/requirements.txt)

companion-image: FORCE ## build a companion's image (NAME=samlare TAG=1)
	@$(call with,DOCKER) $(slipway) exec {DOCKER} build --build-arg NAME=$(call quoted,NAME) --tag $(call quoted,NAME):$(call quoted,TAG) examples/companions

companions: $(companion_names:%=companion-test-%) ## test all companions (PYTEST_ARGS="…")

companion-test-%: $(VE)/companion/sentinel-dev
	@cd examples/companions/$* && MYPYPATH='$(CURDIR)' '$(companion_python)' -m mypy --config-file= --strict --follow-imports=silent $*
	@args=$(call quoted,PYTEST_ARGS) && cd examples/companions/$* && \
	  PYTHONPATH='.:$(CURDIR)/tests' '$(companion_python)' -m pytest tests $$args

# All companions share one virtualenv inside the other.
$(VE)/companion/sentinel: examples/companions/requirements.txt $(VE)/sentinel
	$(call install,$<)

$(VE)/companion/sentinel-dev: $(VE)/companion/sentinel $(REQUIREMENTS_DEV)
	$(call install,examples/companions/requirements.txt $(REQUIREMENTS_DEV))

# ---- test servers in containers: .github/CONTRIBUTING.md ----

# Each process that runs tests has a fleet. Files run in their order, so that deploys find hosts that an earlier file
# has provisioned.
with_fleets = $(call with,FLEETS FLEET_HOSTS FLEET_BASE KEEP PYTEST_ARGS ARGS) $(VE)/bin/python -m tests.with_fleets
run_e2e     = $(with_fleets) $(PYTEST) tests/e2e --durations=0 \
  $(if $(word 2,$(FLEETS)),-n $(words $(FLEETS)) --max-worker-restart 0 --dist loadfile --no-loadscope-reorder)

e2e: $(VE)/sentinel-tests ## test on a fleet, which is made and removed (KEEP=1: keep it; PYTEST_ARGS="…")
	@$(run_e2e) -m 'not rare and not extra' {PYTEST_ARGS}

e2e-all: $(VE)/sentinel-tests ## the same, with the extra and rare tests
	@$(run_e2e) {PYTEST_ARGS}

# ve.mk makes an override of what is given, and a target's own variable would win over it.
given_or = $(if $(filter override,$(origin FLEET_HOSTS)),$(FLEET_HOSTS),$(1))

ports benchmark: override FLEETS := $(firstword $(FLEETS))
ports: FLEET_HOSTS := $(call given_or,web1 web2)
ports: $(VE)/sentinel-tests ## adopt and deploy an application of others: takes a quarter of an hour, needs the network
	@$(with_fleets) $(PYTEST) tests/ports {PYTEST_ARGS}

demo: override FLEETS := demo
demo: override FLEET_HOSTS := web1 web2 work1
demo: $(VE)/sentinel-tests wheelhouse ## show on servers in containers what Slipway does: takes three minutes (ARGS="--record FILE")
	@$(MAKE) --no-print-directory build IMAGE=slipway-demo TAG=base
	@$(with_fleets) env PYTHONPATH=tests $(VE)/bin/python -m demo {ARGS}

# Two fleets, of different Debians, but one beside other tools.
faults: override FLEETS := $(if $(findstring --data,$(ARGS)),data data-trixie,faults $(if $(findstring --peers,$(ARGS)),,faults-trixie))
faults: override FLEET_BASE := debian:bookworm-slim debian:trixie-slim
faults: override FLEET_HOSTS := web1 $(if $(findstring --data,$(ARGS)),,web2) work1
faults: $(VE)/sentinel-tests ## try each fault at each step of a deploy: takes hours, goes on where it ended (ARGS="--sample 5")
	@$(with_fleets) env PYTHONPATH=tests $(VE)/bin/python -m matrix {ARGS}

benchmark: FLEET_HOSTS := $(call given_or,web1 web2 web3 web4)
benchmark: $(VE)/sentinel-tests wheelhouse ## compare deploys with hand-written scripts: takes an hour (ARGS=--help: options)
	@$(with_fleets) $(VE)/bin/python tests/benchmarks/deploy.py {ARGS}
