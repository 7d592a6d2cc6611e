//! The files that a run writes while it trains.

use anyhow::Result;
use shards::ShardSet;

use super::{Run, displays::Displays, log::Log};
use crate::observe::Trace;
use crate::run::{bad_samples::BadSamples, folder::RunFolder};

/// Everything that a run writes while it trains. On a process that does not lead, log and list write nothing.
pub(crate) struct Output<'a> {
    /// Checkpoints and crash folders go here.
    pub(crate) folder: &'a RunFolder,
    /// Records, and the progress line.
    pub(crate) log: Log,
    /// The list of bad samples.
    pub(crate) bad: BadSamples,
    /// The trace of the first steps.
    pub(crate) trace: Option<Trace>,
}

impl<'a> Output<'a> {
    /// Opens the files of a run where it stands. Records go to the sinks of `displays` as well.
    pub(crate) fn open(folder: &'a RunFolder, run: &Run, displays: Displays) -> Result<Self> {
        let Displays { sinks, trace } = displays;
        let log = Log::open(folder, run, sinks)?;
        let (train, validation) = (&run.data.train, &run.data.validation);
        let faults = validation.iter().flat_map(ShardSet::faults).chain(train.faults());
        let bad = BadSamples::open(&folder.bad_samples, faults, run.world)?;
        Ok(Self { folder, log, bad, trace })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metrics::ValidationRecord, train::tiny, world::World};

    #[test]
    fn a_process_that_does_not_lead_writes_no_file() {
        let _alone = crate::testing::lock_generator();
        let place = tempfile::tempdir().unwrap();
        let (mut run, folder) = tiny::run(place.path());
        run.world = World::made_up(1, 2);
        let mut output = Output::open(&folder, &run, Displays::default()).unwrap();
        output.log.write_validation(ValidationRecord::default()).unwrap();
        output.bad.add("a.tar", 512, Some("k"), "cut").unwrap();
        assert_eq!(output.bad.count(), 1);
        let save = |run: &mut Run| {
            let checkpoint = run.begin_checkpoint(0).unwrap();
            run.finish_checkpoint(&folder, checkpoint).unwrap();
        };
        save(&mut run);
        assert_eq!(std::fs::read_dir(&folder.path).unwrap().count(), 0);
        run.world = World::ALONE;
        save(&mut run);
        drop(Output::open(&folder, &run, Displays::default()).unwrap());
        assert_eq!(std::fs::read_dir(&folder.path).unwrap().count(), 3);
    }
}
