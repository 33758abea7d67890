#!/bin/sh
# propose.sh: upgrades the pins, tests them, and proposes the change on the branch upgrade-pins, in CI: as a pull request
# on GitHub, as a merge request on GitLab. Fails where the tests do; the change is proposed all the same, and says so.
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
    git -c user.name='Pins' -c user.email='pins@localhost' commit -q -a -m "$title" -m "$(changes)" -m "$tested"
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

[ -n "${GITHUB_ACTIONS-}${GITLAB_CI-}" ] ||
    { echo 'propose.sh: runs in GitHub Actions or GitLab CI; by hand make upgrade does it' >&2; exit 64; }
[ -z "$(git status --porcelain)" ] || { echo 'propose.sh: what is not committed would be proposed, too' >&2; exit 1; }

# The newest packages are nobody's to trust yet: they see no token.
untrusted() { env -u GH_TOKEN -u UPGRADE_TOKEN "$@"; }

untrusted make upgrade
changed=$(git status --porcelain)
if git diff --quiet HEAD; then echo 'propose.sh: the pins are the newest already'; exit; fi
tested='make test passes.' code=0
untrusted make test || { tested='make test FAILS: see the job.' code=1; }
[ "$(git status --porcelain)" = "$changed" ] || { echo 'propose.sh: make test has changed files' >&2; exit 1; }
commit
if [ -n "${GITHUB_ACTIONS-}" ]; then github; else gitlab; fi
exit "$code"
