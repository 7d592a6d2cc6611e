//! Files about which libjpeg-turbo warns: odd ones, with the pixels of the file without the oddity, and
//! damaged ones. Pillow 12.3 agrees on the odd ones; it decodes the damaged ones, with other pixels.

use pipeline::{DecodeMode, Decoder, Oddity, Preset, Renderer, Rgb, SampleSeed, jpeg::Sampling};
use turbojpeg::Compressor;

use crate::{
    Random, encoded, find,
    forge::{Forge, flat_tables, segment},
    noise, with_segment,
};

/// Returns pixels and oddities, or the damage.
fn verdict(bytes: &[u8]) -> Result<(Rgb, Vec<Oddity>), String> {
    let mut decoder = Decoder::new(1 << 20);
    let mut image = Rgb::default();
    decoder.decode(bytes, &mut image).map_err(|error| error.to_string())?;
    Ok((image, decoder.oddities().iter().collect()))
}

fn assert_odd(name: &str, file: &[u8], clean: &[u8], oddities: &[Oddity]) {
    let (pixels, nothing) = verdict(clean).unwrap();
    assert_eq!(nothing, [], "{name}: the clean file");
    let (odd, found) = verdict(file).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(found, oddities, "{name}");
    assert!(odd == pixels, "{name}: other pixels");
    assert!(views(file) == views(clean), "{name}: other views");
}

/// Renders the views of three seeds, with whichever decoder supports the file.
fn views(bytes: &[u8]) -> Vec<u8> {
    let recipe = Preset::In128.recipe();
    let mut views = vec![0; 3 * recipe.bytes()];
    let length = recipe.bytes();
    let mut renderer = Renderer::new(recipe, DecodeMode::Exact, 1 << 20);
    for (index, views) in (0..).zip(views.chunks_mut(length)) {
        renderer.decode(bytes, SampleSeed { seed: 1, epoch: 0, index }).unwrap();
        renderer.render(views);
    }
    views
}

fn assert_damaged(name: &str, file: &[u8], clean: &[u8], reason: &str) {
    assert!(verdict(clean).is_ok(), "{name}: the clean file");
    let error = verdict(file).expect_err(name);
    assert!(error.contains(reason), "{name}: {error}");
}

/// Makes a file of random coefficients, with restart markers after every second MCU if `has_restarts`.
fn baseline(has_restarts: bool) -> Vec<u8> {
    let mut forge = Forge::new(60, 40, Sampling::Quarter);
    forge.restart_interval = if has_restarts { 2 } else { 0 };
    Random(30).file(&forge, 8)
}

fn progressive() -> Vec<u8> {
    let set = |compressor: &mut Compressor| compressor.set_progressive(true);
    encoded(&noise(60, 40, &mut Random(31)), Sampling::Quarter, set)
}

/// Splits a file into its segments, of which those of scans include the coded data, and the end.
fn parts(file: &[u8]) -> Vec<&[u8]> {
    let mut parts = vec![&file[..2]];
    let mut rest = &file[2..];
    while rest[1] != 0xD9 {
        let mut length = 2 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if rest[1] == 0xDA {
            let is_marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7);
            length += rest[length..].windows(2).position(is_marker).unwrap();
        }
        let (part, others) = rest.split_at(length);
        parts.push(part);
        rest = others;
    }
    parts.push(rest);
    parts
}

/// Returns the numbers of the parts that are scans.
fn scans(parts: &[&[u8]]) -> Vec<usize> {
    (0..parts.len()).filter(|&part| parts[part][1] == 0xDA).collect()
}

fn insert(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    [&file[..at], bytes, &file[at..]].concat()
}

#[test]
fn bytes_between_segments_are_not_damage() {
    for clean in [baseline(false), baseline(true), progressive()] {
        let end = clean.len() - 2;
        for (name, file) in [
            ("zeros before the end", insert(&clean, end, &[0; 18])),
            ("text before the end", insert(&clean, end, b"from a webcam")),
            ("stuffing before the end", insert(&clean, end, &[0xFF, 0].repeat(12))),
            ("between segments", insert(&clean, find(&clean, 0xC4), b"\0abc")),
        ] {
            assert_odd(name, &file, &clean, &[Oddity::ExtraneousBytes]);
        }
        for (name, file) in [
            ("fill before the end", insert(&clean, end, &[0xFF; 9])),
            ("a restart before the end", insert(&clean, end, &[0xFF, 0xD0])),
            ("bytes behind the end", [&clean[..], &[0; 700]].concat()),
            ("another image behind the end", [&clean[..], &clean].concat()),
            ("half of a colour profile", with_segment(&clean, 0xE2, b"ICC_PROFILE\0\x01\x02data")),
        ] {
            assert_odd(name, &file, &clean, &[]);
        }
    }
}

