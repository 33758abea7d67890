# node.mk: npm packages, and your front end built by a bundler. `make help` lists the targets; see examples/README.md.
#
# To use it, include it in the project's Makefile, before or after the other .mk files. The image then
# contains what the bundler builds. It works with GNU Make 3.81 and POSIX tools.

include ve.mk

.DEFAULT_GOAL := $(or $(.DEFAULT_GOAL),help-by-default)

ASSETS ?= $(PROJECT)/static/built
$(call one_path,ASSETS)

has_node = { command -v node && command -v npm; } >/dev/null || { \
  echo 'make: no node or no npm in PATH: install Node.js (https://nodejs.org/)' >&2; exit 1; }
has_eslint = test -x node_modules/.bin/eslint || { \
  echo 'make: no eslint here: run npm install --save-dev eslint @eslint/js, and commit the changes' >&2; exit 1; }

# Install development packages even with NODE_ENV=production, because the bundler is one of them.
node_modules/sentinel: package.json package-lock.json $(wildcard .npmrc)
	@$(has_node); echo 'make: installing what package-lock.json names' >&2; \
	npm ci --include=dev --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null && \
	mkdir -p node_modules && touch $@

package.json package-lock.json:
	@echo 'make: no $@ here: run npm init, npm install --save-dev PACKAGE, then commit package.json and package-lock.json' >&2; exit 1

# The bundler fills the folder `new`, which then replaces the folder `built`. So `built` has no old or partial files.
built = $(patsubst %/,%,$(ASSETS))
may_go = test ! -e '$(built)' || { yours=$$(git ls-files --cached --others --exclude-standard -- '$(built)') && test -z "$$yours"; } || { \
  echo 'make: ASSETS=$(ASSETS) would be replaced, but git does not ignore it: name a folder that git ignores' >&2; exit 1; }

define bundle
new='$(built).new'; trap 'rm -rf "$$new"' EXIT; trap 'exit 1' HUP INT TERM; rm -rf "$$new" && mkdir -p "$$new" && \
ASSETS=$$new npm run --silent build </dev/null && { test -n "$$(ls -A "$$new")" || { \
  echo 'make: npm run build wrote nothing into the folder $$ASSETS: change the script build of package.json' >&2; exit 1; }; } && \
rm -rf '$(built)' && mv "$$new" '$(built)'
endef

# ---- targets ----

## Front end
.PHONY: assets assets-watch eslint

assets: node_modules/sentinel ## build static files by the script build of package.json
	@$(may_go); $(bundle)

assets-watch: node_modules/sentinel ## the same after each change, by the script watch
	@mkdir -p '$(built)'; ASSETS='$(built)' exec npm run --silent watch

eslint: node_modules/sentinel ## lint JavaScript (ARGS="--fix")
	@$(has_eslint); $(call with,ARGS) $(slipway) exec node_modules/.bin/eslint {ARGS}

# If the Makefile includes django.mk and docker.mk, `make test` also runs eslint, and `make build` first makes assets.
test: eslint
build: assets
