//! What cannot be seen in numbers: views of samples, nearest neighbours, bad samples.

use std::{cmp::Ordering, collections::BTreeMap};

use pipeline::Rgb;
use shards::{Sample, ShardSet};

use super::{
    configuration::table,
    findings::{Findings, Named, Query},
    images::Images,
    pairs::{self, Pair, pairs},
    subject::{Bad, Subject},
    text::{count, escape, grouped, isolated},
};

/// The most bad samples in the table.
const BAD: usize = 40;

/// Returns the sentence that says why a run's samples cannot be shown.
fn missing(run: &Subject) -> String {
    let why = run.sets.why.as_deref().unwrap_or("the shards cannot be read");
    format!("<p>No images are shown: {}.</p>", isolated(why))
}

/// Returns the views that training sees of some samples, evenly spread over the set.
pub(super) fn views(run: &Subject, count: usize, images: &mut Images) -> String {
    let (Some(config), Some(set)) = (&run.config, &run.sets.train) else { return missing(run) };
    let epoch = run.folder.epochs_begun().ok().flatten().map_or(0, |begun| begun - 1);
    let indices = pairs::evenly(set.len(), count as u64);
    let drawn = pairs(config, set, &indices, epoch);
    if drawn.is_empty() {
        return "<p>None of the chosen samples could be decoded.</p>".to_owned();
    }
    let cards = drawn.iter().map(|pair| card(run, pair, images)).collect::<Vec<_>>().concat();
    let words = format!(
        "The image, and the views that training sees of it in epoch {epoch} (counted from 0), as <code>amdim-stream show</code> draws \
         them: pulled together by the loss. If the views of an image no longer show the same thing, the augmentation is too strong."
    );
    format!("<p>{words}</p><ul class=\"cards\">{cards}</ul>")
}

fn card(run: &Subject, pair: &Pair, images: &mut Images) -> String {
    let class = pair.label.map(|label| run.class(label));
    let what = class.as_ref().map_or_else(|| pair.key.clone(), |class| format!("{}, {class}", pair.key));
    let mut shown = images.element(&pair.image, &format!("{what}: the image"));
    // More views than that would make the card too wide.
    for (number, view) in pair.views.iter().take(4).enumerate() {
        shown += &images.element(view, &format!("{what}: view {}", number + 1));
    }
    format!("<li><div class=\"strip\">{shown}</div>{}</li>", caption(&pair.key, class.as_deref()))
}

fn caption(key: &str, class: Option<&str>) -> String {
    let class = class.map_or(String::new(), |class| format!("<b>{}</b> ", isolated(class)));
    format!("<div class=\"caption\">{class}{}</div>", isolated(key))
}

/// Decoded images of some samples of a set, by their indices.
struct Decoded(BTreeMap<u64, (String, Rgb)>);

impl Decoded {
    fn of(set: Option<&ShardSet>, indices: &[u64]) -> Self {
        let samples = set.map(|set| pairs::samples(set, indices)).unwrap_or_default();
        let decoded = |sample: Sample| Some((sample.index, (sample.key.clone(), pairs::image(&sample)?)));
        Self(samples.into_iter().filter_map(decoded).collect())
    }

    /// Returns the image of a sample, if the set still has the sample of that key there.
    fn get(&self, named: &Named) -> Option<&Rgb> {
        let (key, image) = self.0.get(&named.index)?;
        (named.key.as_ref() == Some(key)).then_some(image)
    }
}

/// Returns validation samples with the training samples nearest to them.
pub(super) fn neighbours(run: &Subject, findings: &Findings, most: usize, images: &mut Images) -> String {
    let places = pairs::evenly(findings.queries.len() as u64, most as u64);
    let chosen: Vec<&Query> =
        places.iter().filter_map(|&place| findings.queries.get(place as usize)).collect();
    let indices: Vec<u64> = chosen.iter().map(|query| query.sample.index).collect();
    let of_queries = Decoded::of(run.sets.validation.as_ref(), &indices);
    let near: Vec<u64> =
        chosen.iter().flat_map(|query| query.nearest.iter().map(|near| near.sample.index)).collect();
    let of_gallery = Decoded::of(run.sets.train.as_ref(), &near);
    let note = if of_queries.0.is_empty() || of_gallery.0.is_empty() { missing(run) } else { String::new() };
    let row = |query: &&Query| {
        let own = tile(run, &query.sample, of_queries.get(&query.sample), None, images);
        let near = query
            .nearest
            .iter()
            .map(|near| {
                let is_right = query.sample.label.is_some() && near.sample.label == query.sample.label;
                tile(run, &near.sample, of_gallery.get(&near.sample), Some((near.cosine, is_right)), images)
            })
            .collect::<Vec<_>>()
            .concat();
        format!("<li>{own}<div class=\"near\">{near}</div></li>")
    };
    let rows = chosen.iter().map(row).collect::<Vec<_>>().concat();
    let step = grouped(findings.step);
    format!(
        "<p>Validation samples, each with the training samples whose features are most similar after step {step}, and the cosine of \
         both. Neighbours of the same class have a green edge. Look at the others: what do they share?</p>{note}\
         <ul class=\"neighbours\">{rows}</ul>"
    )
}

