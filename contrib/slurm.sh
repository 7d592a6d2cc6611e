#!/bin/sh
# One run per seed, of any length: five minutes before its time limit, a job saves and requeues itself.
# Call `mkdir -p logs && sbatch contrib/slurm.sh` in the folder that has nightly.toml and shards/.
#SBATCH --job-name=amdim-stream
#SBATCH --array=0-3
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=64G
#SBATCH --gres=gpu:1
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=logs/%A_%a.log
set -u

# Five minutes before the time limit, Slurm sends SIGUSR1 to this script only. The script sends one SIGTERM to the run; a second
# one would end it without saving. On scancel, Slurm sends SIGTERM to the run itself: it saves and is not requeued.
run=
late=
sent=
canceled=
signal=
stop_run() {
    [ -n "$run" ] && [ -n "$late" ] && [ -z "$sent" ] || return 0
    sent=yes
    kill -TERM "$run"
}
trap 'signal=yes; late=yes; stop_run' USR1
trap 'signal=yes; canceled=yes' TERM

# Without srun, which kills its processes with SIGKILL when it gets SIGTERM.
amdim-stream --config nightly.toml --seed "$SLURM_ARRAY_TASK_ID" --out "runs/seed-$SLURM_ARRAY_TASK_ID" --promote "promoted/seed-$SLURM_ARRAY_TASK_ID" &
run=$!
stop_run

# A signal ends `wait` before the run ends.
while :; do
    signal=
    wait "$run"
    code=$?
    [ -n "$signal" ] || break
done

if [ -n "$canceled" ]; then exit 130; fi
# bash loses the exit code of a run that ends at the moment of a signal. Requeueing a finished run does no harm.
if [ -n "$sent" ] && [ "$code" = -1 ]; then code=130; fi
case $code in
    130) scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" ;;
    *) exit "$code" ;;
esac
