# pins.mk: compile the .in files into pins with hashes. django.mk includes it; docs/make.md tells of the variables.
# Keeps to GNU Make 3.81 and POSIX tools.

ifndef pins_goal

include make/ve.mk
pins_goal := $(or $(.DEFAULT_GOAL),none)

COMPILE          ?= pip compile --quiet --universal --python-version $(PYTHON_MIN) --generate-hashes --no-header
MORE_PINS        ?= $(filter-out $(REQUIREMENTS),$(patsubst %.in,%.txt,$(wildcard $(dev_in)) $(filter-out $(dev_in),$(wildcard requirements/*.in))))

AUDIT_ARGS       ?= --vulnerability-service osv
VE_AUDIT         ?= var/audit

dev_in = $(REQUIREMENTS_DEV:.txt=.in)

## Pins
.PHONY: requirements upgrade audit

requirements: $(REQUIREMENTS:.txt=.in) FORCE ## compile requirements.in and requirements/*.in after a change; versions stay
	@$(has_python); sh make/indexes.sh check $< $(MORE_PINS:.txt=.in)
	@$(make_ve) uv $(COMPILE) -o $(REQUIREMENTS) $< && sh make/indexes.sh keep $< $(REQUIREMENTS)
	@for pins in $(MORE_PINS); do in=$${pins%.txt}.in; \
	  $(make_ve) uv $(COMPILE) -c $(REQUIREMENTS) -o "$$pins" "$$in" && sh make/indexes.sh keep "$$in" "$$pins" || exit; done

upgrade: COMPILE += --upgrade
upgrade: requirements ## the same, to the newest versions

audit: $(VE_AUDIT)/sentinel ## ask whether any pin is known to be vulnerable
	@$(VE_AUDIT)/bin/python -m pip_audit --no-deps --disable-pip --progress-spinner off $(AUDIT_ARGS) \
	  $(addprefix -r ,$(wildcard $(REQUIREMENTS) $(MORE_PINS))) 2>'$(VE_AUDIT)/said'; code=$$?; \
	  sed -n '$$s/^/make: /p' '$(VE_AUDIT)/said' >&2; exit $$code

# Another virtualenv, so that what audits is no part of the project.
$(VE_AUDIT)/sentinel: override VE = $(VE_AUDIT)
$(VE_AUDIT)/sentinel: FORCE
	@mkdir -p '$(dir $(VE_AUDIT))'
	$(call install,requirements/audit.txt)

$(REQUIREMENTS:.txt=.in):
	@test -e '$@' || { echo "make: no $@ here: name in it what the project needs, a package a line" >&2; exit 1; }

# None of these is what plain make is for.
.DEFAULT_GOAL := $(filter-out none,$(pins_goal))

endif
