//! The section `[recipe]`: views that a file of settings describes.

use anyhow::Result;
use pipeline::{Group, Normalization, Op, Recipe, RecipeError};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::operations;
use crate::{
    numbers,
    settings::{in_files_only, real, settings},
    usage,
};

settings! {
    /// The recipe of a run's views, instead of that of its method and preset.
    pub struct RecipeConfig {
        /// Operations that are drawn once for all views of an image, before they diverge.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        shared: Vec<Op> = Vec::new(), in_files_only();
        /// Views with their operations, instead of those of the method; see docs/reference/recipes.md.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        views: Vec<ViewConfig> = Vec::new(), in_files_only();
        /// Mean of red, green and blue (0 to 1), which is subtracted from the inputs of the encoder.
        #[serde(skip_serializing_if = "Option::is_none")]
        mean: Option<[f64; 3]> = None, real(numbers::PROBABILITY);
        /// Standard deviation of red, green and blue (0 to 1), by which the inputs are divided.
        #[serde(skip_serializing_if = "Option::is_none")]
        std: Option<[f64; 3]> = None, real(numbers::SHARE);
    }
}

/// Views that are drawn from the same operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewConfig {
    /// The number of views.
    #[serde(default = "once")]
    pub count: usize,
    /// The width and height in pixels, where they are not those of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<u32>,
    /// The operations, drawn for each view alone.
    pub operations: Vec<Op>,
}

fn once() -> usize {
    1
}

impl RecipeConfig {
    /// Returns whether the section is left out.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the section describes views.
    pub(super) fn has_views(&self) -> bool {
        !(self.shared.is_empty() && self.views.is_empty())
    }

    /// Returns the normalization of inputs: `usual`, with the given mean and standard deviation.
    pub(super) fn normalization(&self, usual: Normalization) -> Normalization {
        let scaled = |values: [f64; 3]| values.map(|value| 255.0 * value);
        Normalization { mean: self.mean.map_or(usual.mean, scaled), std: self.std.map_or(usual.std, scaled) }
    }

    /// Reads the section of `asked`, whose operations are checked one by one.
    pub(super) fn of(asked: &Table) -> Result<Self> {
        operations::check(asked)?;
        let section = asked.get("recipe").cloned().unwrap_or_else(|| Table::new().into());
        section.try_into().map_err(
            |error: toml::de::Error| usage!("in the recipe: {}", error.message(); "{}", operations::SEE),
        )
    }

    /// Returns the recipe, with views of `side` pixels where they have no other side.
    pub fn recipe(&self, side: u32) -> Recipe {
        self.with_counts(side, |view| view.count)
    }

    /// Checks that every view of the recipe ends with its side.
    pub(super) fn check(&self, side: u32) -> Result<()> {
        if !self.has_views() {
            return Ok(());
        }
        // One view for each entry, so that the numbers in messages are those of the entries.
        self.with_counts(side, |view| view.count.min(1)).check().map_err(refused)?;
        self.recipe(side).check().map_err(refused)
    }

    /// Returns the recipe with another number of views for each entry.
    fn with_counts(&self, side: u32, count: impl Fn(&ViewConfig) -> usize) -> Recipe {
        let mut groups: Vec<Group> = Vec::new();
        for view in &self.views {
            let side = view.side.unwrap_or(side);
            let views = vec![view.operations.clone(); count(view)];
            match groups.last_mut() {
                Some(group) if group.side == side => group.views.extend(views),
                _ => groups.push(Group { side, views }),
            }
        }
        Recipe { shared: self.shared.clone(), groups }
    }
}

/// Puts an error of a recipe into words.
fn refused(error: RecipeError) -> anyhow::Error {
    let hint = match &error {
        RecipeError::Unfitted { .. } => {
            "end the operations of the view with resized_crop, random_crop or center_crop".to_owned()
        }
        RecipeError::LateSeed { .. } => "move it to the beginning, and leave out `shared`".to_owned(),
        RecipeError::Views { .. } => "describe views with [[recipe.views]], or set their `count`".to_owned(),
        RecipeError::Side { .. } => "correct the `side` of the view".to_owned(),
        _ => operations::SEE.to_owned(),
    };
    usage!("in the recipe: {error}"; "{hint}")
}

