# template.mk: the template's own tests and pictures. A project does not have this file.
# The Makefile includes it after the other .mk files, as it uses their variables.

include ve.mk

FLEETS = 1 2
KEEP  ?=

## The template itself
.PHONY: new package test-real pins image-test browser screenshots s3 e2e e2e-all ports benchmark mutants \
        companion companions companion-image

mypy = $(VE)/bin/python -m mypy --config-file tests/mypy.ini

# The tests also need the packages for provisioning.
test: $(VE)/sentinel-tests

# In a git hook or the user's shell, these variables name another repository.
unexport GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

new: $(VE)/copier/sentinel ## start a project from the last commit (NAME=../shop)
	@test -n '$(NAME)' || { echo 'make: no NAME: name the folder, such as make new NAME=../shop' >&2; exit 1; }
	@test ! -e '$(NAME)' || { echo 'make: $(NAME) exists already: choose another NAME' >&2; exit 1; }
	@test -z "$$(git status --porcelain 2>&1)" || { $(not_committed); }
	@mkdir -p '$(NAME)' 2>/dev/null && rmdir '$(NAME)' || { echo 'make: $(NAME) cannot be made: choose another NAME' >&2; exit 1; }
	@[ -t 0 ] || defaults=$(filter-out $(ARGS),--defaults); \
	'$(COPIER)' copy $(filter-out $(ARGS),--quiet --trust) $(if $(filter --vcs-ref% -r,$(ARGS)),,--vcs-ref HEAD) $$defaults $(ARGS) \
	  . '$(NAME)' && { test ! -d '$(NAME)/.git' || git -C '$(NAME)' rev-parse --verify HEAD >/dev/null 2>&1; }

not_committed = echo 'make: some files are not committed, and a project would lack them: see git status, then git commit' >&2; exit 1

package: FORCE ## build the wheel that projects get, in var/package
	@$(has_python); $(call helper,package) var/package

# More processes than cores, as most tests wait. Those marked "alone" run by themselves.
test test-real: PYTEST += -n 6 --dist worksteal

# The first folders in norecursedirs of tests/pytest.ini.
real = $(wildcard $(addprefix tests/,$(shell sed -n '/^norecursedirs/{s/^.*\.\* //; s/ browser .*//p;}' tests/pytest.ini)))

test-real: $(VE)/sentinel-tests ## run tests with real processes and services: Postgres, Redis, nginx, systemd
	@exec $(PYTEST) $(real) --durations=15 $(PYTEST_ARGS)

mutants: $(VE)/sentinel-tests ## break the code at one place at a time: tests must notice (ARGS="--since COMMIT")
	@exec '$(VE)/bin/python' tests/mutants.py $(ARGS)

pins: $(VE)/sentinel-dev ## test that the pins are complete, up to date and for all platforms; needs the network
	@exec $(PYTEST) tests/pins $(PYTEST_ARGS)

image-test: $(VE)/sentinel-dev ## test the image: takes minutes, needs Docker (PYTEST_ARGS="…")
	@$(docker_ready); exec $(PYTEST) tests/image --durations=15 $(PYTEST_ARGS)

browser: $(VE)/sentinel-browser ## test the pages in a headless Chromium (CHROMIUM=/path if it is not found)
	@exec $(PYTEST) tests/browser $(PYTEST_ARGS)

screenshots: $(VE)/sentinel-browser ## make the pictures in docs/images again, except those of a terminal
	@PYTHONPATH=tests '$(VE)/bin/python' -m pictures.diagrams
	@SCREENSHOTS='$(CURDIR)/docs/images' exec $(PYTEST) tests/browser -k alive

s3: $(VE)/sentinel-s3 ## test the storage of files in S3, which moto imitates
	@exec $(PYTEST) tests/s3 $(PYTEST_ARGS)

$(VE)/sentinel-tests: $(VE)/sentinel-dev FORCE
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEV) $(REQUIREMENTS_DEPLOY) $(REQUIREMENTS_COPIER) requirements/tests.txt)

$(VE)/sentinel-browser: $(VE)/sentinel-dev FORCE
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEV) requirements/browser.txt)

