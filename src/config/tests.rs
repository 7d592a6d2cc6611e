use clap::{Args as _, FromArgMatches as _};
use pipeline::{Normalization, Preset};
use toml::Table;
use torchkit::Precision;

use super::*;
use crate::{hint, settings::Setting};

fn table(text: &str) -> Table {
    text.parse().unwrap()
}

#[test]
fn a_resolved_configuration_gives_itself_back() {
    for preset in [Preset::C10, Preset::Stl10, Preset::In128] {
        let config = Config::preset(preset);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(Config::resolve(&table(&text)).unwrap(), config);
    }
}

#[test]
fn a_given_setting_wins_over_the_preset() {
    let config = Config::resolve(&table("preset = 'c10'\n[optim]\nlr = 1e-3\n[train]\nsteps = 7")).unwrap();
    assert_eq!((config.optim.lr, config.train.steps, config.optim.betas[0]), (1e-3, Some(7), 0.8));
    assert_eq!(config.preset, Preset::C10);
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let error = Config::resolve(&table("[encoder]\nn_rkhz = 5")).unwrap_err();
    assert!(error.to_string().contains("n_rkhz"), "{error}");
}

#[test]
fn a_setting_of_an_earlier_version_is_refused_with_its_successor() {
    let old = table("preset = 'c10'\n[data]\nshuffle_window = 512");
    let saved = Table::try_from(Config::preset(Preset::C10)).unwrap();
    for error in [Config::resolve(&old), Config::resume(&saved, &old)].map(Result::unwrap_err) {
        let error = hint::render(&error);
        assert!(error.contains("`shuffle = \"window:512\"`"), "{error}");
    }
    let new = Config::resolve(&table("[data]\nshuffle = 'window:512'")).unwrap();
    assert_eq!(new.data.shuffle.to_string(), "window:512");
    let error = Config::resolve(&table("[data]\nshuffle = 'window:0'")).unwrap_err();
    let error = hint::render(&error);
    assert!(error.contains("`window:0`") && error.matches("hint:").count() == 1, "{error}");
}