/// Returns a sample as a tile: its image, class and key, and for a neighbour its cosine.
fn tile(
    run: &Subject,
    named: &Named,
    image: Option<&Rgb>,
    near: Option<(f64, bool)>,
    images: &mut Images,
) -> String {
    let key = named.key.clone().unwrap_or_else(|| format!("sample {}", named.index));
    let class = named.label.map(|label| run.class(label));
    let what = class.as_ref().map_or_else(|| key.clone(), |class| format!("{key}, {class}"));
    let picture =
        image.map_or_else(|| "<span class=\"none\"></span>".to_owned(), |image| images.element(image, &what));
    let shown = isolated(class.as_ref().unwrap_or(&key));
    let (class, cosine) = match near {
        None => ("own", String::new()),
        Some((cosine, true)) => ("same", format!("<span>{cosine:.2}</span>")),
        Some((cosine, false)) => ("other", format!("<span>{cosine:.2}</span>")),
    };
    format!(
        "<div class=\"tile {class}\" title=\"{}\">{picture}<div class=\"caption\">{shown} {cosine}</div></div>",
        escape(&key)
    )
}

/// Returns the bad samples and damaged shards, with thumbnails where the images decode after all.
pub(super) fn bad(run: &Subject, most: usize, images: &mut Images) -> String {
    if run.bad.is_empty() {
        return "<p>None: every sample that the run met could be used.</p>".to_owned();
    }
    let shown = &run.bad[..run.bad.len().min(BAD)];
    let mut left = most;
    let row = |bad: &Bad| {
        let picture = if left > 0 { thumbnail(run, bad, images) } else { None };
        left -= usize::from(picture.is_some());
        let picture = picture.unwrap_or_else(|| "—".to_owned());
        let key = bad.key.as_deref().map_or("the shard itself".to_owned(), isolated);
        let file = bad.shard.rsplit('/').next().unwrap_or(&bad.shard);
        format!(
            "<tr><td class=\"picture\">{picture}</td><th scope=\"row\">{key}</th><td>{}</td><td>{} at byte {}</td></tr>",
            isolated(&bad.reason),
            isolated(file),
            grouped(bad.offset)
        )
    };
    let rows = shown.iter().map(row).collect::<Vec<_>>().concat();
    let head = "<tr><th scope=\"col\">image</th><th scope=\"col\">sample</th><th scope=\"col\">reason</th><th scope=\"col\">place</th></tr>";
    let words = count(run.bad.len() as u64, "sample or shard", "samples and shards");
    let more = if shown.len() < run.bad.len() {
        format!(" The first {} are shown.", shown.len())
    } else {
        String::new()
    };
    format!(
        "<p>{words} could not be used. Training took the next good sample in its place. An image is shown where it decodes.{more}</p>{}",
        table("List of bad samples", head, &rows)
    )
}

/// Returns the image of a bad sample, if it decodes.
fn thumbnail(run: &Subject, bad: &Bad, images: &mut Images) -> Option<String> {
    let sets = [&run.sets.train, &run.sets.validation];
    let (set, index) =
        sets.into_iter().flatten().find_map(|set| Some((set, at(set, &bad.shard, bad.offset)?)))?;
    let sample = pairs::samples(set, &[index]).pop()?;
    let alt = format!("{}: the image of a bad sample", sample.key);
    Some(images.element(&pairs::image(&sample)?, &alt))
}

/// Returns the index of the sample whose image begins at a byte of a shard.
fn at(set: &ShardSet, shard: &str, offset: u64) -> Option<u64> {
    let number = set.shards().iter().position(|name| name.as_str() == shard)?;
    let first: u64 = (0..number).map(|before| set.samples_in(before)).sum();
    let (mut low, mut high) = (first, first + set.samples_in(number));
    while low < high {
        let middle = low.midpoint(high);
        match set.locate(middle).ok()?.offset.cmp(&offset) {
            Ordering::Equal => return Some(middle),
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
        }
    }
    None
}
