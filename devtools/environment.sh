#!/usr/bin/env bash
# Creates and fills the environment .venv; called by `make`. Each step prints one line. PYTHON=… names the interpreter to
# use; without it the first suitable one on the PATH is taken.
#
#   environment.sh python                     prints the interpreter that would be used
#   environment.sh intact                     exit code 0 if .venv is whole and belongs to this folder and interpreter
#   environment.sh create                     creates .venv
#   environment.sh install REQUIREMENTS.txt   installs exactly what the file pins
#   environment.sh project                    installs the checkout's distributions, editable, without asking an index
set -euo pipefail

VENV=.venv
OLDEST=3.11

say() { printf 'environment: %s\n' "$*"; }
die() { printf 'environment: %s\n' "$*" >&2; exit 1; }

# "3.12.4 yes yes": version, whether it is new enough, whether it can make an environment with pip in it.
describe() {
    "$1" -I - 2>/dev/null <<'PYTHON'
import sys
from importlib.util import find_spec
print("%d.%d.%d" % sys.version_info[:3], "yes" if sys.version_info >= (3, 11) else "no",
      "yes" if find_spec("venv") and find_spec("ensurepip") else "no")
PYTHON
}

# Prints the path of a suitable interpreter. One without ensurepip is the second choice (see fetch_pip).
find_python() {
    local candidate path found version new whole second='' seen=''
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        path=$(command -v "$candidate") || continue
        found=$(describe "$path") || continue
        read -r version new whole <<<"$found"
        seen+="${seen:+, }$path is $version"
        [ "$new" = yes ] || continue
        if [ "$whole" = yes ]; then
            printf '%s\n' "$path"
            return
        fi
        second=${second:-$path}
    done
    if [ -n "$second" ]; then
        printf '%s\n' "$second"
    elif [ -n "${PYTHON:-}" ]; then
        die "PYTHON=$PYTHON is not Python $OLDEST or newer: ${seen:-it does not run}."
    else
        die "Python $OLDEST or newer is needed. Found: ${seen:-none}. Install one, or name it: make PYTHON=/path/to/python …"
    fi
}

# Prints the folder and the interpreter of .venv. If they differ from .venv/.origin, .venv must be created again.
origin() { printf '%s\n%s\n' "$PWD" "$("$1" -I -c 'import sys; print(sys.base_prefix, sys.version)')"; }

intact() {
    [ -f $VENV/.origin ] && [ ! -e $VENV/.filling ] || return 1
    local interpreter=$VENV/bin/python
    [ -x $interpreter ] && [ "$(origin $interpreter 2>/dev/null)" = "$(cat $VENV/.origin)" ] || return 1
    [ -n "${PYTHON:-}" ] || return 0
    interpreter=$(find_python 2>/dev/null) && [ "$(origin "$interpreter")" = "$(cat $VENV/.origin)" ]
}

# Allows one run at a time. Child processes inherit the lock, so a run waits for the children of a run that was killed.
# The lock is on this file, because .venv may be deleted.
lock() {
    exec 9<"$0"
    flock --nonblock 9 && return
    [ "$1" != create ] || say "waiting for another run that fills $VENV"
    flock 9
}

create() {
    local python version new whole
    ! intact || return 0 # another run has created it meanwhile
    python=$(find_python)
    read -r version new whole <<<"$(describe "$python")"
    say "creating $VENV with Python $version ($python)"
    rm -rf $VENV
    if [ "$whole" = yes ]; then
        beside "$python" -m venv $VENV
    else
        "$python" -I -c 'import venv' 2>/dev/null || missing_venv "$python" "$version"
        beside "$python" -m venv --without-pip $VENV
        fetch_pip "$python" "$version"
    fi
    origin $VENV/bin/python >$VENV/.origin
}

