#!/usr/bin/env bash
# Make the virtual environment $1 with any Python from 3.11 on ($PYTHON, if set, is tried first).
set -euo pipefail
venv=$1

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if [[ -x $venv/bin/python ]] && recent "$venv/bin/python"; then exit 0; fi
for python in ${PYTHON:-} python3 python python3.14 python3.13 python3.12 python3.11; do
  recent "$python" || continue
  echo "Making $venv with $("$python" --version); installing takes a few minutes the first time."
  "$python" -m venv --clear "$venv" && exit 0
  echo "$python could not make a virtual environment. On Debian or Ubuntu: apt install python3-venv" >&2
  exit 1
done
echo "This book needs Python 3.11 or later, and none was found. Install one, or name it:" >&2
echo "  make book PYTHON=/path/to/python3" >&2
exit 1
