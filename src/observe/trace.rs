//! The trace of `--trace`: what every thread does in the first steps, in the form of Chrome's traces, which Perfetto
//! (ui.perfetto.dev) shows.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::Write,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use crossbeam::channel::{self, Receiver, RecvTimeoutError};
use pipeline::trace::{self, Span, Track};
use torchkit::{Accelerator, Failure, Moment};

use crate::{
    files::Partial,
    hint::{self, WithHint},
    world::World,
};

/// The name of the span of a step, with which the flow of a batch ends.
const STEP: &str = "step";
/// The threads of a GPU, as tracks after those of the host.
const GPU: [&str; 2] = ["GPU: copies", "GPU: steps"];

/// A trace that is recorded, or written.
#[derive(Debug)]
pub(crate) struct Trace {
    file: PathBuf,
    steps_left: u64,
    begin: Instant,
    begin_unix: f64,
    rank: usize,
    gpu: Option<Gpu>,
    /// Disconnects when the file has been written.
    written: Option<Receiver<Infallible>>,
}

/// Work of a GPU, of which the times are read at the end.
#[derive(Debug)]
struct Gpu {
    accelerator: Accelerator,
    begin: Moment,
    copies: Vec<Work>,
    steps: Vec<Work>,
}

#[derive(Debug)]
struct Work {
    batch: u64,
    moments: [Moment; 2],
}

impl Trace {
    /// The time that the end of a run waits for the file.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Begins to record so many steps, for `file`. Each process but the lead writes a file of its own, with its rank in
    /// the name.
    ///
    /// # Errors
    ///
    /// If a GPU fails.
    pub(crate) fn start(
        file: &Path,
        steps: u64,
        accelerator: Option<Accelerator>,
        world: World,
    ) -> Result<Self> {
        let gpu = match accelerator {
            Some(accelerator) => {
                let begin = Moment::queue(Some(accelerator))?;
                Some(Gpu { accelerator, begin, copies: Vec::new(), steps: Vec::new() })
            }
            None => None,
        };
        let rank = world.rank();
        trace::start();
        Ok(Self {
            file: if rank == 0 { file.to_owned() } else { of_rank(file, rank) },
            steps_left: steps,
            begin: Instant::now(),
            begin_unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64()),
            rank,
            gpu,
            written: None,
        })
    }

    /// Makes a step on the batch `id`, which was `copied` at these times, and ends the trace after the last step of it. A
    /// trace that fails is given up with a warning.
    ///
    /// # Errors
    ///
    /// Those of `step`.
    pub(crate) fn step<T>(
        &mut self,
        (id, copied): (u64, Option<[Moment; 2]>),
        step: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if self.steps_left == 0 {
            return step();
        }
        trace::about(id);
        let begin = self.moment();
        let made = trace::span(STEP, step)?;
        trace::about(0);
        if let Err(error) = self.note_step((id, copied), begin) {
            trace::stop();
            (self.steps_left, self.gpu) = (0, None);
            tracing::warn!("there is no trace: {}", hint::render(&error));
        }
        Ok(made)
    }

    /// Notes a step that was made, and begins to write the file after the last one.
    fn note_step(
        &mut self,
        (id, copied): (u64, Option<[Moment; 2]>),
        begin: Result<Option<Moment>, Failure>,
    ) -> Result<()> {
        let (begin, end) = (begin?, self.moment()?);
        if let Some(gpu) = &mut self.gpu {
            gpu.copies.extend(copied.map(|moments| Work { batch: id, moments }));
            gpu.steps.extend(begin.zip(end).map(|(begin, end)| Work { batch: id, moments: [begin, end] }));
        }
        self.steps_left -= 1;
        if self.steps_left == 0 { self.write() } else { Ok(()) }
    }

    fn moment(&self) -> Result<Option<Moment>, Failure> {
        self.gpu.as_ref().map(|gpu| Moment::queue(Some(gpu.accelerator))).transpose()
    }

    /// Ends the recording, and starts to write the file.
    fn write(&mut self) -> Result<()> {
        let (tracks, end) = (trace::stop(), Instant::now());
        let mut events = Events::new(self.begin, self.rank);
        let mut gpu = Vec::new();
        if let Some(Gpu { begin, copies, steps, .. }) = self.gpu.take() {
            for (number, work) in [copies, steps].iter().enumerate() {
                for Work { batch, moments: [from, to] } in work {
                    let (from, to) = (begin.until(from)?, begin.until(to)?);
                    let span =
                        |name| Span { name, batch: *batch, begin: self.begin + from, end: self.begin + to };
                    gpu.push((number, span(if number == 0 { "copy" } else { STEP })));
                }
            }
        }
        let (file, begin_unix) = (self.file.clone(), self.begin_unix);
        let (writing, written) = channel::bounded::<Infallible>(0);
        let write = move || {
            let _writing = writing;
            events.threads(&tracks);
            events.gpu(&gpu);
            let left_out = tracks.iter().map(|track| track.left_out).sum();
            let seconds = (end - events.begin).as_secs_f64();
            report(&file, seconds, left_out, save(&file, &events.finish(begin_unix)));
        };
        let spawned = thread::Builder::new().name("trace".to_owned()).spawn(write);
        spawned.context("cannot start the thread that writes the trace")?;
        self.written = Some(written);
        Ok(())
    }
}

