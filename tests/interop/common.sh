# shellcheck shell=sh
# Sourced by the tests against real peers: where things are, how to compile and what to install.

set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)

# compile PROGRAM SOURCE [OPTION...]: one C program on the public header and the built library, which is in the
# directory $LIBRARY if that is set.
compile() {
    library=${LIBRARY:-$root/target/release}/libdill.so
    if [ ! -e "$library" ]; then
        echo "no $library: run make first" >&2
        exit 1
    fi
    folder=$(dirname -- "$1")
    mkdir -p "$folder"
    # The loader looks for the SONAME; a program finds it beside itself.
    ln -sf "$library" "$folder/libdill.so.20"
    program=$1 source=$2
    shift 2
    # shellcheck disable=SC2016  # $ORIGIN is the loader's, not the shell's.
    "${CC:-cc}" -std=gnu11 -O1 -g -Wall -Wextra -Wpedantic -Werror -I"$root/include" \
        -I"$root/tests/interop" "$@" "$source" -o "$program" "$library" -Wl,-rpath,'$ORIGIN'
}

# python_with FOLDER PACKAGE==VERSION...: a virtual environment with these packages.
python_with() {
    folder=$1
    shift
    [ "$(cat "$folder/installed" 2>/dev/null)" = "$*" ] && return
    rm -rf "$folder"
    python3 -m venv "$folder"
    timeout 300 "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
    echo "$*" >"$folder/installed"
}

# node_with FOLDER PACKAGE@VERSION...: a folder with these packages in its node_modules.
node_with() {
    folder=$1
    shift
    [ "$(cat "$folder/installed" 2>/dev/null)" = "$*" ] && return
    rm -rf "$folder"
    mkdir -p "$folder"
    (cd "$folder" && echo '{"private": true}' >package.json &&
        timeout 300 npm install --silent --no-audit --no-fund "$@")
    echo "$*" >"$folder/installed"
}