#[test]
fn odd_headers_are_not_damage() {
    let clean = baseline(false);
    let scan = find(&clean, 0xDA);
    let with_parameters = |parameters: [u8; 3]| {
        let mut file = clean.clone();
        file[scan + 11..scan + 14].copy_from_slice(&parameters);
        file
    };
    for parameters in [[0, 0, 0], [1, 63, 0], [0, 64, 0], [0, 63, 0x21], [255, 255, 255]] {
        assert_odd("parameters", &with_parameters(parameters), &clean, &[Oddity::ScanParameters]);
    }
    for version in [0, 2, 255] {
        let jfif = [&b"JFIF\0"[..], &[version], &[0, 0, 0, 1, 0, 1, 0, 0]].concat();
        assert_odd("JFIF", &with_segment(&clean, 0xE0, &jfif), &clean, &[Oddity::JfifVersion]);
    }
    for transform in [2, 3, 255] {
        let adobe = [&b"Adobe\0\x64\0\0\0\0"[..], &[transform]].concat();
        assert_odd("Adobe", &with_segment(&clean, 0xEE, &adobe), &clean, &[Oddity::AdobeTransform]);
    }
    // Motion JPEG without tables uses the standard ones, which the forge uses for both of its components.
    let ycc = encoded(&noise(60, 40, &mut Random(33)), Sampling::Quarter, |_| Ok(()));
    let without_tables: Vec<_> = parts(&ycc).into_iter().filter(|part| part[1] != 0xC4).collect();
    assert_odd("no Huffman tables", &without_tables.concat(), &ycc, &[]);
    let (tables, others): (Vec<_>, Vec<_>) =
        parts(&clean).into_iter().partition(|part| matches!(part[1], 0xC4 | 0xDB));
    let tables_apart = [&clean[..2], &tables.concat(), &[0xFF, 0xD9], &others.concat()].concat();
    assert_odd("tables in a file of their own", &tables_apart, &clean, &[]);
}

#[test]
fn a_file_that_contains_all_of_its_data_needs_no_end_as_in_pillow() {
    let clean = baseline(false);
    let data = &clean[..clean.len() - 2];
    let odd = [Oddity::ExtraneousBytes, Oddity::NoEnd];
    assert_odd("zeros", &[data, &[0; 16]].concat(), &clean, &odd);
    assert_odd("zeros", &[data, &[0; 5_000]].concat(), &clean, &odd);
    assert_odd("text", &[data, b"and so on, and so on"].concat(), &clean, &odd);
    let half = &clean[..clean.len() / 2];
    assert_damaged("half", &[half, &[0; 5_000]].concat(), &clean, "filled up with zeros");
    for clean in [clean, progressive()] {
        for missing in [1, 2, 3, clean.len() / 2] {
            assert_damaged("cut", &clean[..clean.len() - missing], &clean, "it is cut short");
        }
    }
    let clean = progressive();
    let filled = [&clean[..clean.len() - 2], &[0; 16]].concat();
    assert_damaged("a progressive one", &filled, &clean, "it is cut short");
}

#[test]
fn zeros_in_place_of_the_last_data_are_damage_and_zeros_after_all_data_are_not() {
    let clean = baseline(false);
    let data = &clean[..clean.len() - 2];
    for zeros in 8..40 {
        for missing in [2, 3, 5] {
            let filled = [&data[..data.len() - missing], &vec![0; zeros]].concat();
            assert!(verdict(&filled).is_err(), "{zeros} zeros for {missing} bytes");
        }
    }
    // Many of these bytes are data, except for the last one.
    let mut forge = Forge::new(60, 40, Sampling::Gray);
    [forge.dc, forge.ac] = flat_tables();
    let mut blocks = 0;
    let scan = forge.scan(|block| {
        blocks += 1;
        block[0] = if blocks == 40 { 5 } else { 0 };
    });
    let clean = forge.file(&scan);
    let data = &clean[..clean.len() - 2];
    assert!(blocks == 40 && data[data.len() - 20..data.len() - 4].iter().all(|byte| *byte == 0));
    assert_ne!(data.last(), Some(&0));
    let odd = [Oddity::ExtraneousBytes, Oddity::NoEnd];
    assert_odd("zeros", &[data, &[0; 20]].concat(), &clean, &odd);
}

