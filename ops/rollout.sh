# shellcheck shell=bash
# rollout.sh - what ops/up and ops/demo share: posting a deployment and following it on the terminal. Sourced after
# lib.sh. The deployment system is at url_of deployments.

# deploy_post json: sets deployment_id and deployment_json, the answer; false where it was not taken.
deploy_post() {
    local answer code
    say "POST $(url_of deployments)/deploy $1"
    answer=$(curl -sS -m 20 -w '\n%{http_code}' -X POST "$(url_of deployments)/deploy" -H 'Prefer: wait=0' \
        -H 'Content-Type: application/json' -d "$1") || fail 'the gateway did not answer'
    code=${answer##*$'\n'} deployment_json=${answer%$'\n'*}
    say "-> $code"
    deployment_id=$(jq -r '.deployment_id // empty' <<<"$deployment_json" 2>/dev/null) || deployment_id=
    [[ $deployment_id && $code == 20[0-2] ]]
}

# An event as a line: time, region, what, stage, weight, why; and the gates that did not pass with their counts.
# shellcheck disable=SC2016  # jq's variables
rollout_line='
    "  \(.at[11:19])  \(.region)  \(.event)"
    + (if .stage then "  \(.stage)" else "" end)
    + (if .weight_percent != null then "  \(.weight_percent) %" else "" end)
    + (if .who then "  by \(.who)" else "" end)
    + (if (.why // "") != "" then "  \(.why)" else "" end)'

# deploy_follow: a line for each event of deployment_id as it comes, until its outcome stands: deployment_outcome.
follow_seconds=120
deploy_follow() {
    local url seen=0 outcome='' until=$((SECONDS + follow_seconds)) events
    url=$(url_of deployments)/deployments/$deployment_id
    while [[ -z $outcome ]] && ((SECONDS < until)); do
        outcome=$(curl -sS -m 10 "$url" 2>/dev/null | jq -c '.outcome // empty' 2>/dev/null) || outcome=
        events=$(curl -sS -m 10 "$url/events" 2>/dev/null) || events='[]'
        jq -r --argjson seen "$seen" ".[] | select(.sequence > \$seen) | $rollout_line" <<<"$events" 2>/dev/null || true
        seen=$(jq -r --argjson seen "$seen" '[.[].sequence, $seen] | max' <<<"$events" 2>/dev/null) || seen=0
        [[ $outcome ]] || sleep 0.3
    done
    if [[ -z $outcome ]]; then
        say "not over after $follow_seconds s: curl $url"
        return 1
    fi
    deployment_outcome=$outcome
}

deploy_outcome() {
    [[ -z ${deployment_outcome:-} ]] ||
        jq '{deployment_id, service, version, status, duration_secs, stages_completed, error_message}' \
            <<<"$deployment_outcome"
}
