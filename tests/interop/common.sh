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

# certificates FOLDER: an authority, ca.pem, and server.pem and server.key for 127.0.0.1. Programs find them by
# $TLS_FILES.
certificates() {
    command -v openssl >/dev/null || { apt-get -qq update && apt-get -qq install -y openssl >/dev/null; }
    rm -rf "$1"
    mkdir -p "$1"
    (
        cd "$1"
        new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30'
        # shellcheck disable=SC2086  # options
        openssl req -x509 $new -keyout ca.key -out ca.pem -subj '/CN=libdill tests' &&
            openssl req -x509 $new -CA ca.pem -CAkey ca.key -keyout server.key -out server.pem -subj /CN=localhost \
                -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE
    ) 2>"$1/openssl.log" || { cat "$1/openssl.log" >&2; exit 1; }
    export TLS_FILES="$1"
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
