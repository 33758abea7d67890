# template.mk: what concerns the template alone: its own tests and pictures. `make mine` removes that, and this file.
#
# The Makefile includes it where it is there, after the others, of which it uses some variables. Keeps to GNU Make 3.81
# and POSIX tools.

include make/ve.mk

FLEETS      ?= 1 2
FLEET_HOSTS ?= web1 web2 work1
FLEET_BASE  ?= debian:bookworm-slim
KEEP        ?=
NAME        ?=

## The template itself
.PHONY: new mine test-real pins image-test browser screenshots s3 fleet fleet-down e2e e2e-all ports \
        companion companions companion-image

# They test provisioning, too.
test: $(VE)/sentinel-tests

new: $(VE)/copier/sentinel ## a project of its own, of what is committed here (NAME=../shop)
	@test -n '$(NAME)' || { echo 'make: where to? make new NAME=../shop' >&2; exit 1; }
	@test ! -e '$(NAME)' || { echo 'make: $(NAME) is there already: choose another NAME' >&2; exit 1; }
	@test -z "$$(git status --porcelain 2>&1)" || { $(not_committed_new); }
	@[ -t 0 ] || defaults=--defaults; \
	exec '$(COPIER)' copy --quiet --trust --vcs-ref HEAD $$defaults $(ARGS) . '$(NAME)'

mine: ## remove the template's own tests and pages, and all of this section; git can undo it
	@test -z "$$(git status --porcelain 2>&1)" || { $(not_committed); }
	@$(has_python); $(call quote,$(PYTHON)) make/new.py readme && git add README.md
	@echo "make: what $(owners) calls left out goes:" && sed -n '$(left_out)  \1 \2/p' $(owners)
	@for path in $$(sed -n '$(left_out)\1/p' $(owners)); do git rm -rq --ignore-unmatch "$$path" && rm -rf "$$path" || exit; done
	@$(end_of_mine)

