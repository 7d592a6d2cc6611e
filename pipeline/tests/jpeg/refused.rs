//! Refused files: other kinds of JPEG, and all damage that libjpeg-turbo notices.

use pipeline::{
    Cpu,
    jpeg::{Decoder, Header, Refusal, Region, Result, Sampling, YccPlanes},
};

use crate::{
    Random, SAMPLINGS, encoded, find,
    forge::{Forge, flat_tables, segment},
    judge, noise, with_segment,
};

/// Decodes the whole image.
fn verdict(bytes: &[u8]) -> Result<()> {
    let header = Header::parse(bytes)?;
    Decoder::default().decode(&header, header.whole()).map(|_: &YccPlanes| ())
}

/// Makes small files of all kinds.
fn seeds() -> Vec<Vec<u8>> {
    let mut random = Random(20);
    let mut seeds = Vec::new();
    for sampling in SAMPLINGS {
        let mut forge = Forge::new(27, 19, sampling);
        forge.restart_interval = 2;
        seeds.push(random.file(&forge, 6));
        let image = noise(21, 30, &mut random);
        seeds.push(encoded(&image, sampling, |compressor| {
            compressor.set_quality(30)?;
            compressor.set_optimize(true)
        }));
    }
    seeds
}

#[test]
fn other_kinds_of_jpeg_are_left_to_libjpeg_turbo() {
    let image = noise(40, 30, &mut Random(21));
    let baseline = encoded(&image, Sampling::Quarter, |_| Ok(()));
    assert_eq!(verdict(&baseline), Ok(()));
    let mut twelve_bits = baseline.clone();
    twelve_bits[find(&baseline, 0xC0) + 4] = 12;
    let one_for_each = encoded(&image, Sampling::Full, |_| Ok(()));
    let scan = find(&one_for_each, 0xDA);
    let mut separate = one_for_each[..scan].to_vec();
    segment(&mut separate, 0xDA, &[&[1, 1, 0, 0, 63, 0]]);
    separate.extend(&one_for_each[scan + 14..]);
    let frame = find(&baseline, 0xC0);
    let unusual = |at: usize, factors: u8| {
        let mut file = baseline.clone();
        file[frame + at] = factors;
        file
    };
    for (kind, file) in [
        ("progressive", encoded(&image, Sampling::Quarter, |compressor| compressor.set_progressive(true))),
        ("arithmetic", encoded(&image, Sampling::Quarter, |compressor| compressor.set_arithmetic(true))),
        ("CMYK", include_bytes!("../data/cmyk.jpg").to_vec()),
        ("12 bits", twelve_bits),
        ("a scan for each component", separate),
        ("RGB by Adobe", with_segment(&without(&baseline, 0xE0), 0xEE, b"Adobe\0\x64\0\0\0\0\0")),
        ("without Huffman tables", without(&baseline, 0xC4)),
        ("4:1:1", unusual(11, 0x41)),
        ("chroma as large as luma", unusual(14, 0x22)),
    ] {
        assert_eq!(verdict(&file), Err(Refusal::Unsupported), "{kind}");
    }
}

/// libjpeg-turbo answers to each of these with an error or a warning.
#[test]
fn headers_that_libjpeg_turbo_complains_about_are_refused() {
    let file = Random(22).file(&Forge::new(20, 20, Sampling::Quarter), 6);
    assert_eq!(verdict(&file), Ok(()));
    let frame = find(&file, 0xC0);
    let wide = |width: u16| {
        let forge = Forge::new(width, 1, Sampling::Gray);
        forge.file(&forge.scan(|_| ()))
    };
    assert_eq!(verdict(&wide(65_500)), Ok(()));
    let mut all_ones = Forge::new(20, 20, Sampling::Quarter);
    [all_ones.dc, _] = flat_tables();
    all_ones.dc[4] = 8; // codes of five bits after twelve of four
    all_ones.dc.extend(0..8);
    for (kind, file) in [
        ("a reserved marker", with_segment(&file, 0xF3, b"?")),
        ("another reserved marker", with_segment(&file, 0x42, b"?")),
        ("an interval of one byte", with_segment(&file, 0xDD, &[1])),
        ("an interval of three bytes", with_segment(&file, 0xDD, &[0, 0, 0])),
        ("two frames", [&file[..frame], &file[frame..frame + 19], &file[frame..]].concat()),
        ("too wide", wide(65_501)),
        ("a code of ones alone", all_ones.file(&all_ones.scan(|_| ()))),
        ("no quantization tables", without(&file, 0xDB)),
        ("no frame", without(&file, 0xC0)),
        ("nothing before the first marker", [&file[..2], &[0], &file[2..]].concat()),
    ] {
        let theirs = turbojpeg::decompress(&file, turbojpeg::PixelFormat::RGB);
        assert!(theirs.is_err(), "{kind}: libjpeg-turbo does not complain");
        assert!(verdict(&file).is_err(), "{kind}");
    }
}

