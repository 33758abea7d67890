# django.mk: develop and test a Django project. `make help` lists the targets, docs/make.md the variables.
# It works in any Django project that has ve.mk, vendor/ and manage.py beside it.

include ve.mk

NAME             ?=
PYTEST           ?= $(VE)/bin/python -m pytest
PYTEST_ARGS      ?=
MANAGE           ?= $(VE)/bin/python manage.py
CELERY_APP       ?= $(PROJECT)
CELERY           ?= $(VE)/bin/python -m celery -A $(CELERY_APP)
PROCFILE         ?= Procfile.dev
COMPILE          ?= pip compile --quiet --universal --python-version $(PYTHON_MIN) --generate-hashes --no-header
MORE_PINS        ?= $(filter-out $(REQUIREMENTS),$(patsubst %.in,%.txt,$(wildcard $(dev_in)) $(filter-out $(dev_in),$(wildcard requirements/*.in))))
AUDIT_ARGS       ?= --vulnerability-service osv
VE_AUDIT         ?= var/audit
dev_in = $(REQUIREMENTS_DEV:.txt=.in)
REQUIREMENTS_COPIER ?= requirements/copier.txt
COPIER              ?= $(VE)/copier/bin/copier
VERSION             ?=
PAGE                ?=
TO                  ?=

.DEFAULT_GOAL := $(if $(.DEFAULT_GOAL),$(.DEFAULT_GOAL),test)

.PHONY: help ve app runserver dev worker beat migrate migrations check flake8 test lint doctor clean upgrade audit template-update

## Develop
help: ## show this list
	@awk 'seen[FILENAME, FNR]++ { next } /^## / { print "\n" substr($$0, 4) ":" } \
	  /^[a-z][a-z0-9-]*:.*## / { split($$0, part, /:.*## /); printf "  %-15s %s\n", part[1], part[2] }' \
	  $(wildcard $(filter-out Makefile,$(MAKEFILE_LIST)) $(filter Makefile,$(MAKEFILE_LIST)))

ve: $(VE)/sentinel-dev ## make the virtualenv, with the tools of development

runserver: $(VE)/sentinel ## serve the site at http://localhost:8000 (PORT=8001: another port)
	@exec $(MANAGE) runserver '$(PORT)'

worker: ## run background jobs (ARGS="…" for Celery)
beat: ## send scheduled jobs when they are due (ARGS="…" for Celery)
worker beat: $(VE)/sentinel
	@$(process) $(CELERY) $@ --loglevel INFO $(ARGS)

dev: $(VE)/sentinel-dev ## run server, worker and beat in one terminal; Ctrl-C stops all
	@PYTHONUNBUFFERED=1 $(process) procfile $(VE)/bin/python -m honcho -e /dev/null -f '$(PROCFILE)' start -p '$(PORT)'

process = VE='$(VE)' PROJECT='$(PROJECT)' CELERY_APP='$(CELERY_APP)' PROCFILE='$(PROCFILE)' $(wanted_in) exec $(call helper,process)
wanted_in = REQUIREMENTS='$(REQUIREMENTS)' REQUIREMENTS_DEV='$(REQUIREMENTS_DEV)'

app: ## add an app: model, page, admin, task and tests (NAME=orders)
	@$(has_python); exec $(call helper,app) '$(PROJECT)' '$(NAME)'

migrate: $(VE)/sentinel ## apply migrations to the database
	@exec $(MANAGE) migrate $(ARGS)

migrations: $(VE)/sentinel ## write migrations for changed models
	@exec $(MANAGE) makemigrations $(ARGS)

## Check
check: $(VE)/sentinel ## run Django's checks
flake8: $(VE)/sentinel-dev ## check the style of Python
test: check flake8 ## run all checks, linters and tests; plain make does the same (ARGS="…", PYTEST_ARGS="…")
lint: check flake8 ## run Django's checks; check style and types of Python, shell scripts and Dockerfiles
# These two check everything in one run and report all failures, so what they depend on does nothing by itself.
test lint: in_all = yes
check flake8 test lint:
	@$(if $(and $(value in_all),$(filter check flake8,$@)),,$(checks) $@)

checks = VE='$(VE)' MANAGE=$(call quote,$(MANAGE)) TESTS=$(call quote,$(TESTS)) ARGS=$(call quote,$(ARGS)) \
  PYTEST=$(call quote,$(PYTEST)) PYTEST_ARGS=$(call quote,$(PYTEST_ARGS)) MYPY='$(mypy)' DRIFT_ALLOWED='$(DRIFT_ALLOWED)' \
  $(foreach name,SHELL_FILES DOCKERFILES,$(if $(filter-out undefined,$(origin $(name))),$(name)='$($(name))')) \
  $(wanted_in) exec $(call helper,check)
mypy = $(VE)/bin/python -m mypy

doctor: ## list what this machine lacks to develop, build and ship, and how to get it
	@$(has_python); PYTHON=$(call quote,$(PYTHON)) PYTHON_MIN='$(PYTHON_MIN)' \
	  $(foreach name,DOCKER ENV DEPLOY_FOLDER,$(if $(value $(name)),$(name)='$($(name))')) exec $(call helper,doctor)

clean: ## remove the virtualenv and caches; data in var/ and .env stay
	@said=$$({ $(remove); } 2>&1) || { echo "make: $$(echo "$$said" | head -n 1): run make clean as the owner of these files" >&2; exit 1; }

remove = { test ! -e '$(VE)/pyvenv.cfg' || rm -rf '$(VE)' '$(VE).lock'; } && find . \( -name .git -o -name var -o -name node_modules \) \
  -prune -o \( -name __pycache__ -o -name .pytest_cache -o -name .mypy_cache -o -name .hypothesis \) -prune -exec rm -rf {} +

## Pins
requirements: $(REQUIREMENTS:.txt=.in) FORCE ## compile requirements.in and requirements/*.in after a change; versions stay
	@$(has_python); $(call helper,indexes) check $< $(MORE_PINS:.txt=.in)
	@$(make_ve) uv $(COMPILE) -o $(REQUIREMENTS) $< && $(call helper,indexes) keep $< $(REQUIREMENTS)
	@for pins in $(MORE_PINS); do in=$${pins%.txt}.in; \
	  $(make_ve) uv $(COMPILE) -c $(REQUIREMENTS) -o "$$pins" "$$in" && $(call helper,indexes) keep "$$in" "$$pins" || exit; done

upgrade: COMPILE += --upgrade
upgrade: requirements ## compile all .in files with the newest versions

audit: $(VE_AUDIT)/sentinel ## check the pins for known vulnerabilities
	@$(VE_AUDIT)/bin/python -m pip_audit --no-deps --disable-pip --progress-spinner off $(AUDIT_ARGS) \
	  $(addprefix -r ,$(wildcard $(REQUIREMENTS) $(MORE_PINS))) 2>'$(VE_AUDIT)/said'; code=$$?; \
	  sed -n '$$s/^/make: /p' '$(VE_AUDIT)/said' >&2; exit $$code

# pip-audit gets its own virtualenv, because the project does not use it.
$(VE_AUDIT)/sentinel: override VE = $(VE_AUDIT)
$(VE_AUDIT)/sentinel: FORCE
	@mkdir -p '$(dir $(VE_AUDIT))'
	$(call install,requirements/audit.txt)

$(REQUIREMENTS:.txt=.in):
	@test -e '$@' || { echo "make: no $@ here: write it, with a package on each line" >&2; exit 1; }

## Keep up
docs: FORCE ## list the pages of the manual, or show one (PAGE=deploy)
	@$(has_python); $(call helper,docs) '$(PAGE)'

template-update: $(VE)/copier/sentinel ## update from the template (VERSION=1.2.0; default: its newest release)
	@exec $(call helper,update) '$(COPIER)' '$(VERSION)' $(ARGS)

slipway-diff: FORCE ## show what an update would change, as a diff (TO=1.3.0; ARGS="--stat")
	@$(has_python); exec $(call helper,update) diff '$(TO)' $(ARGS)

# copier gets its own virtualenv, inside the project's, so that the packages of the two cannot conflict.
$(VE)/copier/sentinel: $(VE)/sentinel FORCE
	@$(MAKE) --no-print-directory -s VE='$(VE)/copier' REQUIREMENTS='$(REQUIREMENTS_COPIER)' INSTALLER='$(its_uv)' '$@'

its_uv = $(if $(filter uv,$(INSTALLER)),$(or $(wildcard $(VE)/bin/uv),uv),$(INSTALLER))

# Report an unknown target. If an included .mk file is missing, make itself reports that.
ifneq ($(MAKECMDGOALS),)
.DEFAULT:
	@$(if $(filter %.mk,$@),false,echo $(call quote,make: there is no target '$@': see make help) >&2; exit 2)
endif