owners = docs/update.md
left_out = s/^| `\([^`]*\)` | left out | \(.*\) |$$/
not_committed_new = echo 'make: a project is made of what is committed: see git status, then git commit' >&2; exit 1
not_committed = echo 'make: what is not committed could be lost with it: see git status, then git commit' >&2; exit 1
end_of_mine = { test ! -e LICENSE || echo 'make: LICENSE stays, for what came from the template; rename it where your own shall be beside it'; \
  echo 'make: git commit keeps it so, git reset --hard undoes it'; }

# They wait more than they work; those that must not wait for others are marked "alone".
test test-real: PYTEST += -n 6 --dist worksteal

# tests/pytest.ini names them first of those that `make test` leaves out.
real = $(wildcard $(addprefix tests/,$(shell sed -n '/^norecursedirs/{s/^.*\.\* //; s/ browser .*//p;}' tests/pytest.ini)))

test-real: $(VE)/sentinel-tests ## tests with real processes and services: Postgres, Redis, nginx, systemd's units
	@exec $(PYTEST) $(real) --durations=15 $(PYTEST_ARGS)

pins: $(VE)/sentinel-dev ## whether the pins are whole, not stale, and for all platforms; needs the network
	@exec $(PYTEST) tests/pins $(PYTEST_ARGS)

image-test: $(VE)/sentinel-dev ## tests of the image: minutes, needs Docker (PYTEST_ARGS="…")
	@$(docker_ready); exec $(PYTEST) tests/image --durations=15 $(PYTEST_ARGS)

browser: $(VE)/sentinel-browser ## the pages in a headless Chromium (CHROMIUM=/path where it is not found)
	@exec $(PYTEST) tests/browser $(PYTEST_ARGS)

screenshots: $(VE)/sentinel-browser ## take the pictures in docs/images anew
	@SCREENSHOTS='$(CURDIR)/docs/images' exec $(PYTEST) tests/browser -k alive

s3: $(VE)/sentinel-s3 ## files in a bucket, of moto's server
	@exec $(PYTEST) tests/s3 $(PYTEST_ARGS)

$(VE)/sentinel-tests: $(VE)/sentinel-dev FORCE
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEV) $(REQUIREMENTS_DEPLOY) $(REQUIREMENTS_COPIER) requirements/tests.txt)

$(VE)/sentinel-browser: $(VE)/sentinel-dev FORCE
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEV) requirements/browser.txt)

$(VE)/sentinel-s3: $(VE)/sentinel-dev FORCE
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEV) requirements/s3.txt)

# ---- companions: companions/README.md ----

companion_names = $(patsubst companions/%/README.md,%,$(wildcard companions/*/README.md))
companion_programs = $(notdir $(patsubst %/__main__.py,%,$(wildcard companions/*/*/__main__.py)))
MORE_PINS += $(patsubst %.in,%.txt,$(wildcard companions/requirements.in))

companion: ## runs a companion of the site (NAME=samlare ARGS="…")
	@$(companion_there); $(MAKE) --no-print-directory -s '$(VE)/companion/sentinel' && \
	  PYTHONPATH='companions/$(NAME)' exec '$(VE)/companion/bin/python' -m '$(NAME)' $(ARGS)

companion-image: ## an image of it (NAME=samlare TAG=1)
	@$(companion_there); $(docker_ready)
	@exec $(DOCKER) build --build-arg NAME='$(NAME)' --tag '$(NAME):$(TAG)' companions

companions: $(companion_names:%=companion-test-%) ## tests of all companions (PYTEST_ARGS="…")

companion-test-%: $(VE)/companion/sentinel-dev
	@cd 'companions/$*' && '$(abspath $(VE))/companion/bin/python' -m mypy --strict '$*'
	@cd 'companions/$*' && PYTHONPATH='.:$(CURDIR)/tests' exec '$(abspath $(VE))/companion/bin/python' -m pytest tests $(PYTEST_ARGS)

companion_there = test -e 'companions/$(NAME)/$(NAME)/__main__.py' || { \
  echo 'make: which companion? NAME=$(firstword $(companion_programs)); there are: $(strip $(companion_programs))' >&2; exit 1; }

# One virtualenv for all of them, within the other.
$(VE)/companion/sentinel $(VE)/companion/sentinel-dev: $(VE)/sentinel FORCE
	@mkdir -p '$(VE)/companion'
	@$(MAKE) --no-print-directory -s VE='$(VE)/companion' REQUIREMENTS=companions/requirements.txt INSTALLER='$(its_uv)' '$@'

# ---- test servers in containers: CONTRIBUTING.md ----

run_fleet = PYTHONPATH=tests $(call quote,$(PYTHON)) -m e2e.fleet
fleet_up  = $(run_fleet) up --base '$(FLEET_BASE)' $(FLEET_HOSTS)

fleet: ## test servers in containers, up and ready (FLEET_HOSTS="web1 …" FLEET_BASE=debian:…)
	@$(fleet_up)

fleet-down: ## remove the test servers and all they hold
	@for FLEET in $(FLEETS); do export FLEET; $(run_fleet) down || exit; done

# One fleet for each process that runs tests. The traps take all down however the tests end; without the second, Ctrl-C
# would end the shell too early.
with_fleets = trap '[ -n "$(KEEP)" ] || for FLEET in $(FLEETS); do export FLEET; $(run_fleet) down; done' EXIT; \
  trap 'exit 130' HUP INT TERM; for FLEET in $(FLEETS); do export FLEET; $(fleet_up) || exit; done
# Files in their order: those of deploys then find hosts that the one before has provisioned.
run_e2e = $(with_fleets); unset FLEET; $(PYTEST) tests/e2e --durations=0 \
  $(if $(word 2,$(FLEETS)),-n $(words $(FLEETS)) --max-worker-restart 0 --dist loadfile --no-loadscope-reorder)

e2e: $(VE)/sentinel-tests ## tests on the fleet, which is made and removed (KEEP=1: stays; PYTEST_ARGS="…")
	@$(run_e2e) -m 'not rare and not extra' $(PYTEST_ARGS)

e2e-all: $(VE)/sentinel-tests ## the same, with extras and variants
	@$(run_e2e) $(PYTEST_ARGS)

ports: override FLEETS := $(firstword $(FLEETS))
ports: FLEET_HOSTS = web1 web2
ports: $(VE)/sentinel-tests ## an application of others, adopted and deployed: a quarter of an hour, needs the network
	@$(with_fleets); $(PYTEST) tests/ports $(PYTEST_ARGS)