#[test]
fn missing_data_before_the_end_are_damage() {
    for clean in [baseline(false), baseline(true), progressive()] {
        let end = clean.len() - 2;
        for cut in [end - 10, clean.len() * 3 / 4] {
            let file = [&clean[..cut], &clean[end..]].concat();
            assert!(verdict(&file).is_err(), "{cut} bytes of {}", clean.len());
        }
    }
    let mut forge = Forge::new(60, 40, Sampling::Gray);
    [forge.dc, forge.ac] = flat_tables();
    let mut scan = forge.scan(|block| block[0] = 5);
    let clean = forge.file(&scan);
    scan[40..60].fill(0xFE); // no code consists of eight ones
    assert_damaged("no code", &forge.file(&scan), &clean, "bad Huffman code");
    let arithmetic = |compressor: &mut Compressor| compressor.set_arithmetic(true);
    let clean = encoded(&noise(60, 40, &mut Random(32)), Sampling::Quarter, arithmetic);
    let scan = find(&clean, 0xDA);
    let is_bad = |at: usize| {
        let mut file = clean.clone();
        file[at..at + 30].fill(0);
        verdict(&file).is_err_and(|error| error.contains("bad arithmetic code"))
    };
    assert!((scan + 20..clean.len() - 40).any(is_bad));
}

#[test]
fn a_component_without_data_is_damage() {
    let clean = progressive();
    let mut without_dc = parts(&clean);
    let scans = scans(&without_dc);
    without_dc.remove(scans[6]);
    without_dc.remove(scans[0]);
    assert_damaged("no DC", &without_dc.concat(), &clean, "a component has no data");
    let whole = Forge::new(16, 16, Sampling::Full).file(&[]);
    let gray = Forge::new(16, 16, Sampling::Gray);
    let mut separate = whole[..find(&whole, 0xDA)].to_vec();
    let data = gray.scan(|block| block[0] = 90);
    let mut with = |component: u8| {
        segment(&mut separate, 0xDA, &[&[1, component, 0, 0, 63, 0]]);
        separate.extend(&data);
        [&separate[..], &[0xFF, 0xD9]].concat()
    };
    let [first, second, third] = [1, 2, 3].map(&mut with);
    assert!(verdict(&third).is_ok());
    for missing in [first, second] {
        assert_damaged("a scan for each component", &missing, &third, "a component has no data");
    }
}

#[test]
fn wrong_restart_markers_are_damage_only_if_data_are_lost() {
    let clean = baseline(true);
    let marker = |number: u8| find(&clean, 0xD0 + number);
    let renumbered = |number: u8| {
        let mut file = clean.clone();
        file[marker(0) + 1] = 0xD0 + number;
        file
    };
    for number in [3, 4, 5] {
        assert_odd("another number", &renumbered(number), &clean, &[Oddity::RestartNumber]);
    }
    let reserved = insert(&clean, marker(0), &[0xFF, 0x02]);
    assert_odd("a reserved marker", &reserved, &clean, &[Oddity::RestartNumber]);
    for (name, file) in [
        ("the number of the next", renumbered(1)),
        ("that of the next but one", renumbered(2)),
        ("that of the one before", renumbered(7)),
        ("that of the one before it", renumbered(6)),
        ("a marker is missing", [&clean[..marker(0)], &clean[marker(0) + 2..]].concat()),
        ("a part is missing", [&clean[..marker(0)], &clean[marker(1)..]].concat()),
        ("a marker comes twice", insert(&clean, marker(0), &[0xFF, 0xD0])),
    ] {
        assert!(verdict(&file).is_err(), "{name}");
    }
    let without_interval: Vec<_> = parts(&clean).into_iter().filter(|part| part[1] != 0xDD).collect();
    assert_damaged("no interval", &without_interval.concat(), &clean, "premature end");
    let clean = baseline(false);
    let data = "data are missing at a restart marker";
    assert_damaged("no markers", &with_segment(&clean, 0xDD, &[0, 2]), &clean, data);
    assert_odd("an interval of more than all", &with_segment(&clean, 0xDD, &[255, 255]), &clean, &[]);
}

#[test]
fn the_scans_of_a_progressive_file_may_be_repeated_or_late_but_not_lack_what_others_refine() {
    let clean = progressive();
    let all = parts(&clean);
    let scans = scans(&all);
    for scan in [scans[0], scans[2]] {
        let twice = [&all[..=scan], &all[scan..]].concat().concat();
        assert_odd("twice", &twice, &clean, &[Oddity::ScanOrder]);
    }
    let mut late = all.clone();
    let dc = late.remove(scans[0]);
    late.insert(scans[1], dc);
    assert_odd("DC behind the first AC", &late.concat(), &clean, &[Oddity::ScanOrder]);
    for scan in &scans[..6] {
        let mut without = all.clone();
        without.remove(*scan);
        assert_damaged("without a scan", &without.concat(), &clean, "refines what is missing");
    }
}
