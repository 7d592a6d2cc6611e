//! What processes tell each other besides tensors: results of the lead's work, and comparisons.

use anyhow::Result;
use serde::{Serialize, de::DeserializeOwned};

use super::{joint::World, relayed::Told, texts};
use crate::usage;

impl World {
    /// Does work on the lead alone, such as writing to the run folder, while the other processes wait. Returns `None`
    /// on them.
    ///
    /// # Errors
    ///
    /// The errors of `work`, on all processes; or if another process is lost.
    pub fn on_lead<T>(self, work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        if self.peers().is_none() && !self.is_lead() {
            return Ok(None); // the lead of a test is made up
        }
        let mut kept = None;
        self.from_lead(|| work().map(|done| kept = Some(done)))?;
        Ok(kept)
    }

    /// Returns the result of work that the lead alone does, on all processes.
    ///
    /// # Errors
    ///
    /// The errors of `work`, on all processes; or if another process is lost.
    pub fn from_lead<T: Serialize + DeserializeOwned>(self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(peers) = self.peers() else { return work() };
        if self.is_lead() {
            let done = work();
            let outcome = done.as_ref().map_err(Told::of);
            texts::from_first(peers.group(), Some(&serde_json::to_string(&outcome)?))?;
            return done;
        }
        let outcome: Result<T, Told> = serde_json::from_str(&texts::from_first(peers.group(), None)?)?;
        outcome.map_err(Told::relayed)
    }

    /// Returns the values that the processes have, by rank.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub fn every<T: Serialize + DeserializeOwned>(self, own: &T) -> Result<Vec<T>> {
        let own = serde_json::to_string(own)?;
        let texts = match self.peers() {
            Some(peers) => texts::gather(peers.group(), &own)?,
            None => vec![own],
        };
        texts.iter().map(|text| Ok(serde_json::from_str(text)?)).collect()
    }

    /// Checks that all processes run the same program, and have the same values of named things.
    ///
    /// # Errors
    ///
    /// With [`Code::Usage`](crate::exit::Code::Usage) and the name of the first process that differs from the lead; or if another process is
    /// lost.
    pub fn agree(self, named: &[(&str, String)], cure: &str) -> Result<()> {
        let Some(peers) = self.peers() else { return Ok(()) };
        let program = ("the version", format!("{} ({})", env!("CARGO_PKG_VERSION"), built::COMMIT));
        let own =
            [&program].into_iter().chain(named).map(|(name, value)| ((*name).to_owned(), value.clone()));
        let all = self.every(&own.collect::<Vec<_>>())?;
        let Some((rank, difference)) = first_difference(&all) else { return Ok(()) };
        let error = usage!("{} {difference}", peers.members[rank]; "{cure}");
        if self.is_lead() {
            return Err(error);
        }
        Err(Told::of(&error).relayed())
    }
}

/// Returns the first rank whose values differ from those of rank 0, and in what.
fn first_difference(all: &[Vec<(String, String)>]) -> Option<(usize, String)> {
    let (first, others) = all.split_first()?;
    others.iter().enumerate().find_map(|(number, other)| {
        let value = |of: &[(String, String)], name: &str| {
            let found = of.iter().find(|(other, _)| other == name);
            found.map_or("nothing".to_owned(), |(_, value)| value.clone())
        };
        let names = first.iter().chain(other).map(|(name, _)| name);
        let name = names.into_iter().find(|name| value(first, name) != value(other, name))?;
        let (theirs, ours) = (value(other, name), value(first, name));
        Some((number + 1, format!("has {name} = {theirs}, but rank 0 has {ours}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_first_process_that_differs_is_named_with_both_values() {
        let lead = values(&[("seed", "1"), ("train.steps", "9")]);
        assert_eq!(first_difference(&[lead.clone(), lead.clone()]), None);
        let other = values(&[("seed", "2"), ("train.steps", "9")]);
        let found = first_difference(&[lead.clone(), lead.clone(), other]);
        assert_eq!(found, Some((2, "has seed = 2, but rank 0 has 1".to_owned())));
        let more = values(&[("seed", "1"), ("train.steps", "9"), ("optim.lr", "0.1")]);
        let found = first_difference(&[lead, more]);
        assert_eq!(found, Some((1, "has optim.lr = 0.1, but rank 0 has nothing".to_owned())));
    }

    #[test]
    fn one_process_does_its_work_and_agrees_with_itself() {
        let world = World::ALONE;
        assert_eq!(world.from_lead(|| Ok(7)).unwrap(), 7);
        assert_eq!(world.on_lead(|| Ok("done")).unwrap(), Some("done"));
        assert!(world.on_lead(|| -> Result<()> { anyhow::bail!("a failure") }).is_err());
        assert_eq!(world.every(&[1, 2]).unwrap(), [[1, 2]]);
        world.agree(&[("seed", "1".to_owned())], "").unwrap();
    }
}
