# node.mk: npm's packages, and what a bundler makes of yours. `make help` lists the targets, docs/node.md tells of them.
#
# Nothing includes it by itself: a project names it in its Makefile, beside the other .mk files in any order. Then what
# it builds is in the image, too. Keeps to GNU Make 3.81 and POSIX tools.

include make/ve.mk

NODE     ?= node
NPM      ?= npm
NPM_ARGS ?=
ASSETS   ?= $(PROJECT)/static/built
ARGS     ?=

node = $(call quote,$(NODE))
npm = $(call quote,$(NPM))
# npm, the bundler and eslint run the node that comes first in PATH: NODE's folder does.
node_first = $(if $(filter-out node,$(NODE)),PATH=$$(CDPATH= cd "$$(dirname "$$(command -v $(node))")" && pwd):$$PATH; )
has_node = $(node_first){ command -v $(node) && command -v $(npm); } >/dev/null || { \
  printf 'make: no %s or no %s here: install Node.js (https://nodejs.org/), or run make NODE=… NPM=…\n' $(node) $(npm) >&2; exit 1; }
new_enough = $(has_python); $(call quote,$(PYTHON)) -c 'import sys; sys.exit(sys.version_info < tuple(map(int, sys.argv[1].split("."))))' \
  '$(PYTHON_MIN)' || { printf 'make: %s is older than Python %s: run make PYTHON=…\n' $(call quote,$(PYTHON)) '$(PYTHON_MIN)' >&2; exit 1; }
make_node = env NODE=$(node) NPM=$(npm) NPM_ARGS=$(call quote,$(NPM_ARGS)) ASSETS='$(ASSETS)' $(call quote,$(PYTHON)) make/make_node.py
has_eslint = test -x node_modules/.bin/eslint || { \
  echo 'make: no eslint here: npm install --save-dev eslint @eslint/js, and commit what that changes' >&2; exit 1; }

# Its content says whether it holds, as a virtualenv's does. make/make_node.py writes the same: a checksum, as .npmrc
# may hold a password.
node_wanted = { $(node) --version && cat package.json package-lock.json $(wildcard .npmrc); } 2>/dev/null | cksum
node_holds = $(node_wanted) | cmp -s - '$@'

node_modules/sentinel: package.json package-lock.json make/make_node.py FORCE
	@$(has_node); $(node_holds) || { $(new_enough); $(make_node) install; }

package.json:
	@test -e '$@' || { echo 'make: no $@ here: npm init, then npm install --save-dev what you need' >&2; exit 1; }

package-lock.json:
	@test -e '$@' || { echo 'make: no $@ here: npm install, then commit it' >&2; exit 1; }

make/make_node.py:
	@test -e '$@' || { echo 'make: no $@ here: take it from the template, see docs/make.md' >&2; exit 1; }

# ---- what you type ----

## Front end
.PHONY: assets assets-watch eslint

assets: node_modules/sentinel ## what the script build of package.json makes, anew, for static files
	@$(has_node); $(new_enough); $(make_node) build

assets-watch: node_modules/sentinel ## the same by its script watch, again with each change
	@$(has_node); $(new_enough); exec $(make_node) watch

eslint: node_modules/sentinel ## JavaScript style (ARGS="--fix")
	@$(has_eslint); $(has_node); exec node_modules/.bin/eslint $(ARGS)

# Where the others are included, too.
all: eslint
build: assets
