#!/bin/sh
# One training on several nodes, of any length, with a process for each GPU. Five minutes before its time limit, the job saves and
# requeues itself. Call `mkdir -p logs && sbatch contrib/slurm-nodes.sh` in the folder that has nightly.toml and shards/. All nodes
# must see it. `sbatch --nodes=4 contrib/slurm-nodes.sh` continues the run on other nodes.
#SBATCH --job-name=amdim-stream
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --mem=256G
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=logs/%j.log
set -u

# Rank 0 runs on the first node and serves the store there. srun passes this variable on.
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR

# Slurm sends SIGUSR1 to this script only, five minutes before the time limit. `scancel --batch --signal=TERM JOB` sends it
# SIGTERM: the run is saved, and the job ends. Either way the script sends SIGUSR1 to srun, which passes it on to all processes.
# It never sends SIGTERM to srun, which would answer it with SIGKILL to all processes. A plain scancel has that effect: the run
# goes back to its last checkpoint.
run=
late=
canceled=
signal=
stop_run() { [ -z "$run" ] || kill -USR1 "$run"; }
trap 'signal=yes; late=yes; stop_run' USR1
trap 'signal=yes; canceled=yes; stop_run' TERM

# Runs all processes until they have ended, and sets `code` to the highest of their exit codes. The processes notice by
# themselves that one of them failed. So srun must not kill the others at once (--kill-on-bad-exit), while rank 0 still saves,
# but only if one is left five minutes later (--wait). srun does not take the cores of a task from sbatch by itself.
train() {
    srun --kill-on-bad-exit=0 --wait=300 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
        amdim-stream --config nightly.toml --out runs/nodes --batch-size 256 &
    run=$!
    [ -z "$late$canceled" ] || stop_run
    # A signal ends `wait` before srun ends.
    while :; do
        signal=
        wait "$run"
        code=$?
        [ -n "$signal" ] || break
    done
    run=
}

# After a failure (1) or a process that was killed (128 + signal), the run goes on from its last checkpoint, four times in all.
# The port is another one for each start and for each job.
for start in 0 1 2 3; do
    export MASTER_PORT=$((20000 + SLURM_JOB_ID % 2500 * 4 + start))
    train
    [ -z "$late$canceled" ] || break
    case $code in
        130) break ;;
        1 | 12[89] | 1[3-9]? | 2??) echo "start $start ended with exit code $code" >&2 ;;
        *) break ;;
    esac
done

if [ -n "$canceled" ]; then exit 130; fi
case $code in
    0 | [2-5]) exit "$code" ;;
    130) scontrol requeue "$SLURM_JOB_ID" ;;
    # srun may lose a process, or the shell an exit code, at the moment of the signal.
    *) if [ -n "$late" ]; then scontrol requeue "$SLURM_JOB_ID"; else exit "$code"; fi ;;
esac