$(VE)/sentinel-s3: $(VE)/sentinel-dev FORCE
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEV) requirements/s3.txt)

# ---- companions: examples/companions/README.md ----

companion_names = $(patsubst examples/companions/%/README.md,%,$(wildcard examples/companions/*/README.md))
companion_programs = $(notdir $(patsubst %/__main__.py,%,$(wildcard examples/companions/*/*/__main__.py)))
MORE_PINS += $(patsubst %.in,%.txt,$(wildcard examples/companions/requirements.in))

companion: ## run a companion of the site (NAME=samlare ARGS="…")
	@$(companion_there); $(MAKE) --no-print-directory -s '$(VE)/companion/sentinel' && \
	  PYTHONPATH='examples/companions/$(NAME)' exec '$(VE)/companion/bin/python' -m '$(NAME)' $(ARGS)

companion-image: ## build a companion's image (NAME=samlare TAG=1)
	@$(companion_there); $(docker_ready)
	@exec $(DOCKER) build --build-arg NAME='$(NAME)' --tag '$(NAME):$(TAG)' examples/companions

companions: $(companion_names:%=companion-test-%) ## test all companions (PYTEST_ARGS="…")

companion-test-%: $(VE)/companion/sentinel-dev
	@cd 'examples/companions/$*' && '$(abspath $(VE))/companion/bin/python' -m mypy --strict '$*'
	@cd 'examples/companions/$*' && PYTHONPATH='.:$(CURDIR)/tests' exec '$(abspath $(VE))/companion/bin/python' -m pytest tests $(PYTEST_ARGS)

companion_there = test -e 'examples/companions/$(NAME)/$(NAME)/__main__.py' || { \
  echo 'make: no such companion: set NAME to one of: $(strip $(companion_programs))' >&2; exit 1; }

# All companions share one virtualenv inside the other.
$(VE)/companion/sentinel $(VE)/companion/sentinel-dev: $(VE)/sentinel FORCE
	@mkdir -p '$(VE)/companion'
	@$(MAKE) --no-print-directory -s VE='$(VE)/companion' REQUIREMENTS=examples/companions/requirements.txt INSTALLER='$(its_uv)' '$@'

# ---- test servers in containers: CONTRIBUTING.md ----

# Tests push images to a registry.
fleet_up += --registry

# Each process that runs tests has a fleet. The first trap removes all fleets, even if the tests fail. Without the
# second, Ctrl-C would end the shell too early.
with_fleets = trap '[ -n "$(KEEP)" ] || for FLEET in $(FLEETS); do export FLEET; $(run_fleet) down; done' EXIT; \
  trap 'exit 130' HUP INT TERM; for FLEET in $(FLEETS); do export FLEET; $(fleet_up) || exit; done
# Files run in their order, so that deploys find hosts that an earlier file has provisioned.
run_e2e = $(with_fleets); unset FLEET; $(PYTEST) tests/e2e --durations=0 \
  $(if $(word 2,$(FLEETS)),-n $(words $(FLEETS)) --max-worker-restart 0 --dist loadfile --no-loadscope-reorder)

e2e: $(VE)/sentinel-tests ## test on a fleet, which is made and removed (KEEP=1: keep it; PYTEST_ARGS="…")
	@$(run_e2e) -m 'not rare and not extra' $(PYTEST_ARGS)

e2e-all: $(VE)/sentinel-tests ## the same, with the extra and rare tests
	@$(run_e2e) $(PYTEST_ARGS)

ports benchmark: override FLEETS := $(firstword $(FLEETS))
ports: FLEET_HOSTS = web1 web2
ports: $(VE)/sentinel-tests ## adopt and deploy an application of others: takes a quarter of an hour, needs the network
	@$(with_fleets); $(PYTEST) tests/ports $(PYTEST_ARGS)

benchmark: FLEET_HOSTS = web1 web2 web3 web4
benchmark: $(VE)/sentinel-tests wheelhouse ## compare deploys with hand-written scripts: takes an hour (ARGS=--help: options)
	@$(with_fleets); $(VE)/bin/python tests/benchmarks/deploy.py $(ARGS)