impl Drop for Trace {
    /// Writes the trace of a run that has made fewer steps, and waits a moment for its file.
    fn drop(&mut self) {
        if self.steps_left > 0
            && let Err(error) = self.write()
        {
            tracing::warn!("there is no trace: {}", hint::render(&error));
        }
        let late = self.written.take().map(|written| written.recv_timeout(Self::PATIENCE));
        if late == Some(Err(RecvTimeoutError::Timeout)) {
            tracing::warn!("the trace takes too long to write and is not waited for");
        }
    }
}

fn save(file: &Path, text: &str) -> Result<()> {
    Partial::beside(file)
        .and_then(|partial| partial.write(text.as_bytes()))
        .with_context(|| format!("cannot write the trace to `{}`", file.display()))
        .with_write_hint()
}

/// Says what became of a trace of so many seconds.
fn report(file: &Path, seconds: f64, left_out: u64, saved: Result<()>) {
    if left_out > 0 {
        tracing::warn!(
            "the trace leaves out {left_out} spans that its memory has no room for: give --trace-steps a smaller number"
        );
    }
    match saved {
        Ok(()) => {
            tracing::info!(
                "`{}` has the trace of {seconds:.1} s: open it in ui.perfetto.dev",
                file.display()
            );
        }
        Err(error) => tracing::warn!("{}", hint::render(&error)),
    }
}

/// Returns the file of another rank: `trace-rank1.json` for `trace.json`.
fn of_rank(file: &Path, rank: usize) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let extension =
        file.extension().map_or_else(String::new, |extension| format!(".{}", extension.to_string_lossy()));
    file.with_file_name(format!("{stem}-rank{rank}{extension}"))
}

/// The text of a trace.
#[derive(Debug)]
struct Events {
    begin: Instant,
    rank: usize,
    text: String,
    /// The first span of each kind for each batch, with the track on which it is: where its flow passes.
    flows: BTreeMap<u64, Vec<(usize, Span)>>,
}

impl Events {
    /// The spans through which the flow of a batch passes.
    const STATIONS: [&str; 4] = ["decode", "batch", "copy", STEP];

    fn new(begin: Instant, rank: usize) -> Self {
        let mut events = Self { begin, rank, text: String::new(), flows: BTreeMap::new() };
        let name =
            format!("amdim-stream {}, rank {rank}, process {}", env!("CARGO_PKG_VERSION"), process::id());
        events.name("process_name", 0, &name);
        events
    }

    fn microseconds(&self, at: Instant) -> f64 {
        1e6 * at.saturating_duration_since(self.begin).as_secs_f64()
    }

    /// Adds an event with more fields, as JSON.
    fn add(&mut self, kind: char, thread: usize, rest: &str) {
        let comma = if self.text.is_empty() { "" } else { ",\n" };
        write!(self.text, "{comma}{{\"ph\":\"{kind}\",\"pid\":{},\"tid\":{thread},{rest}}}", self.rank)
            .expect("a string takes every text");
    }

