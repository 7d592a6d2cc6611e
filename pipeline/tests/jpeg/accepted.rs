//! Accepted files, whose samples are those of libjpeg-turbo.

use pipeline::{
    Cpu,
    jpeg::{Decoder, Header, Sampling},
};

use crate::{
    Random, SAMPLINGS, accept, encoded, find,
    forge::{Forge, flat_tables, standard_tables, steep_tables},
    judge::{check_region, cover, reference, samples},
    noise, with_segment,
};

#[test]
fn samples_are_those_of_libjpeg_turbo_at_every_small_size() {
    let mut random = Random(1);
    for sampling in SAMPLINGS {
        for (width, height) in (1..=40).flat_map(|width| (1..=40).map(move |height| (width, height))) {
            let mut image = noise(width, height, &mut random);
            let kind = random.next();
            if kind & 1 == 0 {
                image.pixels.fill(random.next() as u8); // flat: blocks end after their first coefficient
            }
            let quality = [1, 10, 50, 92, 100][random.below(5)];
            let file = encoded(&image, sampling, |compressor| {
                compressor.set_quality(quality)?;
                compressor.set_optimize(kind & 2 == 0)
            });
            accept(&file, &mut random);
        }
    }
}

#[test]
fn samples_are_those_of_libjpeg_turbo_at_large_and_at_odd_sizes() {
    let mut random = Random(2);
    for sampling in SAMPLINGS {
        for (width, height) in [(640, 427), (1_023, 513), (65_500, 1), (1, 65_500), (16_001, 2), (3, 4_099)] {
            let file = encoded(&noise(width, height, &mut random), sampling, |compressor| {
                compressor.set_quality(75)
            });
            accept(&file, &mut random);
        }
    }
}

#[test]
fn a_region_has_the_samples_of_the_whole_image() {
    let mut random = Random(3);
    for sampling in SAMPLINGS {
        let file = encoded(&noise(211, 157, &mut random), sampling, |compressor| compressor.set_quality(60));
        let header = Header::parse(&file).unwrap();
        let mut decoder = Decoder::default();
        let whole = samples(decoder.decode(&header, header.whole()).unwrap());
        for _ in 0..400 {
            let region = random.region(header.width, header.height);
            let part = cover(decoder.decode(&header, region).unwrap(), &header, region);
            check_region(&part, &whole, &header, region);
        }
    }
}

#[test]
fn restart_markers_and_tables_of_any_kind_make_no_difference() {
    let mut random = Random(4);
    for sampling in SAMPLINGS {
        for round in 0..200 {
            let (width, height) = (1 + random.below(60) as u16, 1 + random.below(60) as u16);
            let mut forge = Forge::new(width, height, sampling);
            [forge.dc, forge.ac] = match round % 3 {
                0 => standard_tables(),
                1 => flat_tables(),
                _ => steep_tables(random.below(200)),
            };
            forge.restart_interval = [0, 1, 2, 3, 7, 1_000][random.below(6)];
            accept(&random.file(&forge, 12), &mut random);
        }
    }
}

#[test]
fn coefficients_of_no_real_image_give_the_samples_of_libjpeg_turbo() {
    let mut random = Random(5);
    for sampling in SAMPLINGS {
        for round in 0..200 {
            let mut forge = Forge::new(1 + random.below(40) as u16, 1 + random.below(40) as u16, sampling);
            let largest = [2, 16, 128, 256][round % 4];
            forge.quantization.as_flattened_mut().fill_with(|| random.below(largest) as u8);
            let most = [0, 3, 63][round % 3];
            accept(&random.file(&forge, most), &mut random);
        }
    }
}

/// Eight times a coefficient changes some sample, so that samples show it.
#[test]
fn every_coefficient_is_that_of_libjpeg_turbo() {
    let mut random = Random(6);
    let values =
        [1, -1, 2, -2, 3, -3, 4, 7, -8, 15, -16, 31, 63, -63, 64, 100, -127, 127, 255, -511, 1_023, -1_023];
    for factor in [8, 64, 255] {
        let mut forge = Forge::new(8 * 63, 8 * values.len() as u16, Sampling::Gray);
        forge.quantization = [[factor; 64]; 2];
        let mut number = 0;
        let scan = forge.scan(|block| {
            block[1 + number % 63] = values[number / 63];
            number += 1;
        });
        accept(&forge.file(&scan), &mut random);
    }
}

