//! A run has the same bits from every server and from files, with any cache.

use std::thread;

use super::served::Served;
use crate::support::{Place, lines, start_until, succeed, tensors};

const STEPS: &str = "50";

fn bits(place: &Place, out: &str) -> [Vec<u8>; 2] {
    tensors(&place.path(out), 50)
}

#[test]
fn a_run_has_the_same_bits_from_files_and_from_every_kind_of_server() {
    let served = Served::new(3, 130);
    for shuffle in ["window:64", "none"] {
        let mut expected = None;
        for scheme in ["file", "s3", "gs", "az", "http"] {
            let out = format!("{scheme}-{}", &shuffle[..4]);
            let more = ["--steps", STEPS, "--shuffle", shuffle];
            succeed(&mut served.train(scheme, &out, &more));
            let own = bits(&served.place, &out);
            assert!(*expected.get_or_insert_with(|| own.clone()) == own, "{out}");
            let records = lines(&served.place.path(&out).join("metrics.jsonl"));
            let has_read = records.iter().any(|record| record["remote_requests"].as_f64().is_some());
            assert_eq!(has_read, scheme != "file", "{out}");
        }
    }
}

#[test]
fn a_run_has_the_same_bits_with_a_small_cache_a_full_one_and_one_that_two_runs_share() {
    let served = Served::new(3, 300);
    let limit = format!("{}B", served.bytes() * 9 / 10);
    let more = ["--steps", STEPS, "--shuffle", "window:64"];
    succeed(&mut served.train("file", "file", &more));
    let expected = bits(&served.place, "file");
    succeed(served.train("s3", "small", &more).args(["--cache-limit", &limit]));
    assert!(bits(&served.place, "small") == expected);
    succeed(&mut served.train("s3", "full", &more));
    served.server.forget_requests();
    let again = |out: &'static str, cache: &'static str| {
        let mut command = served.place.train(&served.pattern("s3"), out, &more);
        command.arg("--config").arg(served.place.path("stores.toml"));
        command.args(["--seed", "3", "--workers", "2", "--threads", "1", "--cache-dir"]);
        command.arg(served.place.path(cache));
        command
    };
    succeed(&mut again("warm", "parts-full"));
    assert!(bits(&served.place, "warm") == expected);
    let asked = served.server.requests();
    assert!(asked.iter().all(|logged| logged.asked.range.is_none()), "the cache has all parts");
    thread::scope(|scope| {
        for out in ["one", "two"] {
            scope.spawn(move || succeed(&mut again(out, "shared")));
        }
    });
    assert!(bits(&served.place, "one") == expected && bits(&served.place, "two") == expected);
}

/// The shards move from the disk to a server in the middle, and the process is killed twice.
#[test]
fn a_run_goes_on_to_the_bit_after_kills_and_from_another_place() {
    let served = Served::new(3, 130);
    let more = ["--steps", STEPS, "--shuffle", "window:64", "--checkpoint-every", "5"];
    succeed(&mut served.train("file", "expected", &more));
    for (scheme, step) in [("file", 12), ("s3", 27), ("http", 50)] {
        let mut command = served.train(scheme, "moved", &more);
        if step < 50 {
            let mut child = start_until(&mut command, &served.place.path("moved"), step);
            child.kill().unwrap();
            child.wait().unwrap();
        } else {
            succeed(&mut command);
        }
    }
    assert!(bits(&served.place, "moved") == bits(&served.place, "expected"));
}
