# shellcheck shell=bash
# shellcheck disable=SC2034  # some of these variables are for the programs that source this
# lib.sh - what the programs for tai-action's driver `command` share: facts, settings, the lock, running a tool and
# ending with a code that the worker understands and one line that says what went wrong.

program=${0##*/}
settings=$0.conf

# Exit codes, as workers/action/drivers/command.h has them.
EXIT_USAGE=64
EXIT_LATER=75
EXIT_CONFIG=78

# refuse message: trying again cannot help.
refuse() {
    printf '%s: %s\n' "$program" "$*" >&2
    exit "$EXIT_CONFIG"
}

# fail_for_now message: it may.
fail_for_now() {
    printf '%s: %s\n' "$program" "$*" >&2
    exit "$EXIT_LATER"
}

# print_manual: the comment at the head of the calling program, without its marks.
print_manual() {
    sed -n '2,/^[^#]/ { /^#/!q; s/^# \{0,1\}//; p }' "$0"
}

# options argument...: --help or nothing; all else comes in the environment.
options() {
    if [[ ${1:-} == --help || ${1:-} == -h ]]; then
        print_manual
        exit 0
    fi
    (($# == 0)) || facts_fail "what is \"$1\"?"
}

facts_fail() {
    printf '%s: %s (see --help)\n' "$program" "$*" >&2
    exit "$EXIT_USAGE"
}

# Who may write the settings may run what he likes as the worker's user. They are read before the facts are looked at,
# which an export in them would otherwise change behind our back.
settings_read() {
    [[ -f $settings && -r $settings ]] || refuse "its settings $settings are not there, or not readable"
    [[ -z $(find -L "$settings" -perm /o+w) ]] || refuse "its settings $settings may be written by anybody"
    # shellcheck source=/dev/null
    source "$settings" || refuse "its settings $settings end with an error"
}

# settings_need name...: refuses unless each is set.
settings_need() {
    local name
    for name in "$@"; do
        [[ ${!name:-} ]] || refuse "$name is not set in $settings"
    done
}

# is_number text least most.
is_number() {
    [[ $1 =~ ^[0-9]{1,6}$ ]] && ((10#$1 >= $2 && 10#$1 <= $3))
}

# settings_number name least most.
settings_number() {
    is_number "${!1}" "$2" "$3" ||
        refuse "$1 in $settings must be a number from $2 to $3, not \"${!1}\""
}

# facts_check: what the worker always gives. It has checked the names already; they become arguments and paths here.
facts_check() {
    local name
    [[ ${TAI_COMMAND:-} =~ ^(apply|read|rollback|finish)$ ]] ||
        facts_fail "TAI_COMMAND is \"${TAI_COMMAND:-}\", none of: apply read rollback finish"
    for name in TAI_REGION TAI_SERVICE TAI_VERSION; do
        [[ ${!name:-} =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || facts_fail "$name is \"${!name:-}\", which is no name"
    done
    is_number "${TAI_WEIGHT:-}" 0 100 ||
        facts_fail "TAI_WEIGHT is \"${TAI_WEIGHT:-}\", no number from 0 to 100"
    image=${TAI_IMAGE:-} digest=${TAI_DIGEST:-}
    previous_version=${TAI_PREVIOUS_VERSION:-} previous_digest=${TAI_PREVIOUS_DIGEST:-}
}

# begin argument...: all of that, with defaults; the program then checks its own settings.
begin() {
    umask 077
    options "$@"
    timeout_s=50 log_file='' lock_folder=/run/lock
    settings_read
    facts_check
    settings_number timeout_s 1 86400
}

# lock_take path: a file or folder that whoever does the same holds too, until it and all its children have ended.
lock_take() {
    local lock
    if [[ ! -d $1 ]]; then : >>"$1" || refuse "cannot write its lock $1"; fi
    exec {lock}<"$1" || refuse "cannot open its lock $1"
    flock -w "$(time_left)" "$lock" || fail_for_now "$1 is locked by another run, which did not end in time"
}

# time_left: whole seconds of timeout_s, at least one.
time_left() {
    local left=$((timeout_s - SECONDS))
    printf '%d\n' $((left > 0 ? left : 1))
}

# run command...: with `input` on its stdin; the end of its output goes to `output`. Its exit code. A tool whose time is over is asked to end, so
# that it gives back what it holds, and killed 5 s later. It stays in our process group, which the worker kills as one.
input='' output=''
run() {
    local status=0
    output=$(timeout --foreground -s INT -k 5 "$(time_left)" "$@" 2>&1 <<<"$input" | tail -c 65536 | tr -d '\0') ||
        status=$?
    if [[ $log_file ]]; then printf '%(%FT%T%z)T %s\n%s\n' -1 "$*" "$output" >>"$log_file"; fi
    case $status in
    124 | 137) fail_for_now "$1: not done within $timeout_s s" ;;
    126 | 127) refuse "$1: cannot be run: $output" ;;
    esac
    return "$status"
}

# first_line pattern: the first line of `output` that has it, else the last that is not empty; cut to fit a detail.
first_line() {
    local line
    line=$(grep -m 1 -E -- "$1" <<<"$output") || line=$(grep -v '^[[:space:]]*$' <<<"$output" | tail -n 1) || line=
    printf '%.300s\n' "$line"
}

# reference version digest: the image as it is pulled.
reference() {
    if [[ $2 ]]; then printf '%s@%s\n' "$image" "$2"; else printf '%s:%s\n' "$image" "$1"; fi
}
