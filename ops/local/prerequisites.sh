#!/bin/sh
# What pip cannot install: Python 3.11 with venv, and a C++ compiler for hnswlib. Installed on Debian as root, else named.
set -eu
python=${PYTHON:-python3}
missing=""
command -v "$python" >/dev/null || missing="$missing python3"
"$python" -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
echo '#include <Python.h>' | c++ -E -x c++ -I"$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')" - >/dev/null 2>&1 \
    || missing="$missing build-essential python3-dev"
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "error: please install first, on Debian with: sudo apt-get install$missing" >&2
        exit 1
    fi
    echo "installing$missing …"
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "error: $("$python" --version) is too old: pass PYTHON=python3.11 or newer" >&2
    exit 1
}
