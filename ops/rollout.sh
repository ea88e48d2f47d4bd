# shellcheck shell=bash
# rollout.sh - what ops/up and ops/demo share: posting a deployment and following it on the terminal. Sourced after
# lib.sh; the deployment system is at url_of deployments.

# deploy_post json: sets deployment_id and deployment_json, the answer; false where it was not taken.
deploy_post() {
    local answer code
    say "POST $(url_of deployments)/deploy $1"
    answer=$(curl -sS -m 20 -w '\n%{http_code}' -X POST "$(url_of deployments)/deploy" -H 'Prefer: wait=0' \
        -H 'Content-Type: application/json' -d "$1") || fail 'the gateway did not answer'
    code=${answer##*$'\n'} deployment_json=${answer%$'\n'*}
    deployment_id=$(jq -r '.deployment_id // empty' <<<"$deployment_json" 2>/dev/null) || deployment_id=
    say "-> $code $deployment_id"
    [[ $deployment_id && $code == 20[0-2] ]]
}

# deploy_order json: a control order for deployment_id.
deploy_order() {
    say "POST /deployments/$deployment_id/control $1"
    curl -sS -m 10 -o /dev/null -w '-> %{http_code}\n' -X POST "$(url_of deployments)/deployments/$deployment_id/control" \
        -H 'Content-Type: application/json' -d "$1"
}

# An event as a line: time, region, what, stage, weight, verdict with its counts, who, why. Where a verdict is no pass,
# each gate that had requests explains itself: counts, share, bounds, limit.
# shellcheck disable=SC2016  # jq's variables
rollout_line='
    def percent: if . == null then "?" else "\((. * 10000 | round) / 100) %" end;
    def finding: "            \(.gate): \(.verdict), \(.bad) of \(.total) = \(.share | percent)"
        + ", bounds \(.lower | percent) to \(.upper | percent), limit \(.limit | percent)"
        + (if .baseline_total then ", baseline \(.baseline_share | percent) of \(.baseline_total)" else "" end)
        + (if (.reason // "") != "" then " (\(.reason))" else "" end);
    "  \(.at[11:19])  \(.region)  \(.event)"
    + (if .stage then "  \(.stage)" else "" end)
    + (if .weight_percent != null then "  \(.weight_percent) %" else "" end)
    + (if .verdict then "  \(.verdict.verdict): \(.canary.errors) errors in \(.canary.requests) requests" else "" end)
    + (if .who then "  by \(.who)" else "" end)
    + (if (.why // "") != "" then "  (\(.why))" else "" end),
    (if .verdict and .verdict.verdict != "pass" then
        .verdict.findings[] | select((.total // 0) > 0) | finding else empty end)'

# deploys_before region: what is in work or waits there, without deployment_id; empty for nothing.
deploys_before() {
    curl -sS -m 10 "$(url_of deployments)/deployments?region=$1&state=IN_PROGRESS" |
        jq -r --arg ours "$deployment_id" \
            '[.[] | select(.deployment_id != $ours) | "\(.deployment_id) (\(.service) \(.version))"] | join(", ")'
}

follow_seconds=120

# deploy_follow [event]: a line for each event of deployment_id as it comes, until the first of this kind or until its
# outcome, which ends the stream and is left in deployment_outcome; false where neither came in follow_seconds.
deploy_follow() {
    local line data kind feed curl_pid until=${1:-} status=1
    deployment_outcome=
    exec {feed}< <(exec curl -sSN -m "$follow_seconds" -H 'Accept: text/event-stream' \
        "$(url_of deployments)/deployments/$deployment_id/events" 2>/dev/null)
    curl_pid=$!
    while ((status)) && IFS= read -r -u "$feed" line; do
        data=${line#data: }
        case $line in
        'event: '*) kind=${line#event: } ;;
        'data: '*)
            if [[ $kind == outcome ]]; then
                deployment_outcome=$data status=0
            else
                jq -r "$rollout_line" <<<"$data"
                if [[ $until && $(jq -r .event <<<"$data") == "$until" ]]; then status=0; fi
            fi
            ;;
        esac
    done
    kill "$curl_pid" 2>/dev/null || true
    exec {feed}<&-
    ((status == 0)) || say "not over after $follow_seconds s: see $(url_of deployments)/deployments/$deployment_id"
    return "$status"
}

deploy_outcome() {
    [[ -z ${deployment_outcome:-} ]] ||
        jq '{deployment_id, service, version, status, duration_secs, stages_completed, error_message}' \
            <<<"$deployment_outcome"
}
