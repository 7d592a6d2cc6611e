//! `docs/reference/metrics.md` has the tags of TensorBoard and the metrics for Prometheus of the program.

use std::fmt::Write as _;

use amdim_stream::observe::{
    prometheus::{METRICS, Metric},
    tensorboard::tags::{self, Tag},
};

use super::pages::read;

const PAGE: &str = "docs/reference/metrics.md";

fn tags() -> String {
    fn rows<T>(kind: &str, tags: &[Tag<T>], table: &mut String) {
        for Tag { tag, field, .. } in tags {
            let _ = writeln!(table, "| `{tag}` | {kind} | `{field}` |");
        }
    }
    let mut table = "| tag | record | field |\n|---|---|---|\n".to_owned();
    rows("training", tags::TRAIN, &mut table);
    rows("validation", tags::VALIDATION, &mut table);
    table
}

fn metrics() -> String {
    let mut table = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for Metric { name, kind, labels, help, .. } in METRICS {
        let labels = match *labels {
            "" => String::new(),
            labels => format!("`{}` ", labels.replace(", ", "`, `")),
        };
        let _ = writeln!(table, "| `{name}` | {} | {labels}| {help} |", kind.name());
    }
    table
}

#[test]
fn every_tag_of_tensorboard_and_every_metric_for_prometheus_is_documented() {
    let page = read(PAGE);
    for table in [tags(), metrics()] {
        assert!(page.contains(&table), "{PAGE} must have this table:\n\n{table}");
    }
    for part in tags::MEASURES {
        assert!(page.contains(&format!("`{part}`")), "{part}");
    }
}
