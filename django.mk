# django.mk: develop and test a Django project. `make help` lists the targets, docs/make.md the variables.
#
# Works in any Django project by `include django.mk`: needs manage.py, requirements.txt, ve.mk and make_ve.py beside it.
# Every name below can be set in the Makefile before the include, in the environment or on the command line
# (make runserver PORT=8001). Keeps to GNU Make 3.81 and POSIX tools.

include ve.mk

PORT             ?= 8000
ARGS             ?=
PYTEST_ARGS      ?=
MANAGE           ?= $(VE)/bin/python manage.py
CELERY           ?= $(VE)/bin/python -m celery -A project
PROCFILE         ?= Procfile.dev
COMPILE          ?= pip compile --quiet --universal --python-version $(PYTHON_MIN) --generate-hashes --no-header
MORE_PINS        ?= $(filter-out $(REQUIREMENTS),$(patsubst %.in,%.txt,$(wildcard requirements-*.in)))
SHELL_FILES      ?= $(shell $(find_scripts))
SHELLCHECK       ?= $(or $(wildcard $(VE)/bin/shellcheck),shellcheck)
DOCKERFILES      ?= $(wildcard Dockerfile */Dockerfile */*/Dockerfile)

.DEFAULT_GOAL := $(if $(.DEFAULT_GOAL),$(.DEFAULT_GOAL),all)

# ---- what you type: `make help` prints each heading and target that has two hashes ----

.PHONY: help all runserver dev worker beat migrate migrations shell superuser manage \
        test check flake8 shellcheck hadolint requirements upgrade clean

## Develop
help: ## this list
	@awk '/^## / { print "\n" substr($$0, 4) ":" } \
	  /^[a-z][a-z0-9-]*:.*## / { split($$0, part, /:.*## /); printf "  %-15s %s\n", part[1], part[2] }' \
	  $(wildcard $(filter-out Makefile,$(MAKEFILE_LIST)) $(filter Makefile,$(MAKEFILE_LIST)))

runserver: $(VE)/sentinel ## the site at http://localhost:8000 (PORT=8001: another port)
	@exec $(MANAGE) runserver '$(PORT)'

worker: $(VE)/sentinel ## runs background jobs (ARGS="…" for Celery)
	@exec $(CELERY) worker --loglevel INFO $(ARGS)

beat: $(VE)/sentinel ## sends the jobs that are due (ARGS="…" for Celery)
	@exec $(CELERY) beat --loglevel INFO $(ARGS)

dev: $(VE)/sentinel-dev ## server, worker and beat in one terminal; Ctrl-C ends all
	@export VE='$(VE)' PYTHONUNBUFFERED=1 && exec $(VE)/bin/python -m honcho -e /dev/null -f $(PROCFILE) start -p '$(PORT)'

migrate: $(VE)/sentinel ## bring the database up to date
	@exec $(MANAGE) migrate $(ARGS)

migrations: $(VE)/sentinel ## write migrations for changed models
	@exec $(MANAGE) makemigrations $(ARGS)

shell: $(VE)/sentinel ## Python with the project loaded
	@exec $(MANAGE) shell $(ARGS)

superuser: $(VE)/sentinel ## add someone who may use the admin
	@exec $(MANAGE) createsuperuser $(ARGS)

manage: $(VE)/sentinel ## any command of manage.py (ARGS="showmigrations home")
	@exec $(MANAGE) $(ARGS)

## Check
all: test shellcheck hadolint ## everything below: what plain make does

test: $(VE)/sentinel-dev ## check, flake8, migrations, tests (ARGS="…" for Django's, PYTEST_ARGS="…" for tests/)
	@$(MANAGE) check
	@$(VE)/bin/python -m flake8
	@$(MANAGE) makemigrations --check --dry-run || { $(no_migration); }
	@$(MANAGE) test $(ARGS)
	@test ! -d tests || exec $(VE)/bin/python -m pytest tests $(PYTEST_ARGS)

check: $(VE)/sentinel ## what Django itself can tell is wrong
	@exec $(MANAGE) check $(ARGS)

flake8: $(VE)/sentinel-dev ## Python style
	@exec $(VE)/bin/python -m flake8 $(ARGS)

shellcheck: $(VE)/sentinel-dev ## shell scripts
	@set -- $(SHELL_FILES); test $$# -eq 0 || exec $(SHELLCHECK) "$$@"

hadolint: $(VE)/sentinel-dev ## Dockerfiles
	@set -- $(DOCKERFILES); test $$# -eq 0 || exec $(VE)/bin/hadolint "$$@"

no_migration = echo "make: models and migrations do not agree, see above: make migrations writes a missing one" >&2; exit 1

# A script is what says so in its first line, whatever its name.
skip = -path './$(VE)' -o -name .git -o -name var -o -name wheelhouse -o -name node_modules
find_scripts = find . \( $(skip) \) -prune -o -type f -exec env LC_ALL=C \
  awk 'FNR == 1 && /^\#!.*[\/ ](sh|dash|bash)( |$$)/ { print FILENAME }' {} +

## Pins
requirements: $(VE)/sentinel-dev ## compile requirements*.in anew after a change; versions stay
	@$(make_ve) uv $(COMPILE) -o $(REQUIREMENTS) $(REQUIREMENTS:.txt=.in)
	@for pins in $(MORE_PINS); do \
	  $(make_ve) uv $(COMPILE) -c $(REQUIREMENTS) -o "$$pins" "$${pins%.txt}.in" || exit; done

upgrade: COMPILE += --upgrade
upgrade: requirements ## the same, to the newest versions

clean: ## remove the virtualenv and caches; data in var/ and .env stay
	@test ! -e '$(VE)/pyvenv.cfg' || rm -rf '$(VE)' '$(VE).lock'
	@find . \( -name .git -o -name var -o -name node_modules \) -prune -o \
	  \( -name __pycache__ -o -name .pytest_cache -o -name .hypothesis \) -prune -exec rm -rf {} +

# An unknown target; what is included but not there is make's own to report.
ifneq ($(MAKECMDGOALS),)
.DEFAULT:
	@$(if $(filter %.mk,$@),false,echo "make: nothing here makes '$@': see make help" >&2; exit 2)
endif