    fn name(&mut self, of: &str, thread: usize, name: &str) {
        let name = serde_json::Value::from(name);
        self.add('M', thread, &format!("\"name\":\"{of}\",\"args\":{{\"name\":{name}}}"));
    }

    fn span(&mut self, thread: usize, span: Span) {
        let Span { name, batch, begin, end } = span;
        let (at, duration) = (self.microseconds(begin), 1e6 * (end - begin).as_secs_f64());
        let about = if batch == 0 { String::new() } else { format!(",\"args\":{{\"batch\":{batch}}}") };
        self.add('X', thread, &format!("\"name\":\"{name}\",\"ts\":{at:.3},\"dur\":{duration:.3}{about}"));
    }

    /// Adds the tracks of all threads. Threads that do the same have tracks next to each other.
    fn threads(&mut self, tracks: &[Track]) {
        let mut tracks: Vec<_> = tracks.iter().collect();
        let order = ["main", "feed", "batch", "decode", "reader"];
        let place = |track: &Track| order.iter().position(|name| track.thread.starts_with(name));
        tracks.sort_by_key(|track| (place(track).unwrap_or(order.len()), track.thread.clone()));
        for (number, track) in (1..).zip(tracks) {
            let name = if track.thread == "main" { "training" } else { &track.thread };
            self.name("thread_name", number, name);
            self.add(
                'M',
                number,
                &format!("\"name\":\"thread_sort_index\",\"args\":{{\"sort_index\":{number}}}"),
            );
            for &span in &track.spans {
                self.span(number, span);
                if span.batch > 0 && Self::STATIONS.contains(&span.name) {
                    self.flows.entry(span.batch).or_default().push((number, span));
                }
            }
            for depth in &track.depths {
                let at = self.microseconds(depth.at);
                let rest =
                    format!("\"name\":\"{}\",\"ts\":{at:.3},\"args\":{{\"n\":{}}}", depth.queue, depth.depth);
                self.add('C', number, &rest);
            }
        }
    }

    /// Adds the tracks of a GPU: copies and steps.
    fn gpu(&mut self, work: &[(usize, Span)]) {
        const FIRST: usize = 1000;
        if work.is_empty() {
            return;
        }
        for (number, name) in GPU.into_iter().enumerate() {
            self.name("thread_name", FIRST + number, name);
        }
        for &(number, span) in work {
            self.span(FIRST + number, span);
        }
    }

    /// Adds the flow of each batch of which a step was made, and returns the whole.
    fn finish(mut self, begin_unix: f64) -> String {
        for (batch, spans) in std::mem::take(&mut self.flows) {
            let first = |name: &&str| {
                let of_name = spans.iter().filter(|(_, span)| span.name == *name);
                of_name.min_by_key(|(_, span)| span.begin).copied()
            };
            let stations: Vec<_> = Self::STATIONS.iter().filter_map(first).collect();
            if stations.last().is_none_or(|(_, span)| span.name != STEP) {
                continue;
            }
            for (number, (thread, span)) in stations.iter().enumerate() {
                let kind = match number {
                    0 => 's',
                    _ if number + 1 == stations.len() => 'f',
                    _ => 't',
                };
                let ending = if kind == 'f' { ",\"bp\":\"e\"" } else { "" };
                let at = self.microseconds(span.begin);
                let rest =
                    format!("\"name\":\"batch\",\"cat\":\"batch\",\"id\":{batch},\"ts\":{at:.3}{ending}");
                self.add(kind, *thread, &rest);
            }
        }
        format!(
            "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"begin_unix_seconds\":{begin_unix:.6}}},\"traceEvents\":[\n{}\n]}}\n",
            self.text
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_ranks_write_files_of_their_own() {
        assert_eq!(of_rank(Path::new("a/trace.json"), 2), Path::new("a/trace-rank2.json"));
        assert_eq!(of_rank(Path::new("trace"), 1), Path::new("trace-rank1"));
    }
}
