#!/bin/sh
# purity - fails when a static library reaches a function that is not on the list below.
# A list of what is allowed, not of what is forbidden: a clock or a socket that nobody thought of is found too.
set -eu

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: purity.sh <nm> <library.a> [<pattern of what this library may reach besides>]" >&2
    exit 64
fi
nm=$1
library=$2
besides=${3:-memcpy}

memory='(mem(cpy|set|cmp|move|chr)|strlen|strnlen|__mem(cpy|set|move)_chk)'
base='(err|str|money|id|buffer)_[a-z0-9_]+'
compiler='(__stack_chk_(fail|guard)|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|msan|sanitizer|sancov|gcov|llvm)_[A-Za-z0-9_]+)'

# Checked apart, because a failing nm inside a pipe would look like a library that needs nothing.
undefined=$("$nm" -P -u "$library")
defined=$("$nm" -P --defined-only "$library" | awk 'NF > 1 { print $1 }' | sort -u)
if [ -z "$defined" ]; then
    echo "purity: $library defines nothing" >&2
    exit 1
fi

foreign=$(printf '%s\n' "$undefined" | awk 'NF > 1 { print $1 }' | sort -u |
    grep -Evx "$memory|$base|$compiler|$besides" | grep -Fvx "$defined" || true)
if [ -n "$foreign" ]; then
    printf '%s\n' "$foreign" | sed 's/^/not pure: /'
    exit 1
fi
echo "pure: $library"
