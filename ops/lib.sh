# shellcheck shell=bash
# shellcheck disable=SC2034  # some of these variables are for the scripts that source this
# lib.sh - what ops/up, ops/down, ops/status, ops/supervise and ops/test share: messages, settings, packages,
# building, and finding and stopping processes by their pid files.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH HOME=${HOME:-/tmp}
programs=(tai-sandbox tai-policy tai-action tai-rollout tai-metrics tai-gateway)

say() {
    printf '%s\n' "$*"
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# usage_fail message: a wrong option; sysexits' EX_USAGE.
usage_fail() {
    printf '%s: %s (see --help)\n' "${0##*/}" "$*" >&2
    exit 64
}

# print_manual: the comment at the head of the calling script, without its marks.
print_manual() {
    sed -n '2,/^[^#]/ { /^#/!q; s/^# \{0,1\}//; p }' "$0"
}

# --- settings -------------------------------------------------------------------------------------------------------

declare -A port=([gateway]=3001 [deployments]=3002 [nats]=4222 [monitor]=8222 [redis]=6379 [sandbox]=12111)
declare -A port_purpose=([gateway]='HTTP of the payment system' [deployments]='HTTP of the deployment system'
    [nats]='nats-server' [monitor]="nats-server's monitoring" [redis]='redis-server'
    [sandbox]='the sandbox payment gateway, cluster and registry')
port_order=(gateway deployments nats monitor redis sandbox)
declare -A workers=([policy]=1 [action]=1 [rollout]=1 [metrics]=1)
worker_order=(policy action rollout metrics)
listen=127.0.0.1
data=$root/run
bin=

# settings_pairs array what list: "a=1,b=2" into an array that has these keys already.
settings_pairs() {
    local -n target=$1
    local what=$2 pair key value pairs
    IFS=, read -ra pairs <<<"$3"
    for pair in "${pairs[@]}"; do
        key=${pair%%=*} value=${pair#*=}
        [[ $key =~ ^[a-z]+$ && -v "target[$key]" ]] || usage_fail "$what: \"$key\" is none of: ${!target[*]}"
        [[ $value =~ ^[1-9][0-9]{0,4}$ && $value -le 65535 ]] || usage_fail "$what: $key must be a number, not \"$value\""
        target["$key"]=$value
    done
}

set_ports() {
    settings_pairs port "$1" "$2"
}

set_workers() {
    settings_pairs workers "$1" "$2"
}

set_data() {
    [[ $1 && $1 != *[\"\$$'\n']* ]] || usage_fail 'the data folder needs a plain name'
    data=$(realpath -m -- "$1")
}

settings_environment() {
    if [[ ${TAI_DATA:-} ]]; then set_data "$TAI_DATA"; fi
    if [[ ${TAI_PORTS:-} ]]; then set_ports TAI_PORTS "$TAI_PORTS"; fi
    if [[ ${TAI_WORKERS:-} ]]; then set_workers TAI_WORKERS "$TAI_WORKERS"; fi
    listen=${TAI_LISTEN:-$listen}
}

# settings_save, settings_load: what a stack was started with, for ops/supervise, ops/down and ops/status.
settings_save() {
    declare -p port workers listen bin >"$data/settings"
}

settings_load() {
    [[ -r $data/settings ]] || return 1
    local line
    while IFS= read -r line; do
        eval "${line/#declare/declare -g}"
    done <"$data/settings"
}

# stack_names: processes in the order in which they start.
stack_names() {
    local worker number
    names=(nats redis sandbox)
    for worker in "${worker_order[@]}"; do
        for ((number = 1; number <= workers[$worker]; number++)); do
            if ((number == 1)); then names+=("$worker"); else names+=("$worker-$number"); fi
        done
    done
    names+=(gateway)
}

# port_holder port: "taken" and, where we may see it, by whom. Looks only at what listens, on any address.
port_holder() {
    local hex inode link holder
    hex=$(printf '%04X' "$1")
    inode=$(awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10; exit }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    [[ $inode ]] || return 1
    link=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print -quit 2>/dev/null) || true
    holder=${link#/proc/} holder=${holder%%/*}
    if [[ $holder ]]; then
        printf 'taken by %s (pid %s)' "$(cat "/proc/$holder/comm" 2>/dev/null)" "$holder"
    else
        printf 'taken'
    fi
}

# url_of port: of one of the stack's HTTP ports, as this machine reaches it.
url_of() {
    local host=$listen
    [[ $host != 0.0.0.0 ]] || host=127.0.0.1
    printf 'http://%s:%s' "$host" "${port[$1]}"
}

# --- packages -------------------------------------------------------------------------------------------------------

# packages_of section...: the names in ops/packages.
packages_of() {
    awk -v wanted=" $* " '/^\[/ { on = index(wanted, " " substr($0, 2, length($0) - 2) " "); next }
        on && NF && $1 !~ /^#/ { print $1 }' "$root/ops/packages"
}

packages_missing() {
    local name status
    for name in $(packages_of "$@"); do
        status=$(dpkg-query -W -f='${db:Status-Status}\n' "$name" 2>/dev/null) || status=
        [[ $'\n'$status == *$'\n'installed* ]] || printf '%s\n' "$name"
    done
}

# ensure_packages section...: installs what is missing. Debian starts nats-server and redis-server by itself after
# installing them, where systemd runs; a stack has its own, so these are kept from starting.
ensure_packages() {
    local missing as_root=()
    command -v apt-get >/dev/null ||
        fail "this needs apt (Debian 12 or 13); elsewhere install what ops/packages lists and use --no-install"
    mapfile -t missing < <(packages_missing "$@")
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            fail "missing packages, and neither root nor sudo to install them: apt-get install ${missing[*]}"
        as_root=(sudo)
        [[ -t 0 ]] || as_root+=(-n)
        "${as_root[@]}" true || fail "missing packages, and sudo refuses: apt-get install ${missing[*]}"
    fi
    say "installing with apt: ${missing[*]}"
    "${as_root[@]}" bash -s -- "${missing[@]}" <"$root/ops/install.sh" || fail 'apt could not install them'
}

# --- building -------------------------------------------------------------------------------------------------------

build_jobs() {
    local count
    count=$(nproc)
    printf '%s\n' "$((count > 8 ? 8 : count))"
}

# build_programs: the release programs, without the tests unless the folder is configured for them already.
build_programs() {
    local folder=$root/build/release log=$root/build/release.log
    mkdir -p "$folder"
    say "building into ${folder#"$root/"} ..."
    if ! {
        { [[ -e $folder/build.ninja ]] || (cd "$root" && cmake --preset release -DTAI_TESTS=OFF); } &&
            cmake --build "$folder" --parallel "$(build_jobs)" --target "${programs[@]}"
    } >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        fail "the build failed; all of it is in $log"
    fi
}

# --- processes ------------------------------------------------------------------------------------------------------

# A pid file is one line: pid, start time in ticks since boot, restarts. The start time keeps us from taking a stranger
# that got the same pid for ours.

# process_stat pid: fills stat_state and stat_start; false when there is no such process.
process_stat() {
    local line fields
    { IFS= read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra fields <<<"${line##*) }"
    stat_state=${fields[0]} stat_start=${fields[19]}
}

process_alive() {
    process_stat "$1" && [[ $stat_start == "$2" && $stat_state != Z && $stat_state != X ]]
}

# process_read name: fills process_pid, process_start, process_restarts from its pid file; false when it does not run.
process_read() {
    process_pid='' process_start='' process_restarts=0
    [[ -r $data/pid/$1 ]] || return 1
    read -r process_pid process_start process_restarts <"$data/pid/$1" || return 1
    [[ $process_pid =~ ^[0-9]+$ ]] && process_alive "$process_pid" "$process_start"
}

process_write() {
    printf '%s %s %s\n' "$2" "$3" "$4" >"$data/pid/$1"
}

# stop_processes seconds name...: TERM to all, waits for all, then KILL for what is left.
stop_processes() {
    local seconds=$1 name deadline
    local -A left=()
    shift
    for name in "$@"; do
        if process_read "$name"; then
            left[$name]="$process_pid $process_start"
            kill -TERM "$process_pid" 2>/dev/null || true
        else
            rm -f "$data/pid/$name"
        fi
    done
    deadline=$((SECONDS + seconds))
    while ((${#left[@]} && SECONDS <= deadline)); do
        stop_collect stopped
        sleep 0.05
    done
    for name in "${!left[@]}"; do
        kill -KILL "${left[$name]% *}" 2>/dev/null || true
    done
    while ((${#left[@]})); do
        stop_collect "did not stop within $seconds s and was killed"
        sleep 0.05
    done
}

# stop_collect word: takes what has ended out of the caller's `left` and says so.
stop_collect() {
    local name
    for name in "${!left[@]}"; do
        # shellcheck disable=SC2086  # two numbers
        if ! process_alive ${left[$name]}; then
            stack_say "$name ${1} (pid ${left[$name]% *})"
            rm -f "$data/pid/$name"
            unset "left[$name]"
        fi
    done
}

# stop_stack: in good order. Nobody new comes in, what is in flight is drained, and the servers go last.
stop_stack() {
    local file name lanes=()
    for file in "$data"/pid/*; do
        name=${file##*/}
        case $name in
        policy* | action* | rollout* | metrics*) lanes+=("$name") ;;
        esac
    done
    stop_processes 20 gateway
    stop_processes 30 "${lanes[@]}"
    stop_processes 5 sandbox
    stop_processes 10 redis
    stop_processes 30 nats
}

# stack_say: a line about the stack's processes; ops/supervise has its own, into its log.
stack_say() {
    say "$*"
}

# stack_left: is anything of the stack alive?
stack_left() {
    local file
    for file in "$data"/pid/*; do
        if process_read "${file##*/}"; then return 0; fi
    done
    return 1
}
