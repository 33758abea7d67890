# django.mk: develop and test a Django project. `make help` lists the targets, docs/make.md the variables.
# It works in any Django project that has ve.mk, vendor/ and manage.py beside it.

include ve.mk

NAME        ?=
TEST        ?=
PYTEST      ?= $(VE)/bin/python -m pytest
PYTEST_ARGS ?=
MANAGE      ?= $(VE)/bin/python manage.py
CELERY_APP  ?= $(PROJECT)
CELERY      ?= $(VE)/bin/python -m celery -A $(call quoted,CELERY_APP)
PROCFILE    ?= Procfile.dev
AUDIT_ARGS  ?= --vulnerability-service osv
VERSION     ?=
DATA        ?=
DOCS_PORT   ?= 8001
TO          ?=
MORE_PINS   ?= $(if $(locked),,$(filter-out $(REQUIREMENTS) $(REQUIREMENTS_DEV),$(sort $(wildcard requirements/*.txt))))
COPIER       = $(VE)/copier/bin/copier

.DEFAULT_GOAL := $(or $(filter-out help-by-default,$(.DEFAULT_GOAL)),test)

.PHONY: ve app runserver shell dev worker beat migrate migrations messages check flake8 test format lint coverage \
        doctor clean requirements upgrade audit docs template-update slipway-diff

ve: $(VE)/sentinel-dev ## make the virtualenv, with the tools of development

# Settings that name a package of development, such as "debug_toolbar", need it in these.
dev_names   = { sed '' $(wildcard $(REQUIREMENTS_DEV:.txt=.in)) /dev/null; \
              sed -n '/^\[dependency-groups]/,/^\[/s/^ *"//p' $(wildcard pyproject.toml) /dev/null; }
in_settings = $(dev_names) | sed -n -e '/^[A-Za-z]/!d; y/-/_/; s/^django_//; s/[^A-Za-z0-9_].*//' \
              -e "s/.*/[\"'](django_)?&[\"'.]/p" | grep -Ef - $(wildcard */settings*.py) /dev/null
runserver shell worker beat migrate migrations messages check: $(VE)/sentinel$(if $(shell $(in_settings)),-dev)

runserver: ## serve the site at http://localhost:8000 (PORT=8001: another port)
	@exec $(MANAGE) runserver $(call quoted,PORT)

worker: ## run background jobs (ARGS="…" for Celery)
beat: ## send scheduled jobs when they are due (ARGS="…" for Celery)
worker beat:
	@$(call with,ARGS) $(slipway) exec $(CELERY) $@ --loglevel INFO {ARGS}

dev: $(VE)/sentinel-dev ## run server, worker and beat in one terminal; Ctrl-C stops all
	@$(call with,PROJECT CELERY_APP PORT) PYTHONUNBUFFERED=1 exec $(VE)/bin/python -m honcho \
	  -e /dev/null -f $(call quoted,PROCFILE) start -p $(call quoted,PORT)

app: $(VE)/sentinel-dev ## add an app: model, page, admin, task and tests (NAME=orders)
	@exec $(MANAGE) startapp $(call quoted,NAME)

migrate: ## apply migrations to the database
migrations: ## write migrations for changed models
messages: ## collect the texts to translate into LANGUAGES, and compile the translations
shell: ## start Python with the models imported (ARGS="…")
migrate migrations messages shell:
	@$(call with,ARGS) $(slipway) exec $(MANAGE) $(patsubst m%s,makem%s,$@) {ARGS}

## Check
check: ## run Django's checks
flake8: $(VE)/sentinel-dev ## check the style of Python
test: $(if $(TEST),$(VE)/sentinel-dev,check flake8) ## run checks, linters, tests; or some tests (TEST=…)
lint: check flake8 ## run Django's checks; check style and types of Python, shell scripts and Dockerfiles
format: $(VE)/sentinel-dev ## format the project's Python by ruff
coverage: $(VE)/sentinel-dev ## measure which lines the tests run (TEST=…: these tests)
# test and lint check everything in one run and report all failures, so what they depend on does nothing by itself.
test lint: in_all = yes
check flake8 test lint format coverage:
	@$(if $(and $(value in_all),$(filter check flake8,$@)),,$(call with,$(of_checks)) $(slipway) check $@)

of_checks = PROJECT MANAGE TEST TESTS ARGS PYTEST PYTEST_ARGS MYPY RUFF DRIFT_ALLOWED REQUIREMENTS_DEV \
            $(call defined,SHELL_FILES DOCKERFILES)
defined   = $(foreach name,$(1),$(if $(filter-out undefined,$(origin $(name))),$(name)))
MYPY      = $(VE)/bin/python -m mypy
RUFF      = $(VE)/bin/ruff check .

doctor: FORCE ## list what this machine lacks to develop, build and ship, and how to get it
	@$(call with,PYTHON_MIN $(call defined,DOCKER BASE)) $(slipway) doctor

clean: FORCE ## remove the virtualenv and caches; data in var/ and .env stay
	@$(slipway) clean

## Pins
requirements: ## pin the packages of pyproject.toml in uv.lock, or run what writes requirements.txt; versions stay
upgrade: ## the same, with the newest versions
requirements upgrade: FORCE
	@$(call with,$(of_pins) MORE_PINS) $(slipway) requirements lock $(filter --upgrade,--$@) {MORE_PINS}

audit: var/audit/sentinel $(REQUIREMENTS) $(pins_dev) ## check the pins for known vulnerabilities
	@$(call with,AUDIT_ARGS) $(slipway) audit var/audit/bin/python -m pip_audit --no-deps --disable-pip \
	  --progress-spinner off {AUDIT_ARGS} $(addprefix -r ,$(REQUIREMENTS) $(pins_dev) $(MORE_PINS))

# Programs that the project does not use get virtualenvs of their own.
var/audit/sentinel: $(call pins,audit)
	$(call install,$<)

$(VE)/copier/sentinel: $(call pins,copier) $(VE)/sentinel
	$(call install,$<)

## Keep up
docs: var/docs/sentinel ## show the manual as a site, at http://localhost:8001 (DOCS_PORT=8002: another port)
	@$(slipway) site serve var/docs/bin/python var/site $(call quoted,DOCS_PORT)

var/docs/sentinel: $(call pins,docs)
	$(call install,$<)

template-update: $(VE)/copier/sentinel ## update from the template (VERSION=1.2.0; default: its newest release; DATA=ci=gitlab)
	@$(call with,ARGS $(of_uv)) $(slipway) update $(COPIER) $(call quoted,VERSION) \
	  $(if $(DATA),--data=$(call quoted,DATA)) {ARGS}

slipway-diff: FORCE ## show what an update would change, as a diff (TO=1.3.0)
	@$(call with,ARGS) $(slipway) diff $(call quoted,TO) {ARGS}

# Report an unknown target. If an included .mk file is missing, make itself reports that.
ifneq ($(MAKECMDGOALS),)
.DEFAULT:
	@$(if $(filter %.mk,$@),false,$(eval export GOAL := $$@)echo "make: there is no target '$$GOAL': see make help" >&2; exit 2)
endif