# Debian and Ubuntu keep pip for new environments in a package of its own. apt can fetch it without installing it.
fetch_pip() {
    local folder=$VENV/pip-package
    mkdir -p $folder
    (cd $folder && apt-get -qq download python3-pip-whl && dpkg-deb -x python3-pip-whl*.deb .) >/dev/null 2>&1 &&
        mv $folder/usr/share/python-wheels/pip-*.whl $VENV/ || missing_venv "$@"
    rm -rf $folder
    say "took pip from Debian's package python3-pip-whl, since $1 came without ensurepip"
}

missing_venv() {
    rm -rf $VENV
    die "$1 (Python $2) cannot make environments: its modules venv and ensurepip are not installed." \
        "On Debian and Ubuntu: apt-get install python${2%.*}-venv. Or name another: make PYTHON=/path/to/python …"
}

pip() {
    local wheels=($VENV/pip-*.whl) program=(-m pip)
    [ ! -e "${wheels[0]}" ] || program=("${wheels[0]}/pip")
    $VENV/bin/python "${program[@]}" --disable-pip-version-check --no-input install --root-user-action ignore "$@"
}

# Runs a command in the background, which Ctrl-C does not reach: the trap ends it without an error message.
beside() {
    local code=0
    "$@" &
    worker=$!
    trap interrupted INT TERM
    wait $worker || code=$?
    trap - INT TERM
    return $code
}

interrupted() {
    kill $worker 2>/dev/null || true
    wait $worker 2>/dev/null || true
    printf '\nenvironment: interrupted; the next run continues\n' >&2
    exit 130
}

# Runs a command that writes to the log. On a terminal it shows the progress and the elapsed time.
follow() {
    local text=$1 total=$2 log=$VENV/install.log started=$SECONDS code=0
    shift 2
    touch $VENV/.filling # left by an interrupted run; the next run then creates a new environment
    "$@" >$log 2>&1 &
    worker=$!
    trap interrupted INT TERM
    if [ -t 1 ]; then
        while kill -0 $worker 2>/dev/null; do
            printf '\renvironment: %s: %s of %s found, %s s ' \
                "$text" "$(grep -cE '^Collecting|already satisfied' $log || true)" "$total" $((SECONDS - started))
            sleep 0.5
        done
        printf '\r\033[K'
    else
        printf 'environment: %s (under a minute, usually) ... ' "$text"
    fi
    wait $worker || code=$?
    trap - INT TERM
    if [ $code -ne 0 ]; then
        [ -t 1 ] || echo
        explain_network $log
        tail -n 20 $log >&2
        die "$text failed after $((SECONDS - started)) s; the whole output is in $log"
    fi
    rm -f $VENV/.filling
    if [ -t 1 ]; then say "$text: done in $((SECONDS - started)) s"; else echo "done in $((SECONDS - started)) s"; fi
}

# If no index answers, pip's last message names the first package as missing. Its log has the real reason.
explain_network() {
    local reason
    grep -qE 'from versions: none|Max retries exceeded|Read timed out' "$1" || return 0
    reason=$(sed -nE "s/.*(connection broken by|Caused by) '?([A-Za-z]+).*/\2/p; s/.*(Read timed out).*/\1/p" "$1" | tail -n 1)
    [ -n "$reason" ] || return 0
    reason=$(grep -oE "\[Errno -?[0-9]+\] [^')]+" "$1" | tail -n 1 || true)${reason:+ ($reason)}
    die "no package index answers: ${reason# }. Check the network, or name an index that answers:" \
        "make PIP_INDEX_URL=https://…/simple …; the whole output is in $1"
}

install() {
    local total
    total=$(grep -c == "$1")
    follow "installing the $total packages of $1" "$total" pip --require-hashes --no-deps -r "$1"
}

project() {
    local folders=(services/shared/messaging operator .)
    beside pip --quiet --no-index --no-deps --no-build-isolation "${folders[@]/#/--editable=}" ||
        die "this checkout could not be installed into $VENV"
}

case "${1:-}" in
    python) find_python ;;
    intact) intact ;;
    create | install | project) lock "$1" && "$@" ;;
    *) die "usage: $0 python | intact | create | install REQUIREMENTS.txt | project" ;;
esac
