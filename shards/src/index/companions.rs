//! Companions, such as masks, that are stored apart from their images, for example behind all of them.

use xxhash_rust::xxh3::xxh3_128;

use super::gathered::{Gathered, text};
use crate::{
    Result,
    name::{Name, Role},
    remark::{Finding, RemarkKind},
};

/// A sample with dots in its base name, which is a companion if there is a matching image without them.
#[derive(Debug)]
pub(super) struct Dotted {
    number: usize,
    /// The hash of that image's key.
    hash: u128,
    name: String,
    /// The length of the name up to its first dot.
    short: usize,
    /// The roles of images that it would be a companion of, a bit for each.
    of: u8,
    /// Findings about it, which are reported if it is not a companion.
    notes: Vec<Finding>,
}

impl Dotted {
    /// Makes an entry for a sample whose image has this name; `None` if it cannot be a companion.
    pub(super) fn of(number: usize, name: Name<'_>) -> Option<Self> {
        let roles = (0..4).map(Role::Image).filter(|role| name.is_companion_of(*role));
        let of = roles.fold(0, |bits, role| bits | role.bit());
        let (hash, short) = (xxh3_128(name.short()), text(name.short()).len());
        (of != 0).then(|| Self { number, hash, name: text(name.whole()), short, of, notes: Vec::new() })
    }

    pub(super) fn with(self, notes: Vec<Finding>) -> Self {
        Self { notes, ..self }
    }
}

impl Gathered<'_> {
    /// Finds the samples that are companions of others, and removes them.
    pub(super) fn leave_out_companions(&mut self, dotted: Vec<Dotted>) -> Result<()> {
        if dotted.is_empty() {
            return Ok(());
        }
        let order = self.by_key();
        let mut owners = vec![None; self.spans.len()];
        for sample in &dotted {
            owners[sample.number] = self.owner(sample, &order);
        }
        for Dotted { number, name, short, notes, .. } in dotted {
            if owners[number].is_none() {
                notes.into_iter().try_for_each(|note| self.note_sample(note))?;
            } else if !self.findings.count(RemarkKind::SecondImage) {
                let key = name[..short].to_owned();
                self.note_second_image(self.spans[number].image, name, &key);
            }
        }
        if owners.iter().any(Option::is_some) {
            self.remove(&owners);
        }
        Ok(())
    }

    /// Finds the sample that another one is a companion of: the last one before it with the key, else the
    /// first after it.
    fn owner(&self, sample: &Dotted, order: &[(u128, usize)]) -> Option<usize> {
        let at = order.partition_point(|other| *other < (sample.hash, sample.number));
        let near = [at.checked_sub(1), Some(at)].into_iter().flatten().filter_map(|at| order.get(at));
        let (_, owner) = near.into_iter().find(|(hash, _)| *hash == sample.hash)?;
        (self.roles[*owner].bit() & sample.of != 0).then_some(*owner)
    }

    /// Removes the samples that have an owner; their members are assigned to the owner.
    fn remove(&mut self, owners: &[Option<usize>]) {
        let mut left = 0;
        let mut numbers: Vec<usize> = Vec::with_capacity(owners.len());
        for (number, owner) in owners.iter().enumerate() {
            numbers.push(left);
            match owner {
                None => left += 1,
                Some(_) => self.digest.update(&(number as u64).to_le_bytes()),
            }
        }
        let renumber = |number: usize| numbers[owners[number].unwrap_or(number)];
        retain(&mut self.spans, owners);
        retain(&mut self.hashes, owners);
        retain(&mut self.label_sources, owners);
        retain(&mut self.roles, owners);
        retain(&mut self.folders.of_samples, owners);
        self.findings.renumber(renumber);
        if let Some(detail) = &mut self.detail {
            retain(&mut detail.keys, owners);
            retain(&mut detail.roles, owners);
            detail.ends_with_sample &= owners.last().is_some_and(Option::is_none);
            for sample in detail.members.iter_mut().filter_map(|member| member.sample.as_mut()) {
                *sample = renumber(*sample);
            }
        }
    }
}

/// Keeps the values of samples without an owner.
fn retain<T>(values: &mut Vec<T>, owners: &[Option<usize>]) {
    let mut owners = owners.iter();
    values.retain(|_| owners.next().is_some_and(Option::is_none));
}
