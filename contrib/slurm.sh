#!/bin/sh
# One run a seed, each as long as it takes: five minutes before its time is over a job saves and queues itself again.
# `mkdir -p logs && sbatch contrib/slurm.sh` in the folder that has nightly.toml and shards/.
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

# Five minutes before the end this script alone gets SIGUSR1, and tells the run once: a second SIGTERM would end it at once.
# At scancel Slurm gives SIGTERM to the run as well: it saves, and stays away.
run=
late=
told=
canceled=
signal=
tell() {
    [ -n "$run" ] && [ -n "$late" ] && [ -z "$told" ] || return 0
    told=yes
    kill -TERM "$run"
}
trap 'signal=yes; late=yes; tell' USR1
trap 'signal=yes; canceled=yes' TERM

# Not by srun, which makes a SIGKILL of a SIGTERM that it gets.
amdim-stream --config nightly.toml --seed "$SLURM_ARRAY_TASK_ID" --out "runs/seed-$SLURM_ARRAY_TASK_ID" --promote "promoted/seed-$SLURM_ARRAY_TASK_ID" &
run=$!
tell

# A signal ends `wait` before the run ends.
while :; do
    signal=
    wait "$run"
    code=$?
    [ -n "$signal" ] || break
done

if [ -n "$canceled" ]; then exit 130; fi
# bash loses the code of a run that ends in the moment of a signal; to go on with one that is finished does no harm.
if [ -n "$told" ] && [ "$code" = -1 ]; then code=130; fi
case $code in
    130) scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" ;;
    *) exit "$code" ;;
esac
