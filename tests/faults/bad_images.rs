//! Images of all kinds through decoding, rendering, the loader and the program.

use std::{collections::BTreeMap, fs, process::Command};

use pipeline::{DecodeMode, Decoder, Loader, LoaderConfig, Preset, Renderer, Rgb, SampleSeed};
use shards::{Position, Sample, ShardWriter};

use crate::{
    amount,
    encode::{bomb, png},
    kinds::{Case, Expected, KINDS},
    memory::kilobytes,
    support::{Place, lines},
    watched::Watched,
};

/// Images of more pixels are refused here; the program's own limit is 100 million.
const LIMIT: u64 = 4_000_000;

/// Renderers of one preset that see every image, and one that sees whole ones alone.
struct Renderers {
    preset: Preset,
    exact: Renderer,
    fast: Renderer,
    reference: Renderer,
}

type Views = Result<Vec<u8>, String>;

fn views(renderer: &mut Renderer, preset: Preset, bytes: &[u8], seed: SampleSeed) -> Views {
    renderer.decode(bytes, seed).map_err(|error| error.to_string())?;
    let mut views = vec![0; preset.recipe().bytes()];
    renderer.render(&mut views);
    Ok(views)
}

impl Renderers {
    fn new(preset: Preset) -> Self {
        let new = |mode| Renderer::new(preset.recipe(), mode, LIMIT);
        let [exact, reference] = [(); 2].map(|()| new(DecodeMode::Exact));
        Self { preset, exact, fast: new(DecodeMode::Fast), reference }
    }

    /// Holds the views of a case against those of a PNG of the pixels that it has to have, where it has to
    /// have some; whether it was bad.
    fn check(&mut self, case: &Case, png: Option<&[u8]>, what: &str, seed: SampleSeed) -> bool {
        let exact = views(&mut self.exact, self.preset, &case.bytes, seed);
        let fast = views(&mut self.fast, self.preset, &case.bytes, seed);
        assert_eq!(exact.is_ok(), fast.is_ok(), "{what}");
        match (&case.expected, png) {
            (Expected::Bad, _) => assert!(exact.is_err(), "{what} has views"),
            (Expected::PixelsOrBad(_), _) if exact.is_err() => {}
            (_, Some(png)) => self.compare(&exact, png, what, seed),
            _ => {}
        }
        if let (Ok(views), "one pixel", Preset::Stl10 | Preset::In128) = (&exact, case.kind, self.preset) {
            let is_constant = |view: &[u8]| view.as_chunks::<3>().0.iter().all(|pixel| pixel == &view[..3]);
            assert!(views.chunks(self.preset.recipe().groups[0].view_bytes()).all(is_constant), "{what}");
        }
        exact.is_err()
    }

    /// The views are those of the pixels; a size that cannot be rendered cannot be, whatever holds it.
    fn compare(&mut self, found: &Views, png: &[u8], what: &str, seed: SampleSeed) {
        let expected = views(&mut self.reference, self.preset, png, seed);
        assert!(
            *found == expected,
            "{what}: other views, {:?} and {:?}",
            found.as_ref().err(),
            expected.err()
        );
    }
}

/// Holds the decoder's pixels against those that they have to be; whether the image was bad.
fn check_pixels(decoder: &mut Decoder, image: &mut Rgb, case: &Case, what: &str) -> bool {
    let header = decoder.header(&case.bytes);
    let decoded = decoder.decode(&case.bytes, image);
    match (&case.expected, &decoded) {
        (Expected::Bad | Expected::BadAsAWhole, decoded) => assert!(decoded.is_err(), "{what} has pixels"),
        (Expected::Pixels(pixels) | Expected::PixelsOrBad(pixels), Ok(())) => {
            assert!(image == pixels, "{what}: other pixels");
        }
        (Expected::Pixels(_), Err(error)) => panic!("{what}: {error}"),
        _ => {}
    }
    if let (Ok(header), Ok(())) = (header, &decoded) {
        assert_eq!(header.upright(), (image.width, image.height), "{what}");
    }
    decoded.is_err()
}

/// The loader gives all images but the bad ones, which it lists.
fn check_loader(count: usize, expected: &[usize]) {
    let recipe = Preset::In128.recipe();
    let config = LoaderConfig {
        workers: 2,
        batch_size: 8,
        max_pixels: LIMIT,
        max_bad: "100%".parse().unwrap(),
        ..LoaderConfig::default()
    };
    let slabs = vec![vec![0; config.bytes(&recipe)]; config.slabs()];
    let samples = (0..count).map(|number| Ok(sample(number, Case::new(number))));
    let (mut good, mut bad) = (0, Vec::new());
    let mut loader = Loader::spawn(samples, recipe, slabs, &config).unwrap();
    for batch in loader.by_ref() {
        let batch = batch.unwrap();
        good += batch.indices.len();
        bad.extend(batch.bad_samples);
    }
    bad.extend(loader.finish());
    let bad: Vec<usize> = bad.iter().map(|sample| sample.key.parse().unwrap()).collect();
    assert_eq!(bad, expected);
    assert_eq!(good + bad.len(), count);
}

fn sample(number: usize, case: Case) -> Sample {
    Sample {
        shard: "images.tar".into(),
        key: number.to_string(),
        offset: number as u64,
        index: number as u64,
        epoch: 0,
        image: case.bytes.into(),
        label: None,
        next: Position { epoch: 0, offset: number as u64 + 1 },
    }
}

