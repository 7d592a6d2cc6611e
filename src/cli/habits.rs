//! Answers to flags that users know from other programs.

use std::{error::Error as _, ffi::OsString, path::Path};

use clap::{
    Arg, Command, CommandFactory,
    error::{ContextKind, ContextValue, Error, ErrorKind},
};

use super::args::Cli;
use crate::hint;

/// The answer to a flag of another program.
enum Answer {
    /// Flags of this program, separated by spaces. The first one that the command has is named.
    Flag(&'static str),
    /// A flag or positional argument, and the text that is the answer if the command has it.
    Words(&'static str, &'static str),
}

use Answer::{Flag, Words};

/// Flags of PyTorch's examples, timm, Lightning, Hugging Face and similar programs, with their answers. The
/// first answer that fits the command is given.
const HABITS: &[(&str, &[Answer])] = &[
    (
        "data dataset data-dir data-path data-root dataset-path train train-data train-dir train-path train-shards input inputs root \
         tar tars files url urls",
        &[
            Words("source", "the folder of images comes without a flag: amdim-stream pack FOLDER --out DIR"),
            Words("file", IMPORTED),
            Flag("shards"),
        ],
    ),
    (
        "val val-data val-dir val-path val-dataset valid valid-dir validation validation-dir test-data test-dir eval-data",
        &[Flag("val-shards val-fraction shards")],
    ),
    ("val-split validation-split test-size", &[Flag("val-fraction val-shards")]),
    (
        "gpu gpus num-gpus n-gpu n-gpus ngpus gpu-id gpu-ids devices cuda no-cuda cpu use-gpu accelerator local-rank rank world-size \
         nproc-per-node nnodes num-nodes nodes strategy distributed ddp multi-gpu dist-url dist-backend",
        &[Words("device", "one process works on one device: --device cuda:0, or --device cpu")],
    ),
    (
        "bs b batch batchsize mini-batch train-batch-size eval-batch-size batch-size-per-gpu per-device-train-batch-size",
        &[Flag("batch-size")],
    ),
    ("lr", &[Words("lr-encoder", FINETUNE_RATES)]),
    (
        "learning-rate base-lr blr base-learning-rate max-lr",
        &[Words("lr-encoder", FINETUNE_RATES), Flag("lr")],
    ),
    ("j jobs num-workers n-workers worker data-workers dataloader-num-workers cpus", &[Flag("workers")]),
    ("num-threads n-threads nthreads", &[Flag("threads workers")]),
    ("run-dir run-folder ckpt-dir checkpoint-dir", &[Flag("checkpoint run out"), Words("crash", REPLAYED)]),
    (
        "o output output-dir out-dir outdir save save-dir save-path log-dir logdir logs work-dir workdir exp-dir default-root-dir \
         results dest name exp-name run-name experiment project dump-path",
        &[
            Flag("out"),
            Words("fix", "--report FILE.jsonl writes the findings, and --fix DIR writes cleaned shards"),
            Words(
                "baseline",
                "no flag is needed: the result goes to stdout and to a file beside the checkpoint",
            ),
        ],
    ),
    (
        "resume resume-from resume-from-checkpoint auto-resume continue",
        &[
            Words(
                "warm-start",
                "no flag is needed: the same command goes on with the run in --out; --warm-start begins a new run with the encoder of \
                 another one",
            ),
            Words(
                "layer",
                "no flag is needed: the same command goes on with the shards that have no file yet",
            ),
            Words("prefix", "run the same command with --force, which writes all shards again"),
            Flag("checkpoint run"),
        ],
    ),
    (
        "ckpt ckpt-path checkpoint checkpoint-path weights pretrained pretrained-weights load load-from model-path model-dir \
         initial-checkpoint finetune run",
        &[Flag("checkpoint warm-start run"), Words("file", IMPORTED), Words("crash", REPLAYED)],
    ),
    (
        "model model-name arch a architecture backbone encoder net network",
        &[
            Words(
                "n-rkhs",
                "--encoder selects the encoder; --width sets the size of a ResNet, --ndf, --n-rkhs and --n-depth that of AMDIM's",
            ),
            Flag("checkpoint run"),
        ],
    ),
    ("wd l2", &[Flag("weight-decay")]),
    ("opt optim", &[Flag("optimizer")]),
    ("sgd-momentum mom", &[Flag("momentum")]),
    (
        "beta1 beta2 betas eps opt-eps adam-epsilon nesterov trust-coefficient trust-coeff eta",
        &[Words(
            "n-rkhs",
            "it is a setting in the file of --config: [optim] betas = [0.8, 0.999], eps = 1e-8, nesterov = false, eta = 1e-3",
        )],
    ),
    ("sched scheduler lr-scheduler lr-schedule lr-scheduler-type", &[Flag("schedule")]),
    (
        "warmup warm-up warmup-iters warmup-updates lr-warmup lr-warmup-steps num-warmup-steps",
        &[Flag("warmup-steps")],
    ),
    ("e epoch ep max-epochs max-epoch num-epochs n-epochs num-train-epochs", &[Flag("epochs")]),
    (
        "step max-steps num-steps n-steps total-steps iters iterations max-iters num-iters updates",
        &[Flag("steps epochs")],
    ),
    (
        "accum accum-iter grad-accum grad-accum-steps gradient-accumulation-steps accumulate-grad-batches update-freq",
        &[Flag("accumulate")],
    ),
    ("clip clip-grad clip-grad-norm grad-clip gradient-clip-val max-grad-norm", &[Flag("clip-norm")]),
    ("amp use-amp fp16 bf16 fp32 tf32 half dtype amp-dtype mixed-precision autocast", &[Flag("precision")]),
    (
        "p print-freq print-every log-interval log-freq log-steps logging-steps log-every-n-steps",
        &[Flag("log-every")],
    ),
    (
        "save-freq save-every save-steps save-interval ckpt-freq ckpt-every checkpoint-interval checkpoint-freq",
        &[Flag("checkpoint-every")],
    ),
    (
        "eval-every eval-freq eval-interval eval-steps val-every val-freq val-interval check-val-every-n-epoch",
        &[Flag("validate-every")],
    ),
    ("keep-last save-total-limit save-top-k checkpoint-hist", &[Flag("keep")]),
    (
        "size side img img-size image-size imgsz input-size crop-size resolution",
        &[Flag("side resize preset")],
    ),
    ("s random-seed manual-seed", &[Flag("seed")]),
    (
        "wandb use-wandb tensorboard logger report-to",
        &[Words(
            "log-every",
            "no flag is needed: the numbers are lines of JSON in metrics.jsonl in the run folder",
        )],
    ),
    (
        "classes num-classes n-classes nb-classes",
        &[Words("shards", "no flag is needed: classes are counted from the labels")],
    ),
    (
        "eval evaluate eval-only test validate linear-eval linear-probe",
        &[Words("warm-start", "evaluate an encoder with: amdim-stream eval linear --checkpoint RUN")],
    ),
    (
        "embed extract features encode predict infer inference",
        &[Words(
            "warm-start",
            "write features with: amdim-stream embed --checkpoint RUN --shards PATTERN --out DIR",
        )],
    ),
    ("key image", &[Flag("sample")]),
    ("n samples num-samples n-samples num-images images", &[Flag("count samples-per-shard")]),
    ("maxcount", &[Flag("samples-per-shard")]),
    ("maxsize", &[Flag("shard-size")]),
    ("knn nn nb-knn neighbors neighbours num-neighbors", &[Flag("k knn-every")]),
    ("t temp tau", &[Flag("temperature")]),
    ("fraction subset labels label-percent train-percent", &[Flag("label-fraction")]),
    ("f overwrite clobber replace", &[Flag("force")]),
    ("c cfg conf config-file", &[Flag("config")]),
    ("time-limit max-time timeout walltime", &[Flag("max-hours")]),
    ("v verbose debug log-level", &[Words("json", "the variable RUST_LOG=debug shows more messages")]),
];

const IMPORTED: &str = "the file comes without a flag: amdim-stream import FILE --out DIR";

const REPLAYED: &str = "the crash folder comes without a flag: amdim-stream replay DIR";

const FINETUNE_RATES: &str = "fine-tuning has two learning rates: --lr-encoder and --lr-head";

/// Adds a tip to an error of the command line: the name of an unknown flag in this program, the flag for an
/// argument that is not a subcommand, or the hint of a library that refuses a value.
pub(crate) fn explained(mut error: Error, typed: impl Iterator<Item = OsString>) -> Error {
    if let Some(hint) = error.source().and_then(hint::library_hint) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
        return error;
    }
    let unknown = match error.kind() {
        ErrorKind::UnknownArgument => error.get(ContextKind::InvalidArg),
        ErrorKind::InvalidSubcommand => error.get(ContextKind::InvalidSubcommand),
        _ => None,
    };
    let Some(ContextValue::String(unknown)) = unknown else { return error };
    let mut program = Cli::command();
    program.build();
    let command = innermost(&mut program, typed);
    let tip = tip(command, unknown);
    if tip.is_none() && is_suggestion_near(&error, unknown) {
        return error;
    }
    error.remove(ContextKind::SuggestedArg);
    error.remove(ContextKind::SuggestedSubcommand);
    let tips = tip.into_iter().map(Into::into).collect();
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    error
}

