#!/bin/sh
# What the callers of the benchmarks say: recorded people and a speech synthesizer, from Debian's
# packages. They stay outside the repository, as their licence (CC BY-SA 3.0) is another.
set -eu
packages="asterisk-core-sounds-en-wav asterisk-core-sounds-es-wav asterisk-core-sounds-fr-wav
    asterisk-core-sounds-it-wav asterisk-core-sounds-ru-wav pocketsphinx-testdata espeak-ng"
missing=""
for package in $packages; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
    echo "To install what the callers say: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
apt-get install --quiet --quiet --yes --no-install-recommends $missing >/dev/null ||
    { apt-get update --quiet --quiet &&
      apt-get install --quiet --quiet --yes --no-install-recommends $missing >/dev/null; }