#[cfg(test)]
mod tests {
    use pipeline::{Filter, Preset};

    use super::*;
    use crate::{config::Config, hint};

    const OWN: &str = "
        preset = 'c10'
        [[recipe.views]]
        count = 2
        operations = [
            { op = 'resized_crop', scale = [0.2, 1], ratio = [0.75, 1.33], filter = 'bilinear' },
            { op = 'color_jitter', p = 0.8, brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1 },
            { op = 'grayscale', p = 0.2 },
            { op = 'gaussian_blur', p = 0.5, sigma = [0.1, 2] },
            { op = 'flip', p = 0.5 },
        ]";

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> String {
        hint::render(&Config::resolve(&table(text)).unwrap_err())
    }

    /// Returns the message about a recipe whose second operation of the second view is this one.
    fn refusal_of(operation: &str) -> String {
        let crop = "{ op = 'random_crop' }";
        let [first, second] = [crop.to_owned(), format!("{crop}, {operation}")]
            .map(|operations| format!("[[recipe.views]]\noperations = [ {operations} ]\n"));
        refusal(&format!("preset = 'c10'\n{first}{second}"))
    }

    #[test]
    fn a_recipe_of_ones_own_replaces_that_of_the_method_and_gives_itself_back() {
        let config = Config::resolve(&table(OWN)).unwrap();
        let recipe = config.recipe();
        assert_eq!((recipe.len(), recipe.side(), recipe.groups.len()), (2, 32, 1));
        let crop = Op::ResizedCrop { scale: (0.2, 1.0), ratio: (0.75, 1.33), filter: Filter::Bilinear };
        assert_eq!(recipe.groups[0].views[1][0], crop);
        assert_eq!(recipe.groups[0].views[1][4], Op::Flip { p: 0.5 });
        let written = toml::to_string(&config).unwrap();
        assert_eq!(Config::resolve(&table(&written)).unwrap(), config);
        let without = Config::resolve(&table("preset = 'c10'")).unwrap();
        assert_eq!(without.recipe(), Preset::C10.recipe());
        assert!(!toml::to_string(&without).unwrap().contains("recipe"));
    }

    #[test]
    fn mean_and_standard_deviation_can_be_chosen_with_and_without_views() {
        let usual = Preset::C10.normalization();
        let given = "[recipe]\nmean = [0.5, 0.4, 0.2]\n";
        let config = Config::resolve(&table(&format!("preset = 'c10'\n{given}"))).unwrap();
        let found = config.normalization();
        assert!(
            found
                .mean
                .iter()
                .zip([127.5, 102.0, 51.0])
                .all(|(mean, expected)| (mean - expected).abs() < 1e-9)
        );
        assert_eq!((found.std, config.recipe()), (usual.std, Preset::C10.recipe()));
        let written = toml::to_string(&config).unwrap();
        assert_eq!(Config::resolve(&table(&written)).unwrap(), config);
        let both = OWN.replace("[[recipe.views]]", "[recipe]\nstd = [1, 1, 0.5]\n[[recipe.views]]");
        let config = Config::resolve(&table(&both)).unwrap();
        assert_eq!((config.normalization().mean, config.recipe().groups[0].views[0].len()), (usual.mean, 5));
        let error = refusal("[recipe]\nstd = [0.2, 0, 0.2]");
        assert!(error.contains("`recipe.std` is 0"), "{error}");
        let saved = Table::try_from(Config::preset(Preset::C10)).unwrap();
        let error = hint::render(&Config::resume(&saved, &table(given)).unwrap_err());
        assert!(error.contains("another `recipe`"), "{error}");
    }

