#!/usr/bin/env bash
# Find Chromium for the browser test, or install it, with letters for Chinese, where root has apt.
set -euo pipefail

if command -v chromium chromium-browser google-chrome >/dev/null; then exit 0; fi
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  echo "Installing Chromium for the browser test."
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -qy --no-install-recommends chromium fonts-noto-cjk; } >/dev/null && exit 0
fi
echo "The browser test needs Chromium, and none was found. On Debian: apt install chromium fonts-noto-cjk" >&2
exit 1
