//! A page needs no other file, calls nothing, and shows what the run folder has, whatever state the run is in.

use std::{fs, path::Path, process};

use amdim_stream::report::{self, Live, Options, Subject};
use serde_json::{Value, json};

use super::support::{HOSTILE, command, made_up, page, records, train, train_hostile};
use crate::support::{Place, run, succeed};

/// Fails if a page could call out, or if its parts are not closed.
fn check(page: &str) {
    for call in [
        "src=\"http",
        "src=http",
        "src=\"//",
        "href=\"http",
        "href=\"//",
        "url(http",
        "url(",
        "@import",
        "<link",
        "<iframe",
        "srcset",
    ] {
        assert!(!page.contains(call), "{call}");
    }
    assert!(page.contains(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">"
    ));
    assert!(page.len() <= 5_000_000, "{} bytes", page.len());
    for element in ["section", "figure", "table", "div", "ul", "script", "svg", "details", "bdi", "main"] {
        let (open, closed) = (format!("<{element}"), format!("</{element}>"));
        let opened = page.matches(&open).filter(|_| true).count();
        let opened = opened - if element == "main" { 0 } else { others(page, element) };
        assert_eq!(opened, page.matches(&closed).count(), "<{element}>");
    }
}

/// Returns the number of elements whose names only begin as this one's.
fn others(page: &str, element: &str) -> usize {
    let open = format!("<{element}");
    page.match_indices(&open)
        .filter(|(at, _)| page[at + open.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()))
        .count()
}

