#!/usr/bin/env bash
# Trains, quantizes and measures the demonstration model again; about two hours on two cores.
# A training that was interrupted goes on from its last checkpoint.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-var/demo-training}
python=.venv/bin/python

mkdir -p "$work"
[ -f "$work/tokenizer.json" ] || $python -m models.demo.train_tokenizer "$work"
resume=$([ -f "$work/checkpoint.pt" ] && echo --resume || true)
# shellcheck disable=SC2086
$python -m models.demo.train "$work" --samples 64000 $resume
$python -m models.demo.quantize "$work" models/demo
$python -m models.demo.evaluate
rm "$work/checkpoint.pt" "$work/tokenizer.json" # the next build begins anew