    #[test]
    fn a_resumed_run_keeps_its_recipe_and_refuses_another_one() {
        let saved = Table::try_from(Config::resolve(&table(OWN)).unwrap()).unwrap();
        let resumed = Config::resume(&saved, &Table::new()).unwrap();
        assert_eq!(resumed, Config::resume(&saved, &table(OWN)).unwrap());
        assert_eq!(resumed.recipe().groups[0].views[0].len(), 5);
        let others = [
            OWN.replace("[0.1, 2]", "[0.1, 3]"),
            OWN.replace("count = 2", "count = 3"),
            OWN.replace("[[recipe.views]]", "[recipe]\nshared = [{ op = 'flip' }]\n[[recipe.views]]"),
        ];
        let plain = Table::try_from(Config::preset(Preset::C10)).unwrap();
        let asked = others.iter().map(|other| (&saved, table(other))).chain([(&plain, table(OWN))]);
        for (saved, asked) in asked {
            let error = hint::render(&Config::resume(saved, &asked).unwrap_err());
            assert!(error.contains("was started with other settings: another `recipe`"), "{error}");
        }
    }

    #[test]
    fn a_wrong_operation_is_named_with_its_place_and_what_is_possible() {
        for (operation, message, hint) in [
            ("{ op = 'blur' }", "is `blur`, which is unknown", "use one of resized_crop, random_crop,"),
            ("'flip'", "is \"flip\", without the name", "write { op = \"flip\", p = 0.5 }"),
            ("{ p = 0.5 }", "is { p = 0.5 }, without the name", "the operations are resized_crop"),
            (
                "{ op = 'flip', probability = 1 }",
                ", `flip`: there is no parameter `probability`",
                "give `flip` `p` (a number from 0 to 1; 1 if left out)",
            ),
            (
                "{ op = 'gaussian_blur' }",
                ", `gaussian_blur`: `sigma` is missing",
                "`sigma` (two numbers from 0 to 128, the smaller one first)",
            ),
            (
                "{ op = 'gaussian_blur', sigma = [2, 0.1] }",
                ", `gaussian_blur`: `sigma` is [2, 0.1], not two numbers from 0 to 128",
                "give `gaussian_blur` `p`",
            ),
            ("{ op = 'flip', p = 'often' }", "`p` is \"often\", not a number from 0 to 1", "`p`"),
            ("{ op = 'flip', p = nan }", "`p` is nan, not a number from 0 to 1", "`p`"),
            ("{ op = 'solarize', threshold = 12.5 }", "`threshold` is 12.5, not a whole number", "255"),
            (
                "{ op = 'resized_crop', scale = [0.1, 1], ratio = [1, 1], filter = 'lanczos' }",
                "`filter` is \"lanczos\", not bicubic or bilinear",
                "bicubic if left out",
            ),
            ("{ op = 'random_crop', p = 0.5 }", "there is no parameter `p`", "which has no parameters"),
            (
                "{ op = 'pca_contrast', factors = [1, 1], colours = { mean = [0, 0, 0] } }",
                "`colours` is { mean = [0, 0, 0] }, not a mean",
                "those of ImageNet if left out",
            ),
            (
                "{ op = 'seed_patch', zoom = [1, 2] }",
                "must be the first operation",
                "move it to the beginning",
            ),
        ] {
            let error = refusal_of(operation);
            let begins = error.starts_with("in the recipe: operation 2 of view 2");
            assert!(begins && error.contains(message) && error.contains(hint), "{operation}: {error}");
        }
    }