#[test]
fn a_whole_run_is_shown_with_views_neighbours_confusion_and_its_command() {
    let place = Place::new();
    let folder = train(&place, "run");
    let page = page(&[&folder], 8);
    check(&page);
    for part in [
        "<b>Finished</b> after step 12 of 12",
        "Parts of the loss",
        "chance of 1t5, 5t5",
        "Accuracy on validation samples",
        "Effective rank (RankMe)",
        "What training waited for",
        "view 2",
        "class=\"matrix\"",
        "Every sample it met could be used",
        "<code>encoder.ndf</code>",
        "amdim-stream --preset c10 --ndf 4",
        "<dt>Processes</dt><dd>1</dd>",
        "data-live=\"step\">12</b>",
        "data-live=\"state\">finished",
        "data-live=\"loss\"",
        "data-live=\"rate\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.matches("<img ").count() == 8 * 3 + 8 * 7, "{}", page.matches("<img ").count());
    let without = super::support::page(&[&folder], 0);
    check(&without);
    assert!(!without.contains("<img") && without.contains("class=\"matrix\""));
    let found: Value = serde_json::from_slice(&fs::read(folder.join("validation.json")).unwrap()).unwrap();
    let total: u64 =
        found["confusion"].as_array().unwrap().iter().map(|entry| entry[2].as_u64().unwrap()).sum();
    assert_eq!((total, found["samples"].as_u64()), (24, Some(24)));
    let first = &found["queries"][0];
    assert_eq!((first["key"].as_str(), first["nearest"].as_array().unwrap().len()), (Some("00000"), 6));
    let cosines: Vec<f64> =
        first["nearest"].as_array().unwrap().iter().map(|near| near["cosine"].as_f64().unwrap()).collect();
    assert!(cosines.is_sorted_by(|one, other| one >= other) && cosines[0] > 0.999, "{cosines:?}");
}

#[test]
fn a_live_page_may_connect_to_its_own_server_and_has_the_given_script() {
    let place = Place::new();
    let folder = train(&place, "run");
    let live = Some(Live { script: "follow()".to_owned() });
    let runs = [Subject::read(&folder).unwrap()];
    let page = report::page(&runs, &Options { images: 0, live }).unwrap();
    assert!(
        page.contains("img-src data:; connect-src 'self'\">") && page.contains("<script>follow()</script>")
    );
}

#[test]
fn what_comes_from_outside_is_text() {
    let place = Place::new();
    let folder = train_hostile(&place);
    let page = page(&[&folder], 40);
    check(&page);
    for mark in ["<script>alert", "<img onerror", "<img src=x", "</td></table></bdi>", "run</title>"] {
        assert!(!page.contains(mark), "{mark}");
    }
    let escaped = "&lt;script&gt;alert(1)&lt;img onerror=alert(2) src=x&gt;&quot;&#39;&amp;😀 שלום";
    assert!(page.contains(&format!("<bdi>{escaped}</bdi>")), "the class");
    assert!(page.contains("run&lt;/title&gt;") && page.contains(&format!("005{}", escaped.replace('/', ""))));
    assert!(page.contains("could not be used; the reasons are below") && HOSTILE.contains("<script>"));
}

#[test]
fn a_run_in_any_state_has_a_page() {
    let place = Place::new();
    let like = train(&place, "run");
    let lock = |pid: u32| {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        format!("{}\n\n", json!({"host": host, "pid": pid, "start": "2026-11-28T01:15:00Z"}))
    };
    let mut dead = process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    for (name, metrics, held, words) in [
        ("killed", String::new(), Some(dead.id()), "<b>Killed</b>"),
        ("running", records(1, |_| false), Some(process::id()), "<b>Running</b>"),
        ("interrupted", records(50, |_| false), None, "<b>Interrupted</b> at step 50 of 12"),
        ("diverged", records(50, |step| step > 30), None, "<b>The loss is not finite</b>"),
        ("gaps", records(50, |step| step % 9 == 0), None, "In 5 records the loss was not finite"),
        (
            "one record",
            records(1, |_| false),
            None,
            "One record is too few to say whether it is learning: the loss is",
        ),
        ("two records", records(2, |_| false), None, "nats, on average over the last 2 records; chance is"),
        (
            "cut",
            records(5, |_| false) + "{\"format\":1,\"kind\":\"train\",\"step\":6,\"lo",
            None,
            "at step 5 of 12",
        ),
    ] {
        let folder = made_up(&place, name, &like, &metrics);
        if let Some(pid) = held {
            fs::write(folder.join("run.lock"), lock(pid)).unwrap();
        }
        let page = page(&[&folder], 2);
        check(&page);
        assert!(page.contains(words), "{name}: {}", &page[page.find("<header").unwrap()..][..3000]);
    }
    fs::remove_file(place.path("train-000.tar")).unwrap();
    let page = page(&[&place.path("running")], 2);
    check(&page);
    assert!(page.contains("No images are shown: <bdi>the shards "), "the shards are gone");
}

#[test]
fn starts_in_other_numbers_of_processes_are_told_apart() {
    let place = Place::new();
    let like = train(&place, "run");
    let history = fs::read_to_string(like.join("history.jsonl")).unwrap();
    let (start, end) = history.split_once('\n').unwrap();
    let in_eight = start.replace("\"processes\":1,", "\"processes\":8,");
    assert_ne!(start, in_eight);
    let folder = made_up(&place, "grown", &like, &records(5, |_| false));
    fs::write(folder.join("history.jsonl"), format!("{start}\n{end}{in_eight}\n{end}")).unwrap();
    let page = page(&[&folder], 0);
    check(&page);
    assert!(page.contains("<dt>Processes</dt><dd>8 since the last start</dd>"));
    let rows = page[page.find("Starts and ends of grown").unwrap()..].split("<tr>").skip(2).take(4);
    let cells = rows.map(|row| row.split("<td class=\"number\">").nth(2).unwrap().split('<').next().unwrap());
    assert_eq!(cells.collect::<Vec<_>>(), ["1", "", "8", ""]);
}

#[test]
fn a_long_run_has_a_small_page_with_its_peaks() {
    let place = Place::new();
    let like = train(&place, "run");
    let lines =
        records(100_000, |_| false).replacen("\"step\":60000,\"loss\":", "\"step\":60000,\"loss\":777777", 1);
    let folder = made_up(&place, "long", &like, &lines);
    let page = page(&[&folder], 0);
    check(&page);
    assert!(page.len() < 3_000_000, "{}", page.len());
    assert!(page.contains("Show all 1 value of Loss beyond this scale"));
    assert!(page.contains("100,000"));
}

#[test]
fn several_runs_are_compared_with_their_differences_first() {
    let place = Place::new();
    let one = train(&place, "one");
    fs::create_dir_all(place.path("deep")).unwrap();
    let two = made_up(&place, "deep/one", &one, &records(40, |_| false));
    let text = fs::read_to_string(two.join("config.toml")).unwrap();
    fs::write(two.join("config.toml"), text.replacen("seed = 0", "seed = 7", 1)).unwrap();
    let three = made_up(&place, "three", &one, &records(20, |_| false));
    let page = page(&[&one, &two, &three], 6);
    check(&page);
    for part in [
        "<h1>3 runs</h1>",
        "Loss as a share of its chance level",
        "<bdi>deep/one</bdi>",
        "<code>seed</code></th><td><bdi>0</bdi></td><td><bdi>7</bdi></td>",
        "Settings that the runs share",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn the_command_writes_the_page_and_refuses_what_is_no_run() {
    let place = Place::new();
    train(&place, "run");
    let said = succeed(&mut command(&place, &["report", "run", "-o", "r.html", "--images", "1"]));
    let printed: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(printed["out"], "r.html");
    let written = fs::read_to_string(place.path("r.html")).unwrap();
    check(&written);
    let said = run(&mut command(&place, &["report", "run", "-o", "r.html"]));
    assert!(said.code == Some(2) && said.stderr.contains("--force"), "{}", said.stderr);
    succeed(&mut command(&place, &["report", "run", "-o", "r.html", "--images", "0", "--force"]));
    assert!(fs::metadata(place.path("r.html")).unwrap().len() < written.len() as u64);
    fs::create_dir(place.path("empty")).unwrap();
    let said = run(&mut command(&place, &["report", "empty", "-o", "e.html"]));
    assert!(said.code == Some(2) && said.stderr.contains("`empty` is not a run folder"), "{}", said.stderr);
    assert!(!Path::new(&place.path("e.html")).exists());
    let said = run(&mut command(&place, &["report", "run", "-o", "nowhere/r.html"]));
    assert!(said.code == Some(2) && said.stderr.contains("there is no folder `nowhere`"), "{}", said.stderr);
}
