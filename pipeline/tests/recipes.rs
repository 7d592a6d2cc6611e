//! Recipes as data: what is refused, and in which words.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::every_operation;
use pipeline::{Group, Kind, Loader, LoaderConfig, Op, Preset, Recipe};
use serde_json::{Value, json};

fn op(value: Value) -> Op {
    serde_json::from_value(value).unwrap()
}

/// Returns the message about a recipe of one view of 32 pixels.
fn refusal(ops: Vec<Value>) -> String {
    let ops = ops.into_iter().map(op).collect();
    Recipe::new(vec![], vec![ops], 32).check().unwrap_err().to_string()
}

#[test]
fn recipes_of_presets_and_one_of_every_operation_are_right() {
    for recipe in Preset::ALL.iter().flat_map(|preset| [preset.recipe(), preset.evaluation()]) {
        recipe.check().unwrap();
    }
    every_operation(64).check().unwrap();
}

#[test]
fn a_parameter_that_is_not_allowed_is_named_with_its_place_and_what_is_allowed() {
    for (value, message) in [
        (
            json!({ "op": "gaussian_blur", "sigma": [2, 0.1] }),
            "`gaussian_blur`: `sigma` is [2, 0.1], not two numbers from 0 to 128, the smaller one first",
        ),
        (json!({ "op": "flip", "p": 1.5 }), "`flip`: `p` is 1.5, not a number from 0 to 1"),
        (
            json!({ "op": "resized_crop", "scale": [0, 1], "ratio": [0.75, 1.33] }),
            "`resized_crop`: `scale` is [0, 1], not two numbers from 0.0001 to 1, the smaller one first",
        ),
        (
            json!({ "op": "resize_short", "edge": 0 }),
            "`resize_short`: `edge` is 0, not a whole number from 1 to 2048",
        ),
        (
            json!({ "op": "color_jitter", "hue": 0.6 }),
            "`color_jitter`: `hue` is 0.6, not a number from 0 to 0.5",
        ),
        (
            json!({ "op": "pca_contrast", "factors": [1, 1], "colours":
                { "mean": [0, 0, 0], "rows": [[1, 0, 0], [1, 0, 0], [0, 0, 1]] } }),
            "`pca_contrast`: `colours` is given, not a mean from 0 to 1 and three rows of numbers, \
             orthogonal and of length 1",
        ),
    ] {
        let message = format!("operation 2 of view 1, {message}");
        assert_eq!(refusal(vec![json!({ "op": "random_crop" }), value]), message);
    }
    let shared = vec![op(json!({ "op": "flip", "p": -0.1 }))];
    let error = Recipe::new(shared, vec![vec![Op::RandomCrop]], 32).check().unwrap_err().to_string();
    assert_eq!(error, "operation 1 of `shared`, `flip`: `p` is -0.1, not a number from 0 to 1");
}

#[test]
fn views_that_do_not_get_their_side_are_refused() {
    for ops in [
        vec![],
        vec![json!({ "op": "flip" })],
        vec![json!({ "op": "resize_short", "edge": 32 })],
        vec![json!({ "op": "random_crop" }), json!({ "op": "resize_short", "edge": 40 })],
    ] {
        assert_eq!(refusal(ops), "view 1 does not end with 32×32 pixels for every image");
    }
    let mut two = Recipe::new(vec![Op::RandomCrop], vec![vec![]], 32);
    two.check().unwrap();
    two.groups.push(Group { side: 16, views: vec![vec![]] });
    assert_eq!(two.check().unwrap_err().to_string(), "view 2 does not end with 16×16 pixels for every image");
}

#[test]
fn a_seed_patch_is_the_first_operation() {
    let seed = json!({ "op": "seed_patch", "zoom": [1, 2] });
    assert_eq!(
        refusal(vec![json!({ "op": "flip" }), seed.clone()]),
        "operation 2 of view 1 is `seed_patch`, which must be the first operation on an image"
    );
    let late = Recipe::new(vec![Op::Flip { p: 0.5 }], vec![vec![op(seed)]], 32);
    assert!(late.check().unwrap_err().to_string().starts_with("operation 1 of view 1 is `seed_patch`"));
}

#[test]
fn a_loader_refuses_a_recipe_that_cannot_work() {
    let recipe = Recipe::new(vec![], vec![vec![]], 32);
    let config = LoaderConfig { workers: 1, batch_size: 2, ..LoaderConfig::default() };
    let slabs = vec![vec![0; config.bytes(&recipe)]; config.slabs()];
    let error = Loader::spawn(std::iter::empty(), recipe, slabs, &config).unwrap_err();
    assert_eq!(error.to_string(), "view 1 does not end with 32×32 pixels for every image");
    for (groups, message) in [
        (vec![], "the recipe has 0 views, not 1 to 64"),
        (vec![Group { side: 0, views: vec![vec![]] }], "the side of views is 0, not 1 to 4096 pixels"),
    ] {
        assert_eq!(Recipe { shared: vec![], groups }.check().unwrap_err().to_string(), message);
    }
}

#[test]
fn the_list_of_kinds_has_the_parameters_and_defaults_of_every_operation() {
    let recipe = serde_json::to_value(every_operation(64)).unwrap();
    let mut seen = Vec::new();
    for written in recipe["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["views"].as_array().unwrap())
        .flat_map(|view| view.as_array().unwrap())
    {
        let fields = written.as_object().unwrap();
        let kind = Kind::named(fields["op"].as_str().unwrap()).unwrap();
        let mut names: Vec<_> = fields.keys().filter(|key| *key != "op").map(String::as_str).collect();
        let mut listed: Vec<_> = kind.parameters.iter().map(|parameter| parameter.name).collect();
        names.sort_unstable();
        listed.sort_unstable();
        assert_eq!(names, listed, "{}", kind.name);
        check_defaults(kind, written);
        seen.push(kind.name);
    }
    assert!(Kind::ALL.iter().all(|kind| seen.contains(&kind.name)), "{seen:?}");
}

/// Checks that exactly the parameters with a default can be left out, and that they get it.
fn check_defaults(kind: &Kind, written: &Value) {
    for parameter in kind.parameters {
        let mut shorter = written.clone();
        shorter.as_object_mut().unwrap().remove(parameter.name);
        let read = serde_json::from_value::<Op>(shorter);
        let Some(default) = parameter.default else {
            assert!(read.is_err(), "{}: {}", kind.name, parameter.name);
            continue;
        };
        let value = &serde_json::to_value(read.unwrap()).unwrap()[parameter.name];
        let expected = match default {
            "those of ImageNet" => json!(pipeline::Components::default()),
            "bicubic" => json!("bicubic"),
            number => serde_json::from_str(number).unwrap(),
        };
        let floats = |value: &Value| value.to_string().replace(".0", "");
        assert_eq!(floats(value), floats(&expected), "{}: {}", kind.name, parameter.name);
    }
}

#[test]
fn unknown_operations_and_parameters_are_refused() {
    for value in [
        json!({ "op": "blur" }),
        json!({ "op": "flip", "probability": 1 }),
        json!({ "op": "gaussian_blur" }),
        json!({ "op": "resized_crop", "scale": [0.1, 1], "ratio": [1, 1], "filter": "lanczos" }),
    ] {
        assert!(serde_json::from_value::<Op>(value.clone()).is_err(), "{value}");
    }
}
