# ve.mk: the virtualenv. Every .mk file whose targets need one includes it; the first of them counts.
#
# A sentinel is written last and holds what the virtualenv was made from: which python, in which folder, which pins.
# So content says whether it still holds, not timestamps, and to ask costs one cmp and starts no Python.
# docs/make.md tells of the variables. Keeps to GNU Make 3.81 and POSIX tools.

ifndef make_ve

ve_goal := $(.DEFAULT_GOAL)

PYTHON              ?= python3
PYTHON_MIN          ?= 3.11
VE                  ?= ve
REQUIREMENTS        ?= requirements.txt
REQUIREMENTS_DEV    ?= requirements/dev.txt
REQUIREMENTS_UV     ?= requirements/uv.txt
INSTALLER           ?= uv
PIP_ARGS            ?=
REQUIREMENTS_DEPLOY ?= requirements/deploy.txt

# manage.py names the package that holds the settings, the template's as its last word, Django's as a default.
# The environment's PROJECT is somebody else's: cloud tools have one.
ifneq ($(filter undefined environment,$(origin PROJECT)),)
PROJECT = $(eval PROJECT := $$(or $$(shell $$(find_project)),project))$(PROJECT)
endif
find_project = sed -n -e "s/^ *main([\"']\([A-Za-z0-9_]*\)[\"']).*/\1/p" \
          -e "s/.*DJANGO_SETTINGS_MODULE[\"'], *[\"']\([A-Za-z0-9_]*\).*/\1/p" manage.py 2>/dev/null

# For manage.py, which runs itself in it.
export VE

quote = '$(subst ','\'',$(1))'

# A value from the command line or the environment is data: a branch's name may be among them. If it has a character
# that ends a recipe's quotes or begins a function of make's, whoever uses it fails. `words` may have quotes and, inside
# them, other characters of the shell's. Variables in neither list name a program, or are quoted.
plain = ALLOW_DIRTY APP ASSETS BASE CELERY_APP COMPOSE COPIER DOCKER DOCKERFILES DRIFT_ALLOWED ENV FLEETS \
        FLEET_BASE FLEET_HOSTS HOST IMAGE INSTALLER KEEP MORE_PINS NAME PLATFORM PORT PROCFILE PROJECT \
        PYTHON_MIN REQUIREMENTS REQUIREMENTS_COPIER REQUIREMENTS_DEPLOY REQUIREMENTS_DEV REQUIREMENTS_UV REVISION \
        SECRETS SHELL_FILES TAG TEST_DATABASE UP_SECONDS VE VERSION VE_AUDIT
words = ARGS AUDIT_ARGS BUILD_ARGS COMPILE PYTEST_ARGS TESTS WHEEL_ARGS
define newline


endef
has = $(strip $(foreach char,$(2),$(findstring $(char),$(1))) $(if $(findstring $(newline),$(1)),newline))
is_plain = $(if $(call has,$(value $(1)),' " ` \ ; & | < > $$),,yes)
quoted_well = ([^'"\;&|<>()`\#]|'[^']*'|"([^"\`]|\\.)*"|\\.)*
is_words = $(if $(call has,$(value $(1)),$$),,$(shell \
        printf '%s\n' $(call quote,$(value $(1))) | LC_ALL=C grep -Ex $(call quote,$(quoted_well)) >/dev/null && echo yes))
given = $(if $(value $(1)),$(filter command environment,$(origin $(1))))
refused = $$(error make: $(1) holds a character that make or a shell acts upon: remove it, or see docs/make.md)
refuse = $(eval $(if $(filter command override,$(origin $(1))),override )$(1) = $(refused))$(eval unexport $(1))
$(foreach kind,plain words,$(foreach name,$($(kind)),\
        $(if $(call given,$(name)),$(if $(call is_$(kind),$(name)),,$(call refuse,$(name))))))

make_ve = PYTHON=$(call quote,$(PYTHON)) PYTHON_MIN='$(PYTHON_MIN)' INSTALLER='$(INSTALLER)' \
          PIP_ARGS=$(call quote,$(PIP_ARGS)) REQUIREMENTS_UV='$(REQUIREMENTS_UV)' \
          $(call quote,$(PYTHON)) make/make_ve.py
wanted = { printf '%s\n' $(call quote,$(PYTHON)) && (CDPATH= cd '$(VE)' && pwd -P) && cat $(1); } 2>/dev/null
holds = test -x '$(VE)/bin/python' && $(wanted) | cmp -s - '$@'
no_python = { printf 'make: no %s here: install Python %s or newer, or run make PYTHON=…\n' \
          $(call quote,$(PYTHON)) '$(PYTHON_MIN)' >&2; exit 1; }
has_python = command -v $(call quote,$(PYTHON)) >/dev/null || $(no_python)
install = @$(holds) || { $(has_python); $(make_ve) '$@' $(1); }

$(VE)/sentinel: FORCE
	$(call install,$(REQUIREMENTS))

$(VE)/sentinel-dev: FORCE
	$(call install,$(REQUIREMENTS) $(wildcard $(REQUIREMENTS_DEV)))

$(VE)/sentinel-deploy: FORCE
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEPLOY))

# Every target that works for long begins here. OLD=NEW: variables that a release gave up; local.mk has been read now.
RENAMED =
renamed = $(foreach pair,$(RENAMED),$(call is_now,$(subst =, ,$(pair))))
is_now = $(if $(filter-out undefined,$(origin $(firstword $(1)))),'make: $(firstword $(1)) is $(lastword $(1)) now: set that')

FORCE:
	@$(if $(strip $(renamed)),printf '%s\n' $(renamed) >&2; exit 1)
.PHONY: FORCE

# None of these is what plain make is for.
.DEFAULT_GOAL := $(ve_goal)

endif
