#!/bin/sh
# The peers' own environments: they share no package with Chorus, nor with each other.
set -eu
cd "$(dirname "$0")"
uv=../.tools/bin/uv
[ -x "$uv" ] || uv=uv
[ -e /etc/ssl/certs/ca-certificates.crt ] && export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"

# make NAME VERSION PACKAGE…
make() {
    stamp=.peer/$1/.made-$2
    [ -e "$stamp" ] && return
    "$uv" venv --quiet --clear --python ../.venv/bin/python ".peer/$1"
    # Without the project's own settings for uv: they leave out what only the peer needs.
    folder=.peer/$1
    shift 2
    "$uv" pip install --no-config --quiet --python "$folder/bin/python" \
        "$@" fastapi uvicorn uvloop websockets
    touch "$stamp"
}

make pipecat 1.14.0 "pipecat-ai[websocket,silero]==1.14.0"
make livekit 1.8.9 "livekit-agents==1.8.9" "livekit-plugins-silero==1.8.9"
