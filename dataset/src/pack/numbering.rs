//! Numbers classes by the list of another part of the same dataset.

use std::{collections::HashMap, path::Path};

use super::source::{Image, Source};
use crate::{
    classes::ClassNames,
    error::{ClassError, ImageError, Result},
    hint::Hint,
};

/// A source whose labels follow a list of class names instead of its own order.
struct Numbered {
    source: Box<dyn Source>,
    names: Vec<String>,
    /// The line in the list of each label of the source.
    labels: Vec<usize>,
}

/// Numbers the classes of a source by a list of names. Classes of the list that the source lacks keep their
/// numbers.
///
/// # Errors
/// The source has no classes, or one that the list lacks; or the list names a class twice.
pub fn number_by(source: Box<dyn Source>, list: &Path) -> Result<Box<dyn Source>> {
    let names = ClassNames::read(list)?.names().to_vec();
    if source.classes().is_empty() {
        return Err(ClassError::None { list: list.to_owned() }.into());
    }
    let mut lines = HashMap::new();
    for (line, name) in names.iter().enumerate() {
        if let Some(before) = lines.insert(name.as_str(), line) {
            let (list, name) = (list.to_owned(), name.clone());
            return Err(ClassError::Twice { list, name, first: before + 1, second: line + 1 }.into());
        }
    }
    let label =
        |class: &String| lines.get(class.as_str()).copied().ok_or_else(|| unknown(class, &names, list));
    let labels = source.classes().iter().map(label).collect::<Result<_, _>>()?;
    Ok(Box::new(Numbered { source, names, labels }))
}

fn unknown(class: &str, names: &[String], list: &Path) -> ClassError {
    let nearest = names.iter().min_by_key(|name| strsim::osa_distance(name, class));
    let nearest = nearest.filter(|name| 3 * strsim::osa_distance(name, class) <= class.chars().count());
    ClassError::Unknown {
        class: class.to_owned(),
        list: list.to_owned(),
        count: names.len(),
        nearest: nearest.cloned(),
    }
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

    fn label(&self, number: usize) -> Result<Option<usize>, ImageError> {
        Ok(self.source.label(number)?.map(|label| self.labels[label]))
    }

    fn read(&self, number: usize) -> Result<Image, ImageError> {
        let image = self.source.read(number)?;
        let label = image.label.map(|label| self.labels[label]);
        Ok(Image { label, ..image })
    }

    fn ignored(&self) -> u64 {
        self.source.ignored()
    }

    fn hint(&self) -> Option<Hint> {
        self.source.hint()
    }

    fn log(&self) {
        self.source.log();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pack::{format::Format, open::open};

    /// Returns the labels of a folder with an image of each class, numbered by a list with these lines.
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
        Ok((0..source.count()).map(|number| source.read(number).unwrap().label).collect())
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
    fn a_class_that_is_not_in_the_list_is_refused_with_its_cure() {
        let error = labels(&["cat", "zebras"], "cat\ndog\nzebra\n").unwrap_err().to_string();
        assert!(error.contains("the class `zebras` is not among the 3"), "{error}");
        assert!(error.ends_with("; the nearest name there is `zebra`"), "{error}");
        let error = labels(&["cat", "emu"], "cat\ndog\n").unwrap_err().to_string();
        assert!(error.contains("`emu`") && !error.contains("nearest"), "{error}");
    }

    #[test]
    fn a_list_that_names_a_class_twice_and_a_source_without_classes_are_refused() {
        let error = labels(&["cat"], "cat\ndog\ncat\n").unwrap_err().to_string();
        assert!(error.contains("`cat` on lines 1 and 3"), "{error}");
        let error = labels(&["."], "cat\n").unwrap_err().to_string();
        assert!(error.contains("the source has no classes"), "{error}");
    }
}