/// Set in the process that looks at the images.
const ALONE: &str = "AMDIM_FAULTS_ALONE";

/// In a process of its own, whose memory no other test has a share in.
#[test]
fn every_image_gives_the_right_pixels_and_views_or_is_bad() {
    if std::env::var_os(ALONE).is_some() {
        return look_at_every_image();
    }
    let name = "bad_images::every_image_gives_the_right_pixels_and_views_or_is_bad";
    let alone = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(alone.status.success(), "{said}{}", String::from_utf8_lossy(&alone.stderr));
    let told: Vec<_> = said.lines().filter(|line| line.starts_with("images: ")).collect();
    assert_eq!(told.len(), 1, "{said}");
    println!("{}", told[0]);
}

fn look_at_every_image() {
    let count = amount(270, 10_000);
    let mut decoder = Decoder::new(LIMIT);
    let mut image = Rgb::default();
    let mut renderers = [Preset::C10, Preset::Stl10, Preset::In128].map(Renderers::new);
    let (mut kinds, mut bad) = (BTreeMap::new(), Vec::new());
    let _ = bomb(); // made from 100 MB
    let before = kilobytes("self", "VmHWM");
    let mut half = 0;
    for number in 0..count {
        if number == count / 2 {
            half = kilobytes("self", "VmHWM");
        }
        let case = Case::new(number);
        let what = format!("image {number}, {}", case.kind);
        let mut is_bad = check_pixels(&mut decoder, &mut image, &case, &what);
        let seed = SampleSeed { seed: 0, epoch: 0, index: number as u64 };
        let png = match &case.expected {
            Expected::Pixels(pixels) | Expected::PixelsOrBad(pixels) => Some(png(pixels)),
            _ => None,
        };
        for renderer in &mut renderers {
            is_bad = renderer.check(&case, png.as_deref(), &what, seed); // of In128, which comes last and is the loader's
        }
        *kinds.entry(case.kind).or_insert(0) += 1;
        if is_bad {
            bad.push(number);
        }
    }
    let rendered = kilobytes("self", "VmHWM");
    check_loader(count, &bad);
    assert_eq!(kinds.len(), KINDS.len());
    let loaded = kilobytes("self", "VmHWM");
    // Nine renderers and a decoder, and then two renderers of the loader's, each keep the memory of their largest image, of 2.6
    // million pixels; headers claim up to 2⁶⁴.
    assert!(rendered - half <= half / amount(2, 20) as u64, "{half} kB, and {rendered} after as many again");
    assert!(loaded - before < 1_000 << 10, "peak memory grew by {} kB", loaded - before);
    println!(
        "images: {count} of {} kinds decoded, rendered and loaded, {} bad, all others right; peak memory grew by {} MB for the \
         first half of them, {} for the second, {} for the loader",
        kinds.len(),
        bad.len(),
        (half - before) >> 10,
        (rendered - half) >> 10,
        (loaded - rendered) >> 10
    );
}

#[test]
fn the_program_lists_the_images_that_are_bad_and_no_others() {
    let place = Place::new();
    let (shards, per_shard) = (4, amount(56, 400));
    for shard in 0..shards {
        let mut writer = ShardWriter::create(place.path(&format!("images-{shard:03}.tar"))).unwrap();
        for number in shard * per_shard..(shard + 1) * per_shard {
            let case = Case::new(number);
            writer.append(&number.to_string(), &[(case.extension, &case.bytes)]).unwrap();
        }
        writer.finish().unwrap();
    }
    let epochs = amount(1, 6).to_string();
    // Batches of 16 divide the set: an epoch takes each place once, also those of bad samples.
    let more = ["--epochs", &epochs, "--max-bad", "100%", "--workers", "2"];
    let mut child = Watched::start(&mut place.train(&place.pattern("images", shards), "run", &more));
    let (id, mut peak) = (child.id().to_string(), 0);
    child.until(|| {
        if fs::exists(format!("/proc/{id}/status")).unwrap_or(false) {
            peak = peak.max(kilobytes(&id, "RssAnon"));
        }
        false
    });
    child.wait().assert_done();
    let listed: Vec<usize> = lines(&place.path("run/bad-samples.jsonl"))
        .iter()
        .map(|line| line["key"].as_str().unwrap().parse().unwrap())
        .collect();
    for number in 0..shards * per_shard {
        let case = Case::new(number);
        let is_listed = listed.contains(&number);
        match case.expected {
            Expected::Bad => assert!(is_listed, "image {number}, {}, is not listed", case.kind),
            // Those that are too wide to be resized are.
            Expected::Pixels(_) if !case.kind.contains("wide") => {
                assert!(!is_listed, "image {number}, {}, is listed", case.kind);
            }
            _ => {}
        }
    }
    // Beside the pages of the shards: 100 MB for the program, and what the largest images take in each of four threads that
    // decode, half of them for validations.
    assert!(peak < 600 << 10, "peak memory was {peak} kB");
    println!(
        "images through the program: {}, {} listed as bad, none wrongly; peak memory {} MB, allowed were 600",
        shards * per_shard,
        listed.len(),
        peak >> 10
    );
}
