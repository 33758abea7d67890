#!/bin/sh
# rollout.sh [OVERLAY]: rolls out the release named in the overlay (production) to its namespace, which must exist.
# If web, worker or beat does not get ready, all three go back to the previous revision's tag: never reuse a tag.
set -eu
cd "$(dirname "$0")"
overlay=${1:-production}
namespace=$(sed -n 's/^namespace: //p' "$overlay/kustomization.yaml")

there() { kubectl --namespace "$namespace" "$@"; }

there delete job migrate --ignore-not-found
there apply -k "$overlay" -l rollout=before # settings and migrations
there wait --for=condition=complete --timeout=310s job/migrate
there apply -k "$overlay"
for name in web worker beat; do
    there rollout status "deployment/$name" && continue
    there rollout undo deployment/web deployment/worker deployment/beat
    echo "rollout.sh: $name does not get ready; all went back to the release before" >&2
    exit 1
done
