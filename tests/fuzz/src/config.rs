//! Text as a settings file.

use amdim_stream::config::Config;
use toml::Table;

/// Resolves `text` as a settings file, alone and for a resumed run. A resolved configuration resolves to
/// itself.
pub fn config(text: &str) {
    let Ok(asked) = text.parse::<Table>() else { return };
    Config::out(&asked).ok();
    let saved = Table::try_from(Config::resolve(&Table::new()).expect("the defaults are consistent"));
    Config::resume(&saved.expect("the defaults can be written"), &asked).ok();
    let Ok(config) = Config::resolve(&asked) else { return };
    let table = written(&config);
    assert_eq!(Config::resolve(&table).expect("a resolved configuration is consistent"), config);
    // An open precision is fixed when a run resumes.
    let resumed = Config::resume(&table, &table).expect("a resolved configuration is consistent");
    assert_eq!(
        Config::resume(&written(&resumed), &table).expect("a resolved configuration is consistent"),
        resumed
    );
}

fn written(config: &Config) -> Table {
    let text = toml::to_string(config).expect("a configuration can be written");
    text.parse().expect("the text is TOML")
}
