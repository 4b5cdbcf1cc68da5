#!/usr/bin/env bash
# All that is to be measured on a CUDA GPU, in one go. Results: benchmarks/results/*.json and runs/*/report.html.
#
#   benchmarks/gpu.sh            # from the project's root, selfedit installed; about an hour on an H200
#   benchmarks/gpu.sh engine     # one part only: engine, squad, arc
#   benchmarks/gpu.sh paper      # the paper's SQuAD experiments, which need a judge and days: see docs/paper.md
#
# QWEN and LLAMA name larger models for the experiments (a hub id or a folder); they are left out where unset.
set -euo pipefail
cd "$(dirname "$0")/.."
results=benchmarks/results
parts=${1:-engine squad arc}

for part in $parts; do
  case $part in
    engine)
      for targets in qv all-linear; do
        python -m benchmarks.inner_loop --shape qwen2.5-7b --device cuda --targets "$targets" --n 64 --budget 16384 \
          --answer-tokens 64 --sweep 1,8,32,64,128 --whole 750 --out "$results/inner_loop-gpu-$targets.json"
      done
      python -m benchmarks.fewshot_edits --device cuda --max-tokens 0 --peft-edits 8 \
        --out "$results/fewshot_edits-gpu.json"
      ;;
    squad)
      selfedit train squad_gpu --device cuda
      if [ -n "${QWEN:-}" ]; then
        selfedit train squad_gpu --device cuda --set "model=$QWEN" --out runs/squad_gpu-large
      fi
      ;;
    paper)
      selfedit train squad_paper --device cuda
      selfedit eval squad_paper_v1_cpt --device cuda --run runs/squad_paper
      selfedit eval squad_paper_sequential --device cuda --run runs/squad_paper
      ;;
    arc)
      if [ -n "${LLAMA:-}" ]; then
        selfedit train arc_paper --device cuda --set "model=$LLAMA"
      else
        selfedit train arc_paper --device cuda --set model=smollm2-135m --set policy.constrained=true
      fi
      ;;
    *)
      echo "unknown part '$part': engine, squad, arc or paper" >&2
      exit 2
      ;;
  esac
done
