#!/bin/sh
# propose.sh: proposes newer pins in CI, on the branch upgrade-pins: a pull request on GitHub, a merge request on GitLab.
#
#   make/propose.sh pins             upgrade and test them, without a token, as nobody trusts the newest packages yet; the
#                                    patch is left in var/upgrade, and a file `tested` where the tests pass
#   make/propose.sh propose FOLDER   apply the patch of that folder to a fresh checkout, if it is of pins alone, and
#                                    propose it, tested or not; none of the packages runs
set -eu
branch=upgrade-pins title='Upgrade the pins'

# "django 5.2.1 -> 5.2.2" for each pin that git shows as changed, whatever number of files has it.
changes() {
    git diff -U0 HEAD | awk '/^[-+][A-Za-z0-9].*==/ { sub(/==/, " "); name = substr($1, 2); all[name]
            if (/^-/) old[name] = $2; else new[name] = $2 }
        END { for (name in all) if (old[name] != new[name])
            print "- " name " " (old[name] == "" ? "(new)" : old[name]) " -> " (new[name] == "" ? "(gone)" : new[name]) }' | sort
}

commit() {
    git -c user.name='Pins' -c user.email='pins@localhost' commit -q -m "$title" -m "$(changes)" -m "$tested"
}

github() { # the checkout has the login; gh has GH_TOKEN
    git push --quiet --force origin "HEAD:refs/heads/$branch"
    if [ "$(gh pr list --head "$branch" --state open --json number --jq length)" = 0 ]; then
        gh pr create --head "$branch" --base "$GITHUB_REF_NAME" --title "$title" --body "$(git log -1 --format=%b)"
    else
        gh pr edit "$branch" --body "$(git log -1 --format=%b)"
    fi
}

gitlab() { # the token is in no command line
    # shellcheck disable=SC2016
    login='!f() { echo username=pins; echo "password=$UPGRADE_TOKEN"; }; f'
    git -c credential.helper= -c credential.helper="$login" push --quiet --force \
        -o merge_request.create -o merge_request.remove_source_branch -o merge_request.title="$title" \
        -o merge_request.target="$CI_DEFAULT_BRANCH" "$CI_SERVER_URL/$CI_PROJECT_PATH.git" "HEAD:refs/heads/$branch"
}

die() { echo "propose.sh: $1" >&2; exit "${2:-1}"; }

pins() {
    [ -z "${GH_TOKEN-}${UPGRADE_TOKEN-}" ] || die 'the newest packages would see the token: see docs/ci.md'
    make upgrade
    rm -rf var/upgrade
    mkdir -p var/upgrade
    git diff --no-ext-diff HEAD >var/upgrade/pins.patch
    if git diff --quiet HEAD; then echo 'propose.sh: the pins are the newest already'; exit; fi
    make test
    touch var/upgrade/tested
}

# A pin is in a file that has been there, and that an .in file beside it is compiled into.
only_pins() {
    changed=$(git diff --cached --raw --no-renames HEAD)
    while read -r was is _ _ state path; do
        case "$was $is $state $path" in ":100644 100644 M "*.txt) [ ! -f "${path%.txt}.in" ] || continue ;; esac
        die "the patch changes $path, which holds no pins: nothing is proposed"
    done <<END
$changed
END
}

propose() {
    [ -f "$1/pins.patch" ] || die "no patch of pins in $1"
    if [ ! -s "$1/pins.patch" ]; then echo 'propose.sh: nothing newer'; exit; fi
    git apply --index "$1/pins.patch"
    only_pins
    tested='make test passes.'
    [ -e "$1/tested" ] || tested='make test FAILS: see the job.'
    commit
    if [ -n "${GITHUB_ACTIONS-}" ]; then github; else gitlab; fi
}

[ -n "${GITHUB_ACTIONS-}${GITLAB_CI-}" ] || die 'runs in GitHub Actions or GitLab CI; by hand make upgrade does it' 64
[ -z "$(git status --porcelain)" ] || die 'what is not committed would be proposed, too'
case "${1-} $#" in
    'pins 1' | 'propose 2') "$@" ;;
    *) die 'usage: make/propose.sh pins, or make/propose.sh propose FOLDER' 64 ;;
esac
