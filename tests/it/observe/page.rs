//! The page for Prometheus, and the files that use its metrics.

use std::collections::BTreeSet;

use amdim_stream::observe::prometheus::METRICS;
use serde_json::Value;
use yaml_rust2::YamlLoader;

use super::super::contrib::read;

/// Returns the names of this program's metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("amdim_stream_").map(|(at, _)| &text[at..]);
    let is_in_name = |c: char| c.is_ascii_lowercase() || c == '_';
    starts.map(|rest| rest.split(|c| !is_in_name(c)).next().unwrap_or(rest).to_owned()).collect()
}

/// Panics if the page has no metric of this name.
fn check(name: &str, from: &str) {
    let of_histogram = ["_bucket", "_sum", "_count"].into_iter().filter_map(|end| name.strip_suffix(end));
    let known = |name: &str| METRICS.iter().any(|metric| metric.name == name);
    assert!(known(name) || of_histogram.into_iter().any(known), "{from}: there is no metric `{name}`");
}

#[test]
fn the_dashboard_and_the_alerts_use_metrics_that_exist() {
    let dashboard: Value = serde_json::from_str(&read("contrib/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let expressions: Vec<_> = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(expressions.len() >= panels.len() - 4, "most panels have an expression");
    for expression in &expressions {
        assert!(!names(expression).is_empty(), "{expression}");
        for name in names(expression) {
            check(&name, expression);
        }
    }
    let shown: BTreeSet<_> = expressions.iter().flat_map(|expression| names(expression)).collect();
    assert!(shown.len() > METRICS.len() / 2, "{shown:?}");

    let rules = read("contrib/prometheus-alerts.yml");
    YamlLoader::load_from_str(&rules).unwrap();
    assert!(names(&rules).len() > 4);
    for name in names(&rules) {
        check(&name, "contrib/prometheus-alerts.yml");
    }
}
