//! The feed on a device that lags behind the host, and the feed when a thread fails.

use pipeline::{Group, Op};
use shards::{Division, IndexConfig, LocalSource, Order, Position, ShardSet, ShardWriter, Shuffle};
use tch::Kind;

use super::*;
use crate::testing::fake_device::{Fake, fake};
use torchkit::{Moment, Readback};

/// Writes batches of two uniformly gray images. Each batch is lighter than the one before.
fn grays(batches: u64) -> (tempfile::TempDir, Samples) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    let mut writer = ShardWriter::create(&path).unwrap();
    for number in 0..2 * batches {
        let mut image = pipeline::Rgb::black(32, 32);
        image.pixels.fill(gray(number / 2));
        let jpeg = pipeline::encode_jpeg(&image, 95).unwrap();
        writer.append(&number.to_string(), &[("jpg", &jpeg)]).unwrap();
    }
    writer.finish().unwrap();
    let source = LocalSource::new(&[path.display().to_string()]).unwrap();
    let set = ShardSet::open(source, &IndexConfig::default()).unwrap();
    let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
    (folder, set.samples(order, Division::default(), Position::default()))
}

fn gray(batch: u64) -> u8 {
    (batch * 9 % 250) as u8
}

/// Starts a feed of these batches on the fake device, with two decoding threads.
fn feed_on_fake(samples: Samples) -> Feed {
    let config = LoaderConfig { workers: 2, batch_size: 2, ..LoaderConfig::default() };
    let recipe = pipeline::Preset::C10.evaluation();
    Feed::spawn_on((Some(fake().accelerator), Kind::Float), samples, recipe, &config, |_, _| Ok(())).unwrap()
}

#[test]
#[expect(unsafe_code, reason = "the fake device's kernel is a foreign function")]
fn a_device_that_lags_behind_reads_each_batch_of_the_feed() {
    let _alone = Fake::alone();
    for (copy_us, kernel_us) in [(4_000, 500), (500, 4_000)] {
        (fake().delays)(copy_us, kernel_us);
        let (_folder, samples) = grays(30);
        let compute = Stream::new(Some(fake().accelerator)).unwrap();
        compute.make_current().unwrap();
        let mut feed = feed_on_fake(samples);
        let mut seen = vec![[-1; 2]; 30];
        for (seen, batch) in seen.iter_mut().zip(feed.by_ref()) {
            let batch = batch.unwrap();
            let pixels = &batch.slot.as_ref().unwrap().pixels;
            // SAFETY: slot and `seen` outlive the work of the stream, which is waited for below.
            unsafe { (fake().range)(pixels.as_ptr().cast_mut(), seen.as_mut_ptr()) };
        }
        let waited = feed.take_waited().unwrap();
        compute.synchronize().unwrap();
        for (number, [least, greatest]) in (0..).zip(seen) {
            let expected = i32::from(gray(number));
            assert!(
                (least - expected).abs() <= 2 && (greatest - expected).abs() <= 2,
                "batch {number} of {expected}: {least} to {greatest}"
            );
        }
        if copy_us > kernel_us {
            assert!(waited > Duration::from_millis(10), "30 copies of 4 ms were waited for {waited:?}");
        }
    }
}

#[test]
fn a_feed_has_the_views_of_each_side() {
    let crops = |count, side| Group { side, views: vec![vec![Op::RandomCrop]; count] };
    let recipe = || Recipe { shared: vec![], groups: vec![crops(2, 24), crops(3, 16)] };
    // The last of two batches is partial.
    let config = LoaderConfig { workers: 2, batch_size: 3, ..LoaderConfig::default() };
    let ((_one, samples), (_other, again)) = (grays(2), grays(2));
    let normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };
    let feed = Feed::spawn(samples, recipe(), (normalization, Kind::Float), &config, Device::Cpu).unwrap();
    let slabs = (0..config.slabs()).map(|_| vec![0; config.bytes(&recipe())]).collect();
    let mut loaded = Loader::spawn(again, recipe(), slabs, &config).unwrap();
    let mut sizes = Vec::new();
    for batch in feed {
        let (batch, loaded) = (batch.unwrap(), loaded.next().unwrap().unwrap());
        let groups = batch.views.groups.iter().map(|images| images.permute([0, 1, 3, 4, 2]).flatten(0, -1));
        let floats = Tensor::cat(&groups.collect::<Vec<_>>(), 0);
        let bytes = Tensor::from_slice(&loaded.pixels[..floats.numel()]);
        assert!(floats.equal(&bytes.to_kind(Kind::Float)));
        sizes.extend(batch.views.groups.iter().map(Tensor::size));
    }
    let expected = [[2, 3, 3, 24, 24], [3, 3, 3, 16, 16], [2, 1, 3, 24, 24], [3, 1, 3, 16, 16]];
    assert_eq!(sizes, expected);
}

