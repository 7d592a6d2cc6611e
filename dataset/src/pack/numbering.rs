//! Classes numbered by a list, as another part of the same dataset has them.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, bail};

use super::source::{Image, Source};
use crate::classes::ClassNames;

/// A source whose labels follow a list of class names instead of its own order.
struct Numbered {
    source: Box<dyn Source>,
    names: Vec<String>,
    /// By the source's own label, the line of the class in the list.
    labels: Vec<usize>,
}

/// Numbers the source's classes by the list. Classes of the list that the source lacks keep their numbers.
///
/// # Errors
/// The source has a class that is not in the list, or none at all; the list names a class twice.
pub fn number_by(source: Box<dyn Source>, list: &Path) -> Result<Box<dyn Source>> {
    let names = ClassNames::read(list)?.names().to_vec();
    if source.classes().is_empty() {
        bail!(
            "`--classes` numbers classes, but the source has none\nhint: leave it out, or give a folder with a folder for each class"
        );
    }
    let mut lines = HashMap::new();
    for (line, name) in names.iter().enumerate() {
        if let Some(before) = lines.insert(name.as_str(), line) {
            bail!(
                "`{}` names the class `{name}` on lines {} and {}\nhint: a class has one number: remove one of the two lines, or give \
                 one of the classes another name",
                list.display(),
                before + 1,
                line + 1
            );
        }
    }
    let label =
        |class: &String| lines.get(class.as_str()).copied().with_context(|| unknown(class, &names, list));
    let labels = source.classes().iter().map(label).collect::<Result<_>>()?;
    Ok(Box::new(Numbered { source, names, labels }))
}

/// Why a class cannot be numbered, and what cures it.
fn unknown(class: &str, names: &[String], list: &Path) -> String {
    let list = list.display();
    let nearest = names.iter().min_by_key(|name| strsim::osa_distance(name, class));
    let nearest = nearest.filter(|name| 3 * strsim::osa_distance(name, class) <= class.chars().count());
    let nearest = nearest.map_or_else(String::new, |name| format!("; the nearest name there is `{name}`"));
    format!(
        "the class `{class}` is not among the {} that `{list}` numbers{nearest}\nhint: rename the folder as the list has it, take it out \
         if it is no class, or add a new class as a last line of `{list}`, which leaves the numbers of the others as they are",
        names.len()
    )
}

impl Source for Numbered {
    fn classes(&self) -> &[String] {
        &self.names
    }

    fn count(&self) -> usize {
        self.source.count()
    }

    fn bytes(&self, number: usize) -> u64 {
        self.source.bytes(number)
    }

    fn key(&self, number: usize) -> String {
        self.source.key(number)
    }

    fn label(&self, number: usize) -> Result<Option<usize>> {
        Ok(self.source.label(number)?.map(|label| self.labels[label]))
    }

    fn read(&self, number: usize) -> Result<Image> {
        let image = self.source.read(number)?;
        let label = image.label.map(|label| self.labels[label]);
        Ok(Image { label, ..image })
    }

    fn ignored(&self) -> u64 {
        self.source.ignored()
    }

    fn tell(&self) {
        self.source.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pack::{Format, open};

    /// A folder with an image of each class, numbered by a list of such lines; the labels of its images.
    fn labels(classes: &[&str], list: &str) -> Result<Vec<Option<usize>>> {
        let place = tempfile::tempdir().unwrap();
        let (images, path) = (place.path().join("images"), place.path().join("classes.txt"));
        fs::create_dir(&images).unwrap();
        for class in classes {
            fs::create_dir_all(images.join(class)).unwrap();
            fs::write(images.join(class).join("1.jpg"), b"\xFF\xD8\xFF\xE0").unwrap();
        }
        fs::write(&path, list).unwrap();
        let source = number_by(open(&images, Format::Folder, None, true)?, &path)?;
        assert_eq!(source.classes(), list.lines().collect::<Vec<_>>());
        (0..source.count()).map(|number| Ok(source.read(number)?.label)).collect()
    }

    #[test]
    fn a_folder_that_lacks_a_class_keeps_the_numbers_of_the_others() {
        assert_eq!(labels(&["b", "c"], "a\nb\nc\n").unwrap(), [Some(1), Some(2)]);
        assert_eq!(
            labels(&["a", "b"], "b\r\na\r\n").unwrap(),
            [Some(1), Some(0)],
            "the list need not be sorted"
        );
    }

    #[test]
    fn a_folder_that_is_not_in_the_list_is_refused_with_what_cures_it() {
        let error = labels(&["cat", "zebras"], "cat\ndog\nzebra\n").unwrap_err().to_string();
        assert!(error.contains("the class `zebras` is not among the 3"), "{error}");
        assert!(error.contains("the nearest name there is `zebra`\nhint: "), "{error}");
        let error = labels(&["cat", "emu"], "cat\ndog\n").unwrap_err().to_string();
        assert!(error.contains("`emu`") && !error.contains("nearest"), "{error}");
    }

    #[test]
    fn a_list_that_names_a_class_twice_and_a_source_without_classes_are_refused() {
        let error = labels(&["cat"], "cat\ndog\ncat\n").unwrap_err().to_string();
        assert!(error.contains("`cat` on lines 1 and 3"), "{error}");
        let error = labels(&["."], "cat\n").unwrap_err().to_string();
        assert!(error.contains("the source has none"), "{error}");
    }
}
