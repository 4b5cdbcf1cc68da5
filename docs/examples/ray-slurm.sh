#!/usr/bin/env bash
# selfedit on all nodes of a Slurm job: sbatch --nodes=8 ray-slurm.sh CONFIG [--set KEY=VALUE ...]
# selfedit[ray] has to be installed alike on all nodes, or in a folder that all of them see.
#SBATCH --job-name=selfedit
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-task=8
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail

# A token of this job alone; the nodes and the command inherit it.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c "import secrets; print(secrets.token_hex(32))")
export RAY_AUTH_TOKEN

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{print $1}'):6379
export RAY_ADDRESS=$address
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300

# Requeued after a failure, the same command goes on where the run was.
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
  ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus=8 --include-dashboard=false -- \
  selfedit train "$@" --set engine.executor=ray