/// For coefficients only in the first row libjpeg-turbo takes a shortcut, where large ones give other
/// results.
#[test]
fn large_coefficients_only_in_the_first_row_wrap_as_in_libjpeg_turbo() {
    let mut random = Random(7);
    for factor in [1, 8, 9, 64, 255] {
        let mut forge = Forge::new(160, 160, Sampling::Full);
        forge.quantization = [[factor; 64]; 2];
        let scan = forge.scan(|block| {
            block[0] = random.value(2_047);
            for k in [1, 5, 6, 14, 15, 27, 28] {
                block[k] = random.value(1_023) * i16::from(random.below(3) == 0);
            }
            block[2] = i16::from(random.below(8) == 0); // one of the second row
        });
        accept(&forge.file(&scan), &mut random);
    }
}

#[test]
fn data_without_influence_on_samples_are_ignored() {
    let mut random = Random(8);
    let file = Random(9).file(&Forge::new(20, 20, Sampling::Quarter), 8);
    let mut profile = b"ICC_PROFILE\0\x01\x02data".to_vec();
    let half = with_segment(&file, 0xE2, &profile);
    profile[12] = 2;
    let mut extended = file.clone();
    extended[find(&file, 0xC0) + 1] = 0xC1;
    let (frame, scan) = (find(&file, 0xC0), find(&file, 0xDA));
    let mut parameters = file.clone();
    parameters[scan + 11..scan + 14].copy_from_slice(&[7, 70, 0x77]); // almost those of a progressive scan
    let end = file.len() - 2;
    for file in [
        with_segment(&file, 0xFE, b"a comment"),
        with_segment(&file, 0xE1, b"Exif\0\0"),
        with_segment(&file, 0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0"),
        with_segment(&file, 0xEE, b"Adobe\0\x64\0\0\0\0\x01"),
        with_segment(&half, 0xE2, &profile),
        [&file[..frame], &[0xFF; 5], &file[frame..]].concat(), // fill before a marker
        [&file[..end], &[0xFF; 5], &file[end..]].concat(),
        with_segment(&file, 0xE0, b"JFIF\0\x02\0\0\0\x01\0\x01\0\0"), // an undefined version
        with_segment(&file, 0xE2, b"ICC_PROFILE\0\x01\x02data"),      // half of a profile
        with_segment(&file, 0xE2, b"ICC_PROFILE\0\x00\x00data"),
        with_segment(&file, 0xE2, b"ICC_PROFILE\0\x01\x01"),
        [&file[..end], b"bytes of no block", &file[end..]].concat(),
        [&file[..end], &[0xFF, 0xD0], &file[end..]].concat(),
        parameters,
        [&file[..], &[0; 9_000]].concat(), // enough for libjpeg-turbo's fast path
        extended,
    ] {
        accept(&file, &mut random);
    }
}

#[test]
fn the_sampling_factors_of_a_gray_image_have_no_effect() {
    let mut file = Random(10).file(&Forge::new(27, 21, Sampling::Gray), 8);
    let frame = find(&file, 0xC0);
    for factors in [0x11, 0x12, 0x21, 0x22, 0x41, 0x14] {
        file[frame + 11] = factors;
        accept(&file, &mut Random(11));
    }
}

#[test]
fn an_image_leaves_no_trace_in_the_next_one() {
    let mut random = Random(12);
    let mut decoder = Decoder::default();
    for round in 0..300 {
        let mut forge =
            Forge::new(1 + random.below(50) as u16, 1 + random.below(50) as u16, SAMPLINGS[round % 5]);
        [forge.dc, forge.ac] = if round % 4 == 0 { flat_tables() } else { steep_tables(round) };
        forge.quantization.as_flattened_mut().fill_with(|| random.next() as u8);
        let mut file = random.file(&forge, 20);
        let damaged = Header::parse(&file).unwrap();
        let region = random.region(damaged.width, damaged.height);
        assert!(decoder.decode(&Header::parse(&file[..file.len() - 3]).unwrap(), region).is_err());
        file.extend([0; 3]);
        let header = Header::parse(&file).unwrap();
        let whole = samples(decoder.decode(&header, header.whole()).unwrap());
        assert!(whole == reference(&file, &header), "round {round}");
        let planes = decoder.decode(&header, region).unwrap();
        assert_eq!(planes.size(1) == (0, 0), header.sampling == Sampling::Gray);
    }
}

#[test]
fn the_default_decoder_is_the_best_one() {
    let best = *Cpu::available().last().unwrap();
    assert_eq!(format!("{:?}", Decoder::default()), format!("{:?}", Decoder::new(best)));
}
