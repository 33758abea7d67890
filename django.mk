# django.mk: develop and test a Django project. `make help` lists the targets.
#
# Works in any Django project: needs manage.py, requirements.txt and make_ve.py beside it. Every name below can be
# set in the Makefile before the include or on the command line (make runserver PORT=8001).
# Keeps to GNU Make 3.81 and POSIX tools.

PYTHON           ?= python3
PYTHON_MIN       ?= 3.11
VE               ?= ve
REQUIREMENTS     ?= requirements.txt
REQUIREMENTS_DEV ?= requirements-dev.txt
REQUIREMENTS_UV  ?= requirements-uv.txt
INSTALLER        ?= uv
PIP_ARGS         ?=
PORT             ?= 8000
ARGS             ?=
PYTEST_ARGS      ?=
MANAGE           ?= $(VE)/bin/python manage.py
CELERY_APP       ?= project

# ---- the virtualenv ----
# A sentinel is written last and holds what the virtualenv was made from: which python, in which folder, which pins.
# So content says whether it still holds, not timestamps, and to ask costs one cmp and starts no Python.

make_ve = PYTHON='$(PYTHON)' PYTHON_MIN='$(PYTHON_MIN)' VE='$(VE)' INSTALLER='$(INSTALLER)' PIP_ARGS='$(PIP_ARGS)' \
          REQUIREMENTS_UV='$(REQUIREMENTS_UV)' '$(PYTHON)' make_ve.py
holds = test -x '$(VE)/bin/python' && { echo '$(PYTHON)' && pwd -P && cat $(1); } 2>/dev/null | cmp -s - '$@'
no_python = { echo 'make: no $(PYTHON) here: install Python $(PYTHON_MIN) or newer, or run make PYTHON=…' >&2; exit 1; }
install = @$(call holds,$(1)) || { command -v '$(PYTHON)' >/dev/null || $(no_python); $(make_ve) '$@' $(1); }

$(VE)/sentinel: FORCE
	$(call install,$(REQUIREMENTS))

$(VE)/sentinel-dev: FORCE
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEV))

FORCE:
.PHONY: FORCE

# ---- what you type ----

.PHONY: runserver migrate migrations test check flake8 shell

runserver: $(VE)/sentinel ## the site at http://localhost:8000 (PORT=…)
	@exec $(MANAGE) runserver $(PORT)

migrations: $(VE)/sentinel ## write migrations for changed models
	@$(MANAGE) makemigrations $(ARGS)
