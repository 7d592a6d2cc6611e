//! `docs/reference/recipes.md` lists the operations of the program, and its examples work.

use std::fmt::Write as _;

use amdim_stream::config::Config;
use pipeline::{Kind, Parameter};

use super::pages::read;

const PAGE: &str = "docs/reference/recipes.md";

/// Returns the table of all operations with their parameters.
fn table() -> String {
    let mut table = "| operation | parameter | values | default |\n|---|---|---|---|\n".to_owned();
    for Kind { name, parameters } in Kind::ALL {
        if parameters.is_empty() {
            let _ = writeln!(table, "| `{name}` | | | |");
        }
        for (number, Parameter { name: parameter, form, default }) in parameters.iter().enumerate() {
            let name = if number == 0 { format!("`{name}`") } else { String::new() };
            let default = default.map_or_else(|| "must be given".to_owned(), str::to_owned);
            let _ = writeln!(table, "| {name} | `{parameter}` | {form} | {default} |");
        }
    }
    table
}

#[test]
fn every_operation_is_documented_with_its_parameters() {
    let (page, table) = (read(PAGE), table());
    assert!(page.contains(&table), "{PAGE} must have this table:\n\n{table}");
    for Kind { name, .. } in Kind::ALL {
        let row = page.lines().filter(|line| line.starts_with(&format!("| `{name}` | "))).count();
        assert!(row >= 2, "`{name}` has no description in {PAGE}");
    }
}

#[test]
fn the_examples_of_recipes_can_be_drawn_and_trained_on() {
    let page = read(PAGE);
    let examples: Vec<_> =
        page.split("```toml\n").skip(1).filter_map(|text| text.split("```").next()).collect();
    let views = examples.iter().map(|example| {
        let config = Config::resolve_for_drawing(&example.parse().unwrap()).unwrap();
        config.recipe().groups.iter().map(|group| (group.views.len(), group.side)).collect::<Vec<_>>()
    });
    assert_eq!(views.collect::<Vec<_>>(), [vec![(2, 224)], vec![(2, 224), (8, 96)]]);
    for example in examples {
        Config::resolve(&example.parse().unwrap()).unwrap();
    }
}