#[test]
fn groups_of_batch_norms_of_an_earlier_version_resume_by_the_same_command() {
    let new = Config::resolve(&table("preset = 'c10'\nmethod = { name = 'moco', bn_groups = 4 }")).unwrap();
    let saved = Table::try_from(new).unwrap();
    let resume = |groups: u32| {
        let asked = format!("preset = 'c10'\nmethod.name = 'moco'\n[train]\nbn_groups = {groups}");
        Config::resume(&saved, &table(&asked))
    };
    assert_eq!(resume(4).unwrap().train.bn_groups, None);
    assert!(resume(2).unwrap_err().to_string().contains("`train.bn_groups` = 2"));
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    for (text, name) in [
        ("[encoder]\nndf = 4611686018427387904", "encoder.ndf"),
        ("[encoder]\nn_depth = 4294967295", "encoder.n_depth"),
        ("[encoder]\nn_rkhs = 4294967295", "encoder.n_rkhs"),
        ("[run]\nworkers = 100000", "run.workers"),
        ("[run]\nthreads = 1025", "run.threads"),
        ("[optim]\nlr = 1e51", "optim.lr"),
        ("[optim]\neps = 1e-300", "optim.eps"),
        ("[optim]\nbetas = [0.9, 1.0]", "optim.betas"),
        ("[optim]\nwarmup_steps = 9223372036854775807", "optim.warmup_steps"),
        ("[train]\nsteps = 9223372036854775807", "train.steps"),
        ("[train]\naccumulate = 9223372036854775807", "train.accumulate"),
        ("[train]\nbatch_size = 1", "train.batch_size"),
        ("[run]\nkeep = 0", "run.keep"),
        ("[run]\nknn_every = 4294967296", "run.knn_every"),
        ("[method]\ntclip = 1e300", "method.tclip"),
        ("[method]\ntclip = 1e-320", "method.tclip"),
        ("[optim]\ndrop_at = [0.5, nan]", "optim.drop_at"),
        ("[optim]\nlr = inf", "optim.lr"),
        ("[optim]\nclip_norm = inf", "optim.clip_norm"),
        ("[train]\nepochs = 1e18", "train.epochs"),
    ] {
        let error = hint::render(&Config::resolve(&table(text)).unwrap_err());
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn a_number_of_another_kind_is_refused_in_plain_words() {
    for (text, part) in [
        ("seed = -1", "`-1`, expected a whole number from 0 on, in `seed`"),
        ("[run]\nkeep = 0.5", "`0.5`, expected a whole number from 0 on, in `run.keep`"),
        ("[encoder]\nndf = '8'", "expected a whole number, in `encoder.ndf`"),
        ("[method]\ntclip = 'wide'", "expected a number, in `method.tclip`"),
        ("[optim]\nlr = 'fast'", "expected a number, in `optim.lr`"),
        ("[optim]\neps = 1e308", "`optim.eps` is 1e308"),
    ] {
        let error = hint::render(&Config::resolve(&table(text)).unwrap_err());
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_text_that_is_not_a_value_is_refused_with_its_key_and_one_hint() {
    for (text, key, part) in [
        ("preset = 'x'", "preset", "`c10`"),
        ("[data]\nshuffle = 'x'", "data.shuffle", "`window:16384`"),
        ("[data]\ndecode = 'x'", "data.decode", "`exact` or `fast`"),
        ("[run]\nmax_bad = 'x'", "run.max_bad", "`1%`"),
        ("[run]\ndevice = 'x'", "run.device", "x"),
        ("[run]\ncuda_graph = 'x'", "run.cuda_graph", "x"),
        ("[train]\nprecision = 'x'", "train.precision", "x"),
    ] {
        let error = hint::render(&Config::resolve(&table(text)).unwrap_err());
        let begins = error.starts_with(&format!("in the settings: `{key}`: "));
        assert!(begins && error.contains(part) && error.matches("hint:").count() == 1, "{error}");
    }
}

#[test]
fn a_contradiction_is_named_and_free_settings_are_not() {
    let saved = Table::try_from(Config::preset(Preset::C10)).unwrap();
    let asked = table("seed = 4\n[optim]\nlr = 0.1\n[run]\nworkers = 9\n[data]\nshards = ['elsewhere.tar']");
    let error = hint::render(&Config::resume(&saved, &asked).unwrap_err());
    assert!(error.contains("`seed` = 4 (was 0)") && error.contains("`optim.lr`"), "{error}");
    assert!(!error.contains("workers") && !error.contains("elsewhere"), "{error}");
    let again = table("[run]\nworkers = 9\n[encoder]\nname = 'amdim'");
    let config = Config::resume(&saved, &again).unwrap();
    assert_eq!(config.run.workers, Some(9));
}

#[test]
fn steps_replace_the_epochs_of_a_lower_layer() {
    let mut under = table("[train]\nepochs = 5.0");
    overlay(&mut under, &table("[train]\nsteps = 9"));
    assert_eq!(under, table("[train]\nsteps = 9"));
}

#[test]
fn a_resumed_run_keeps_its_precision() {
    let asked = |precision: &str| -> Table { format!("train.precision = \"{precision}\"").parse().unwrap() };
    let mut config = Config::preset(Preset::C10);
    for (then, now, resumed) in [
        (Precision::Bf16, "auto", Some(Precision::Bf16)),
        (Precision::F32, "auto", Some(Precision::F32)),
        (Precision::Auto, "f32", Some(Precision::F32)), // saved by a version without precisions
        (Precision::F32, "bf16", None),
    ] {
        config.train.precision = then;
        let saved = Table::try_from(&config).unwrap();
        let found = Config::resume(&saved, &asked(now)).ok().map(|config| config.train.precision);
        assert_eq!(found, resumed, "{then}, {now}");
    }
}

#[test]
fn a_resumed_run_keeps_its_partitions_and_one_without_any_has_one() {
    let mut saved = Table::try_from(Config::preset(Preset::C10)).unwrap();
    let now = |saved: &Table, partitions: usize| {
        let asked = format!("data.partitions = {partitions}").parse().unwrap();
        Config::resume(saved, &asked).map(|config| config.data.partitions)
    };
    assert_eq!(now(&saved, 1).unwrap(), 1);
    saved["data"].as_table_mut().unwrap().remove("partitions").unwrap();
    assert_eq!(now(&saved, 1).unwrap(), 1);
    assert_eq!(Config::resume(&saved, &Table::new()).unwrap().data.partitions, 1);
    let refused = hint::render(&now(&saved, 2).unwrap_err());
    assert!(refused.contains("`data.partitions` = 2 (was 1)"), "{refused}");
}

/// Returns the table of settings that flags give.
fn typed(flags: &[&str]) -> Table {
    let command = Flags::augment_args(clap::Command::new("amdim-stream").no_binary_name(true));
    let matches = command.try_get_matches_from(flags).unwrap_or_else(|error| panic!("{error}"));
    TrainArgs { config: None, flags: Flags::from_arg_matches(&matches).unwrap() }.asked().unwrap()
}

#[test]
fn every_flag_sets_its_key() {
    for (flags, text) in [
        ("--shards a b --shards c", "data.shards = ['a', 'b', 'c']"),
        ("--val-shards a", "data.val_shards = ['a']"),
        ("--preset c10", "preset = 'c10'"),
        ("--shuffle window:7", "data.shuffle = 'window:7'"),
        ("--partitions 2", "data.partitions = 2"),
        ("--decode fast", "data.decode = 'fast'"),
        ("--max-bad 2%", "run.max_bad = '2% after 1000 samples'"),
        ("--ndf 8", "encoder.ndf = 8"),
        ("--n-rkhs 8", "encoder.n_rkhs = 8"),
        ("--n-depth 8", "encoder.n_depth = 8"),
        ("--use-bn", "encoder.use_bn = true"),
        ("--use-bn=false", "encoder.use_bn = false"),
        ("--tclip 8", "method.tclip = 8.0"),
        ("--batch-size 8", "train.batch_size = 8"),
        ("--precision bf16", "train.precision = 'bf16'"),
        ("--accumulate 8", "train.accumulate = 8"),
        ("--checkpoint-blocks", "train.checkpoint_blocks = true"),
        ("--warm-start last", "train.warm_start = 'last'"),
        ("--clip-norm 0.5", "optim.clip_norm = 0.5"),
        ("--lr 1e-3", "optim.lr = 1e-3"),
        ("--optimizer lars", "optim.name = 'lars'"),
        ("--lr-scaling sqrt", "optim.lr_scaling = 'sqrt'"),
        ("--momentum 0.5", "optim.momentum = 0.5"),
        ("--weight-decay 0", "optim.weight_decay = 0.0"),
        ("--warmup-epochs 10", "optim.warmup_epochs = 10.0"),
        ("--warmup-steps 0", "optim.warmup_steps = 0"),
        ("--schedule reference", "optim.schedule = 'reference'"),
        ("--schedule cosine", "optim.schedule = 'cosine'"),
        ("--epochs 8", "train.epochs = 8.0"),
        ("--steps 8", "train.steps = 8"),
        ("--seed 8", "seed = 8"),
        ("--out x", "out = 'x'"),
        ("--device cuda:1", "run.device = 'cuda:1'"),
        ("--cuda-graph off", "run.cuda_graph = 'off'"),
        ("--workers 8", "run.workers = 8"),
        ("--threads 8", "run.threads = 8"),
        ("--log-every 8", "run.log_every = 8"),
        ("--checkpoint-every 8", "run.checkpoint_every = 8"),
        ("--keep 8", "run.keep = 8"),
        ("--keep-every 8", "run.keep_every = 8"),
        ("--validate-every 8", "run.validate_every = 8"),
        ("--knn-every 8", "run.knn_every = 8"),
        ("--best knn", "run.best = 'knn'"),
        ("", ""),
    ] {
        let flags: Vec<_> = flags.split_whitespace().collect();
        assert_eq!(typed(&flags), table(text), "{flags:?}");
    }
}

#[test]
fn related_settings_are_neighbours_in_the_help() {
    let command = Flags::augment_args(clap::Command::new("amdim-stream"));
    let order: Vec<_> = command.get_arguments().map(|arg| arg.get_id().as_str()).collect();
    let at = |name: &str| order.iter().position(|other| *other == name).unwrap();
    for [before, after] in [
        ["val_shards", "preset"],
        ["clip_norm", "lr"],
        ["lr", "lr_scaling"],
        ["schedule", "epochs"],
        ["epochs", "steps"],
    ] {
        assert_eq!(at(before) + 1, at(after), "{order:?}");
    }
    assert_eq!((order[0], *order.last().unwrap()), ("shards", "tensorboard"));
    let known = Config::settings();
    for setting in known.iter().filter_map(Setting::after) {
        assert!(order.contains(&setting), "a setting is declared after `{setting}`, which does not exist");
    }
}

#[test]
fn a_flag_of_another_method_or_encoder_is_refused_with_the_settings_of_the_chosen_one() {
    let refused = |text: &str| hint::render(&Config::resolve(&text.parse().unwrap()).unwrap_err());
    let error = refused("method.name = 'simclr'\nencoder.ndf = 8");
    assert_eq!(
        error,
        "--ndf is not a setting of the encoder resnet50\n  hint: leave it out, or choose another --encoder; the settings of \
         resnet50 are width, stem, stem_width, split, zero_init_residual"
    );
    let error = refused("method.temperature = 0.1");
    assert!(error.contains("--temperature is not a setting of the method amdim\n"), "{error}");
    let error = refused("side = 96");
    assert!(error.contains("the encoder amdim takes images of 32, 64 or 128 pixels, not of 96"), "{error}");
    let error = refused("method.name = 'simclr'\nside = 16");
    assert!(error.contains("resnet50 takes images of 32 to 512 pixels, not of 16"), "{error}");
    let error = refused("encoder.name = 'resnet50'");
    assert!(error.contains("the method amdim can only train its own encoder, not resnet50"), "{error}");
}

#[test]
fn cmc_splits_the_encoder_that_is_asked_for_and_refuses_one_that_is_not_split() {
    let resolved = |text: &str| Config::resolve(&text.parse().unwrap());
    for encoder in ["", "encoder.name = 'resnet34'", "encoder.name = 'resnet18'\nencoder.split = 'ycbcr'"] {
        let config = resolved(&format!("preset = 'c10'\nmethod.name = 'cmc'\n{encoder}")).unwrap();
        assert!(config.encoder.is_split() && config.encoder.resnet().is_none(), "{encoder}");
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config, "as in a checkpoint");
        // Red, green and blue from 0 to 1, which the encoder converts.
        assert_eq!(config.normalization(), Normalization { mean: [0.0; 3], std: [255.0; 3] });
    }
    let own = resolved("preset = 'c10'\nmethod.name = 'cmc'\nrecipe.mean = [0.5, 0.5, 0.5]").unwrap_err();
    assert!(own.to_string().contains("converts pixels itself"), "{own}");
    for encoder in ["encoder.split = 'none'", "encoder.name = 'amdim'"] {
        let error = resolved(&format!("preset = 'c10'\nmethod.name = 'cmc'\n{encoder}")).unwrap_err();
        assert!(error.to_string().contains("one network for lightness and one for colour"), "{error}");
    }
}

#[test]
fn nce_without_negatives_is_refused() {
    let text = "method = { name = 'instdisc', loss = 'nce', negatives = 0 }";
    let error = Config::resolve(&text.parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("the loss nce has no negatives"), "{error}");
}

#[test]
fn bf16_is_chosen_for_encoders_that_a_cpu_trains_faster_in_it() {
    let on_cpu = |text: &str| Config::resolve(&text.parse().unwrap()).unwrap().precision_on(tch::Device::Cpu);
    let resnet = "preset = 'c10'\nmethod.name = 'simclr'";
    assert_eq!(on_cpu("preset = 'c10'"), Precision::Auto.on(tch::Device::Cpu));
    assert_eq!(on_cpu(resnet), Precision::F32);
    assert_eq!(on_cpu(&format!("{resnet}\ntrain.precision = 'bf16'")), Precision::Bf16);
}