/// Returns whether the flag that clap suggests resembles what was typed. An error without a suggestion has
/// nothing to correct.
fn is_suggestion_near(error: &Error, unknown: &str) -> bool {
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => {
            2 * strsim::osa_distance(flag, unknown) <= unknown.trim_start_matches('-').len()
        }
        _ => true,
    }
}

/// Returns the innermost subcommand that was typed, or the program.
fn innermost(program: &mut Command, typed: impl Iterator<Item = OsString>) -> &mut Command {
    let is_word = |text: &OsString| !text.to_string_lossy().starts_with('-');
    let mut command = program;
    for word in typed.skip(1).filter(is_word) {
        if command.find_subcommand(&word).is_none() {
            break;
        }
        command = command.find_subcommand_mut(&word).expect("it was found");
    }
    command
}

/// Returns what to type instead of `unknown`.
fn tip(command: &Command, unknown: &str) -> Option<String> {
    let is_flag = unknown.starts_with('-');
    let is_shard = Path::new(unknown).extension().is_some_and(|end| end == "tar");
    if !is_flag && (is_shard || unknown.contains(['/', '*', '<', '{'])) {
        return Some(format!("pass shards with --shards '{unknown}'"));
    }
    if is_flag && command.is_subcommand_required_set() {
        let names = command.get_subcommands().map(Command::get_name).filter(|name| *name != "help");
        return Some(format!(
            "name one of these commands before flags: {}",
            names.collect::<Vec<_>>().join(", ")
        ));
    }
    answer(command, unknown)
}

