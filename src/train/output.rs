//! The files that a run writes while it trains.

use anyhow::Result;
use shards::ShardSet;

use super::{Run, log::Log};
use crate::run::{bad_samples::BadSamples, folder::RunFolder};

/// Everything that a run writes while it trains. On a process that does not lead, log and list write nothing.
pub(crate) struct Output<'a> {
    /// Checkpoints and crash folders go here.
    pub(crate) folder: &'a RunFolder,
    /// Records, and the progress line.
    pub(crate) log: Log,
    /// The list of bad samples.
    pub(crate) bad: BadSamples,
}

impl<'a> Output<'a> {
    /// Opens the files of a run where it stands. A quiet one shows no progress.
    pub(crate) fn open(folder: &'a RunFolder, run: &Run, quiet: bool) -> Result<Self> {
        let log = Log::open(folder, run, quiet)?;
        let (train, validation) = (&run.data.train, &run.data.validation);
        let faults = validation.iter().flat_map(ShardSet::faults).chain(train.faults());
        let bad = BadSamples::open(&folder.bad_samples, faults, run.world)?;
        Ok(Self { folder, log, bad })
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
        let mut output = Output::open(&folder, &run, true).unwrap();
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
        drop(Output::open(&folder, &run, true).unwrap());
        assert_eq!(std::fs::read_dir(&folder.path).unwrap().count(), 3);
    }
}