/// Returns the file without the segments with this marker.
fn without(file: &[u8], marker: u8) -> Vec<u8> {
    let mut left = file.to_vec();
    while let Some(at) = left.windows(2).position(|pair| pair == [0xFF, marker]) {
        let length = usize::from(u16::from_be_bytes([left[at + 2], left[at + 3]]));
        left.drain(at..at + 2 + length);
    }
    left
}

/// libjpeg-turbo's two code paths make different coefficients of fill bytes before a stuffed byte.
#[test]
fn fill_before_a_stuffed_byte_is_refused() {
    let mut random = Random(23);
    let file = random.file(&Forge::new(60, 60, Sampling::Quarter), 40);
    let scan = find(&file, 0xDA);
    let stuffed = scan + file[scan..].windows(2).position(|pair| pair == [0xFF, 0]).unwrap();
    let filled = [&file[..stuffed], &[0xFF], &file[stuffed..]].concat();
    assert_eq!((verdict(&file), verdict(&filled)), (Ok(()), Err(Refusal::Damaged)));
}

#[test]
fn damage_to_the_coded_data_is_refused() {
    let mut random = Random(24);
    let mut forge = Forge::new(50, 50, Sampling::Full);
    forge.restart_interval = 5;
    let file = random.file(&forge, 6);
    let (first, second) = (find(&file, 0xD0), find(&file, 0xD1));
    let end = file.len() - 2;
    for (kind, file) in [
        ("a byte too many before a restart", [&file[..first], &[0], &file[first..]].concat()),
        ("a missing part", [&file[..first], &file[second..]].concat()),
        ("a part twice", [&file[..second], &file[first..]].concat()),
        ("another scan", [&file[..end], &file[find(&file, 0xDA)..]].concat()),
        ("markers without an interval", without(&file, 0xDD)),
        ("another interval", with_interval(&file, 4)),
        ("a height behind it", [&file[..end], &[0xFF, 0xDC, 0, 4, 0, 50], &file[end..]].concat()),
    ] {
        assert!(verdict(&file).is_err(), "{kind}");
    }
}

/// Returns the file with another restart interval in its header.
fn with_interval(file: &[u8], interval: u8) -> Vec<u8> {
    let mut file = file.to_vec();
    let at = find(&file, 0xDD);
    file[at + 5] = interval;
    file
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    for seed in seeds() {
        for end in 0..seed.len() {
            assert!(verdict(&seed[..end]).is_err(), "cut at byte {end} of {}", seed.len());
        }
        assert_eq!(verdict(&seed), Ok(()));
    }
}

/// For files that are still accepted, `judge` requires the samples of libjpeg-turbo, and that libjpeg-turbo
/// accepts them too.
#[test]
fn flipped_bytes_are_refused_or_decoded_as_by_libjpeg_turbo() {
    let mut random = Random(25);
    let (mut accepted, mut refused) = (0, 0);
    for seed in seeds() {
        let mut file = seed.clone();
        for _ in 0..20_000 {
            let flips: Vec<usize> = (0..=random.below(3)).map(|_| random.below(seed.len())).collect();
            for at in &flips {
                file[*at] = random.next() as u8;
            }
            if judge::judge(&file, 1 << 14, |width, height| random.region(width, height)) {
                accepted += 1;
            } else {
                refused += 1;
            }
            for at in &flips {
                file[*at] = seed[*at];
            }
        }
    }
    assert!(accepted > 5_000 && refused > 50_000, "{accepted} accepted, {refused} refused");
}

#[test]
#[should_panic(expected = "the region lies within the image")]
fn a_region_outside_of_the_image_panics() {
    let file = Random(26).file(&Forge::new(20, 20, Sampling::Quarter), 6);
    let region = Region { left: u32::MAX, top: 0, width: 2, height: 20 };
    let _ = Decoder::default().decode(&Header::parse(&file).unwrap(), region);
}

/// With codes of only 16 bits, and zeros coding the longest values, more bits are read past the end than in
/// any other way.
#[test]
fn a_scan_without_data_ends_within_the_padding() {
    let table = |symbol: u8| {
        let mut spec = vec![0; 15];
        spec.extend([1, symbol]);
        spec
    };
    let mut forge = Forge::new(64, 64, Sampling::Quarter);
    (forge.dc, forge.ac) = (table(11), table(0x0A));
    let file = forge.file(&[]);
    let header = Header::parse(&file).unwrap();
    for cpu in Cpu::available() {
        let decoded = Decoder::new(cpu).decode(&header, header.whole()).is_err();
        assert!(decoded, "{cpu}");
    }
}
