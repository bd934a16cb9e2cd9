#!/bin/sh
# The peer's own environment: it and Chorus share no package.
set -eu
cd "$(dirname "$0")"
version=1.14.0
stamp=.peer/.made-$version
[ -e "$stamp" ] && exit 0
uv=../.tools/bin/uv
[ -x "$uv" ] || uv=uv
[ -e /etc/ssl/certs/ca-certificates.crt ] && export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"
"$uv" venv --quiet --clear --python ../.venv/bin/python .peer
# Without the project's own settings for uv: they leave out what only the peer needs.
"$uv" pip install --no-config --quiet --python .peer/bin/python \
    "pipecat-ai[websocket,silero]==$version" uvicorn uvloop websockets
touch "$stamp"