#[test]
fn a_feed_that_is_dropped_waits_for_batches_in_flight() {
    let _alone = Fake::alone();
    (fake().delays)(3_000, 3_000);
    for taken in 0..3 {
        let (_folder, samples) = grays(20);
        Stream::new(Some(fake().accelerator)).unwrap().make_current().unwrap();
        let mut feed = feed_on_fake(samples);
        let held: Vec<_> = feed.by_ref().take(taken).collect();
        drop(feed);
        drop(held);
    }
}

/// libtorch's pool has 32 streams, and the fake device's has seven: without care, one of as many feeds would
/// get the compute stream.
#[test]
fn no_feed_copies_on_the_stream_that_its_batches_are_trained_on() {
    let _alone = Fake::alone();
    (fake().delays)(0, 0);
    let of = Some(fake().accelerator);
    let compute = Stream::new(of).unwrap();
    compute.make_current().unwrap();
    for number in 0..8 {
        let (_folder, samples) = grays(1);
        let (sender, copies) = channel::unbounded();
        let finish = move |_: &Tensor, _: &Tensor| {
            sender.send(Stream::current(of)?).unwrap();
            Ok(())
        };
        let config = LoaderConfig { workers: 1, batch_size: 2, ..LoaderConfig::default() };
        let recipe = pipeline::Preset::C10.evaluation();
        let mut feed = Feed::spawn_on((of, Kind::Float), samples, recipe, &config, finish).unwrap();
        drop(feed.next().unwrap().unwrap());
        assert_ne!(copies.recv().unwrap(), compute, "feed {number}");
    }
}

/// The device is kept busy after the copy of the numbers: a read that waited for it would return when the
/// device is done.
#[test]
fn numbers_are_read_without_waiting_for_later_work() {
    let _alone = Fake::alone();
    (fake().delays)(2_000, 0);
    let of = Some(fake().accelerator);
    Stream::new(of).unwrap().make_current().unwrap();
    let numbers = Tensor::from_slice(&[0.5f32, -3.0, 7.25]);
    let on_device = torchkit::empty(&[3], Kind::Float, of).unwrap();
    torchkit::copy(&on_device, &numbers).unwrap();
    let readback = Readback::queue(&on_device, of).unwrap();
    (fake().hold)(30_000);
    let later = Event::new(of).unwrap();
    later.record(Stream::current(of).unwrap()).unwrap();
    let found = readback.read().unwrap();
    let is_held = !later.has_passed().unwrap();
    (fake().let_go)();
    later.wait().unwrap();
    assert_eq!(found, [0.5, -3.0, 7.25]);
    assert!(is_held, "the read waited for later work");
}

/// A feed starts, as that of a validation does, while the device is busy with steps.
#[test]
fn a_feed_starts_without_waiting_for_earlier_work() {
    let _alone = Fake::alone();
    (fake().delays)(0, 0);
    let of = Some(fake().accelerator);
    let compute = Stream::new(of).unwrap();
    compute.make_current().unwrap();
    let (_folder, samples) = grays(1);
    (fake().hold)(60_000);
    let earlier = Event::new(of).unwrap();
    earlier.record(compute).unwrap();
    let mut feed = feed_on_fake(samples);
    let batch = feed.next().unwrap().unwrap();
    let is_held = !earlier.has_passed().unwrap();
    (fake().let_go)();
    drop(batch);
    assert!(is_held, "the host waited for the device");
}

#[test]
fn a_moment_is_the_time_at_which_the_device_has_done_its_work() {
    let _alone = Fake::alone();
    (fake().delays)(3_000, 0);
    let of = Some(fake().accelerator);
    Stream::new(of).unwrap().make_current().unwrap();
    let on_device = torchkit::empty(&[3], Kind::Float, of).unwrap();
    let numbers = Tensor::from_slice(&[0.5f32, -3.0, 7.25]);
    let begin = Moment::queue(of).unwrap();
    for _ in 0..4 {
        torchkit::copy(&on_device, &numbers).unwrap();
    }
    let end = Moment::queue(of).unwrap();
    let took = begin.until(&end).unwrap();
    assert!(took >= Duration::from_millis(12), "four copies of 3 ms took {took:?}");
}

fn feed(thread: impl FnOnce(Sender<Result<FilledSlot>>) -> Vec<BadSample> + Send + 'static) -> Feed {
    let (sender, filled) = channel::bounded(1);
    let (hangup, _) = channel::bounded(0);
    let (free, _) = channel::bounded(DEPTH);
    Feed::of(filled, free, hangup, thread::spawn(move || thread(sender)))
}

#[test]
fn a_panic_of_the_copying_thread_is_an_error_and_not_the_end() {
    let mut feed = feed(|_sender| panic!("out of memory"));
    let error = feed.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("out of memory"), "{error}");
    assert!(feed.next().is_none());
}

#[test]
fn the_wait_for_a_batch_ends_when_the_run_is_to_stop() {
    let (keep, kept) = channel::bounded::<Infallible>(0);
    let mut feed = feed(move |sender| {
        // Sends nothing until the test ends.
        let _ = kept.recv();
        drop(sender);
        Vec::new()
    });
    let (listening, stop) = channel::bounded::<Infallible>(0);
    drop(listening);
    assert!(feed.next_unless(&stop).is_none());
    drop(keep);
}