/// Returns the answer for a name that is spelled differently, or that another program has.
fn answer(command: &Command, unknown: &str) -> Option<String> {
    let name = unknown.trim_start_matches('-').to_lowercase().replace('_', "-");
    let is_called =
        |arg: &Arg, name: &str| arg.get_long() == Some(name) || arg.is_positional() && arg.get_id() == name;
    let has = |name: &str| command.get_arguments().any(|arg| is_called(arg, name));
    if has(&name) {
        return Some(format!("the flag is spelled --{name}"));
    }
    let answers = HABITS.iter().filter(|(names, _)| names.split(' ').any(|known| known == name));
    answers.flat_map(|(_, answers)| *answers).find_map(|answer| match answer {
        Flag(flags) => flags
            .split(' ')
            .find(|flag| has(flag))
            .map(|flag| format!("in this program the flag is --{flag}")),
        Words(beside, words) => has(beside).then(|| (*words).to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn said(typed: &str) -> String {
        let typed: Vec<_> = typed.split(' ').map(OsString::from).collect();
        let error = Cli::try_parse_from(&typed).unwrap_err();
        explained(error, typed.into_iter()).render().to_string()
    }

    #[test]
    fn a_flag_of_another_program_is_answered_with_the_flag_of_the_command() {
        for (typed, part) in [
            ("--data x", "--shards"),
            ("--dataset=x", "--shards"),
            ("--bs 8", "--batch-size"),
            ("--shards x --batch_size 8", "--batch-size"),
            ("-j 8", "--workers"),
            ("--num_workers 8", "--workers"),
            ("--gpus 2", "one process works on one device: --device cuda:0"),
            ("plan --gpus 2", "--device cuda:0"),
            ("--learning-rate 1", "--lr"),
            ("eval finetune --checkpoint x --lr 1", "--lr-encoder and --lr-head"),
            ("--output x", "--out"),
            ("eval knn --checkpoint x --output x", "stdout"),
            ("--shards x --resume", "the same command goes on"),
            ("--resume", "--warm-start"),
            ("eval knn --ckpt x", "--checkpoint"),
            ("eval --json mlp --gpu 0", "--device cuda:0"),
            ("eval --checkpoint x", "linear, mlp, knn, finetune"),
            ("--ckpt x", "--warm-start"),
            ("embed --model x", "--checkpoint"),
            ("--arch x", "--ndf, --n-rkhs and --n-depth"),
            ("--wd 0", "--weight-decay"),
            ("--val-dir x", "--val-shards"),
            ("verify --train-dir x", "--shards"),
            ("synth --samples 8", "--count"),
            ("pack --data x", "pack FOLDER"),
            ("import --ckpt x", "import FILE"),
            ("replay --run x", "replay DIR"),
            ("test", "amdim-stream eval linear"),
            ("data/x-000.tar", "--shards 'data/x-000.tar'"),
        ] {
            let said = said(&format!("amdim-stream {typed}"));
            let tips: Vec<_> = said.lines().filter(|line| line.trim().starts_with("tip: ")).collect();
            assert!(tips.len() == 1 && tips[0].contains(part), "{typed}: {said}");
            assert!(!said.contains("--gate"), "{typed}: {said}");
        }
        assert!(
            said("amdim-stream --batch-sise 8").contains("'--batch-size'"),
            "a typing error is corrected by its letters"
        );
        assert!(!said("amdim-stream --dropout 0.1").contains("tip:"), "no flag resembles it");
    }

    #[test]
    fn a_value_that_a_library_refuses_is_answered_with_the_values_that_it_accepts() {
        for (typed, part) in
            [("--shuffle window:0", "`window:N`"), ("--decode quick", "`fast`"), ("--max-bad few", "`1%`")]
        {
            let said = said(&format!("amdim-stream {typed}"));
            let tips: Vec<_> = said.lines().filter(|line| line.trim().starts_with("tip: ")).collect();
            assert!(tips.len() == 1 && tips[0].contains(part), "{typed}: {said}");
        }
    }

    #[test]
    fn every_answer_names_flags_that_exist_and_no_name_has_two_answers() {
        let mut program = Cli::command();
        program.build();
        let mut flags = Vec::new();
        let mut commands = vec![&program];
        while let Some(command) = commands.pop() {
            flags.extend(command.get_arguments().map(|arg| arg.get_long().unwrap_or(arg.get_id().as_str())));
            commands.extend(command.get_subcommands());
        }
        let mut names: Vec<_> = HABITS.iter().flat_map(|(names, _)| names.split(' ')).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for answer in HABITS.iter().flat_map(|(_, answers)| *answers) {
            let (Flag(named) | Words(named, _)) = answer;
            for flag in named.split(' ') {
                assert!(flags.contains(&flag), "{flag}");
            }
        }
    }
}