    #[test]
    fn a_recipe_of_another_form_is_refused_with_the_right_form() {
        for (text, message) in [
            ("recipe = 3", "`recipe` = 3 is not a section"),
            ("[recipe]\nviews = 2", "`recipe.views` is not a list of views"),
            ("[recipe]\nviews = [[]]", "`recipe.views` is not a list of views"),
            ("[[recipe.views]]\ncount = 2", "view 1 has no `operations`"),
            ("[[recipe.views]]\noperations = 'flip'", "`operations` of view 1 is \"flip\", not a list"),
            ("[[recipe.views]]\noperations = []\nsides = 3", "view 1 has no setting `sides`"),
            ("[[recipe.views]]\noperations = []\ncount = 0", "`count` of view 1 is 0"),
            ("[[recipe.views]]\noperations = []", "view 1 does not end with 32×32 pixels for every image"),
            (
                "[recipe]\nshared = [{ op = 'flip', p = 2 }]",
                "operation 1 of `shared`, `flip`: `p` is 2, not a number from 0 to 1",
            ),
            ("[recipe]\nshared = [{ op = 'flip' }]", "the recipe has 0 views, not 1 to 64"),
            (
                "[[recipe.views]]\ncount = 70\noperations = [{ op = 'random_crop' }]",
                "the recipe has 70 views, not 1 to 64",
            ),
        ] {
            let error = refusal(&format!("preset = 'c10'\n{text}"));
            assert!(error.contains(message) && error.matches("hint:").count() == 1, "{text}: {error}");
        }
    }

    /// Returns a recipe of SimCLR with these views, a number and a side each.
    fn of_sides(groups: &[(usize, u32)], encoder: &str) -> String {
        let view = |(count, side): &(usize, u32)| {
            format!(
                "[[recipe.views]]\ncount = {count}\nside = {side}\noperations = [{{ op = 'random_crop' }}]\n"
            )
        };
        let views: String = groups.iter().map(view).collect();
        format!("preset = 'stl10'\nmethod.name = 'simclr'\nencoder.name = '{encoder}'\n{views}")
    }

    #[test]
    fn simclr_trains_on_two_views_and_any_smaller_ones() {
        for groups in [&[(2, 64)][..], &[(4, 64)], &[(2, 64), (8, 32)], &[(3, 64), (2, 48), (1, 32)]] {
            let config = Config::resolve(&table(&of_sides(groups, "resnet18"))).unwrap();
            let found = config.training_set(10).views;
            let expected = groups.iter().flat_map(|&(count, side)| vec![side; count]);
            assert!(expected.eq(found), "{groups:?}");
        }
        let least = "the method simclr needs at least 2 views of 64 pixels, which smaller ones may follow";
        for (groups, encoder, message) in [
            (&[(1, 64), (8, 32)][..], "resnet18", least),
            (&[(8, 32), (2, 64)], "resnet18", least),
            (&[(2, 64), (1, 96)], "resnet18", least),
            (
                &[(2, 64), (8, 16)],
                "resnet18",
                "takes images of 32 to 512 pixels, not of 16\n  hint: correct the `side` of the view",
            ),
            (
                &[(2, 64), (8, 32)],
                "amdim",
                "takes images of one side, but the recipe makes views of 64 and of 32",
            ),
        ] {
            let error = refusal(&of_sides(groups, encoder));
            assert!(error.contains(message), "{groups:?}: {error}");
        }
    }

    #[test]
    fn views_that_the_method_cannot_use_can_only_be_drawn() {
        let crop = "operations = [{ op = 'resized_crop', scale = [0.1, 1], ratio = [1, 1] }]";
        let text = format!(
            "preset = 'c10'\n[[recipe.views]]\ncount = 2\n{crop}\n[[recipe.views]]\ncount = 8\nside = 24\n{crop}"
        );
        let error = refusal(&text);
        let expected = "the method amdim needs 2 views of 32 pixels, but the recipe makes 2 views of 32 pixels and 8 \
                        views of 24 pixels";
        assert!(error.starts_with(expected) && error.contains("`show --config`"), "{error}");
        let recipe = Config::resolve_for_drawing(&table(&text)).unwrap().recipe();
        let groups: Vec<_> = recipe.groups.iter().map(|group| (group.views.len(), group.side)).collect();
        assert_eq!(groups, [(2, 32), (8, 24)]);
    }
}
