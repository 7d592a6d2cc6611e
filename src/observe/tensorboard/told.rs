//! What the event files of a folder tell already.

use std::{fs, path::Path};

use super::{file, tags};
use crate::metrics::Record;

/// Returns the last ones of a run's records from the first that event files in a folder lack, and all others of its step:
/// a process that was killed may have recorded more than it told TensorBoard, and one that trained without event files
/// told nothing. Files that cannot be read tell nothing.
pub(crate) fn missing<'a>(folder: &Path, records: &'a [Record]) -> &'a [Record] {
    let told = Told::of(folder);
    let first = records.iter().position(|record| !told.has(record));
    let first = first.map(|first| records.partition_point(|record| record.step() < records[first].step()));
    first.map_or(&[], |first| &records[first..])
}

/// The last step that event files tell of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    step: u64,
    /// Whether they have the numbers of training after this step.
    train: bool,
    /// Whether they have those of a validation.
    validation: bool,
}

impl Told {
    /// Reads the files of a folder, the last one first. Each takes back what earlier ones tell of its first step and
    /// later ones.
    fn of(folder: &Path) -> Self {
        let mut names = file::names(folder).unwrap_or_default();
        names.sort();
        let mut before = u64::MAX;
        for name in names.iter().rev() {
            let bytes = fs::read(folder.join(name)).unwrap_or_default();
            let (mut told, mut start) = (Self::default(), u64::MAX);
            for (step, kind) in events(&bytes) {
                match kind {
                    Kind::Start => start = start.min(step),
                    kind if step < before => told.add(step, kind),
                    _ => {}
                }
            }
            if told.step > 0 {
                return told;
            }
            before = before.min(start);
        }
        Self::default()
    }

    fn add(&mut self, step: u64, kind: Kind) {
        if matches!(kind, Kind::Train | Kind::Validation) && step > self.step {
            *self = Self { step, ..Self::default() };
        }
        self.train |= kind == Kind::Train && step == self.step;
        self.validation |= kind == Kind::Validation && step == self.step;
    }

    fn has(&self, record: &Record) -> bool {
        let is_told = if record.train().is_some() { self.train } else { self.validation };
        record.step() < self.step || record.step() == self.step && is_told
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Start,
    Train,
    Validation,
    Other,
}

/// Returns the step and the kind of each event of a file, up to a record that was cut.
fn events(mut bytes: &[u8]) -> Vec<(u64, Kind)> {
    let mut events = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = u64::from_le_bytes(*length) as usize;
        let Some(record) = rest.get(..length.saturating_add(8)) else { break };
        events.push(event(&record[4..4 + length]));
        bytes = &rest[record.len()..];
    }
    events
}

/// Returns the step and the kind of an event.
fn event(message: &[u8]) -> (u64, Kind) {
    let (mut step, mut kind) = (0, Kind::Other);
    for field in fields(message) {
        match field {
            (2, Value::Number(number)) => step = number,
            (5, Value::Bytes(summary)) => kind = kind_of(summary),
            (7, Value::Bytes(_)) => kind = Kind::Start,
            _ => {}
        }
    }
    (step, kind)
}

/// Returns which record the values of a summary are of.
fn kind_of(summary: &[u8]) -> Kind {
    let tags = fields(summary).filter_map(|(_, value)| match value {
        Value::Bytes(value) => fields(value).find_map(|field| match field {
            (1, Value::Bytes(tag)) => Some(tag),
            _ => None,
        }),
        Value::Number(_) => None,
    });
    for tag in tags {
        if tags::TRAIN.iter().any(|own| own.tag.as_bytes() == tag) {
            return Kind::Train;
        }
        if tags::VALIDATION.iter().any(|own| own.tag.as_bytes() == tag) {
            return Kind::Validation;
        }
    }
    Kind::Other
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    /// A whole number, or another one of fixed length, of which the value is not needed here.
    Number(u64),
    Bytes(&'a [u8]),
}

/// Returns the fields of a message, up to one that cannot be read.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = varint(&mut message)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut message)?),
            1 => Value::Number(take(&mut message, 8).map(|_| 0)?),
            2 => {
                let length = varint(&mut message)? as usize;
                Value::Bytes(take(&mut message, length)?)
            }
            5 => Value::Number(take(&mut message, 4).map(|_| 0)?),
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

/// Reads a number in groups of seven bits, the lowest first.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let byte = take(message, 1)?[0];
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metrics::{TrainRecord, ValidationRecord},
        observe::tensorboard::TensorBoard,
    };

    fn train(step: u64) -> Record {
        Record::Train(Box::new(TrainRecord { step, lr: Some(0.1), ..TrainRecord::default() }))
    }

    fn validation(step: u64) -> Record {
        Record::Validation(ValidationRecord { step, knn: Some(0.5), ..ValidationRecord::default() })
    }

    fn write(folder: &Path, after: u64, records: &[Record]) {
        let mut board = TensorBoard::new(folder, after, String::new());
        for record in records {
            board.record(record).unwrap();
        }
    }

    #[test]
    fn what_earlier_processes_did_not_tell_is_found() {
        let place = tempfile::tempdir().unwrap();
        let records = [train(10), train(20), validation(20), train(30)];
        let missing = |records| missing(place.path(), records).iter().map(Record::step).collect::<Vec<_>>();
        assert_eq!(missing(&records[..]), [10, 20, 20, 30], "there is no file");
        write(place.path(), 0, &records[..2]);
        assert_eq!(missing(&records), [20, 20, 30], "the validation is missing, and its step is told again");
        assert!(missing(&records[..2]).is_empty());
        write(place.path(), 19, &records[1..]);
        assert!(missing(&records).is_empty());
        // A third process takes back the steps after 20, and was killed before it told anything.
        let mut board = TensorBoard::new(place.path(), 20, String::new());
        board.text(21, "note", "words").unwrap();
        assert_eq!(missing(&records), [30]);
        assert!(missing(&records[..3]).is_empty());
    }

    #[test]
    fn a_file_of_anything_tells_nothing() {
        let place = tempfile::tempdir().unwrap();
        for bytes in
            [&[][..], &[255; 7], &[255; 40], &[5, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0x10, 255, 255, 255, 255]]
        {
            fs::write(place.path().join("events.out.tfevents.1.x"), bytes).unwrap();
            assert_eq!(Told::of(place.path()), Told::default());
        }
    }
}
