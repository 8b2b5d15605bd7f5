#!/bin/sh
# A WebSocket conversation between two C programs, for a person to read: `make demo`.
#
# usage: demo.sh [FOLDER]
#
# FOLDER holds the built examples, echo_server and echo_client; build/examples if not given.

set -eu
bin=${1:-$(dirname -- "$0")/../build/examples}
work=$(mktemp -d)
server=

clean_up() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || :
        wait "$server" 2>/dev/null || :
    fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' HUP INT TERM

echo "Two C programs talk over a WebSocket; both are in examples/, both use include/libdill.h only."
echo
echo "\$ echo_server 0 &"
# Through the pipe comes the server's address once clients may connect, or its end if it fails.
mkfifo "$work/output"
"$bin/echo_server" 0 >"$work/output" &
server=$!
exec 3<"$work/output"
if ! read -r line <&3; then
    echo "demo: the server did not start" >&2
    exit 1
fi
echo "$line"
port=${line##*:}
echo
echo "\$ echo_client $port -b 1000000 'Hello, world!' 'Grüße, 世界'"
"$bin/echo_client" "$port" -b 1000000 'Hello, world!' 'Grüße, 世界'
echo
echo "\$ kill -TERM $server"
kill -TERM "$server"
cat <&3
wait "$server"
server=
echo
echo "What you saw: an HTTP handshake that became a WebSocket, two text messages and a binary one of"
echo "a million bytes, each echoed (the time is the round trip), then the closing handshake: the"
echo "client said why it leaves, the server answered with the same code and reason."
