# The project's own settings. Its rules are in the included files; yours go here or, kept out of git, in local.mk.

APP   ?= slipway
IMAGE ?= $(APP)
PORT  ?= 8000

.DEFAULT_GOAL := all

include django.mk docker.mk deploy.mk
-include local.mk

## The template itself
browser: $(VE)/sentinel-browser ## the pages in a headless Chromium (CHROMIUM=/path where it is not found)
	@exec $(VE)/bin/python -m pytest tests/browser $(PYTEST_ARGS)

screenshots: $(VE)/sentinel-browser ## take the pictures in docs/images anew
	@SCREENSHOTS='$(CURDIR)/docs/images' exec $(VE)/bin/python -m pytest tests/browser -k alive

$(VE)/sentinel-browser: $(VE)/sentinel-dev FORCE
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEV) requirements-browser.txt)

.PHONY: browser screenshots
