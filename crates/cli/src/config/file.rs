//! The configuration file: which one, its tables, and on which line a key stands.

use std::ops::Range;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Tag, Value};
use toml_edit::{ImDocument, Item};

use super::problem::Problem;
use crate::surroundings::Surroundings;

/// The most bytes that a configuration may have; a larger file is refused.
const FILE_MAX: u64 = 1024 * 1024;

/// The name of the file, where it is searched for.
pub(crate) const FILE_NAME: &str = "uphaul.toml";

/// A file that was read and is TOML.
pub(crate) struct File {
    /// Where it lies, as people are told.
    pub(crate) path: PathBuf,
    /// The folder that relative paths in it start from.
    pub(crate) folder: PathBuf,
    text: String,
    document: ImDocument<String>,
}

/// Finds the file: the flag, `UPHAUL_CONFIG`, this folder, the user's configuration. Only a file that was asked for
/// must exist.
pub(crate) fn find(flag: Option<&Path>, around: &Surroundings) -> Result<Option<PathBuf>, Problem> {
    let asked = flag.map(|path| (path.to_path_buf(), "--config"));
    let asked = asked.or_else(|| around.var("UPHAUL_CONFIG").map(|path| (path.into(), "UPHAUL_CONFIG")));
    if let Some((path, by)) = asked {
        return match around.cwd.join(&path).is_file() {
            true => Ok(Some(path)),
            false => Err(Problem::at(path.display(), format!("there is no such file (asked for by {by})"))),
        };
    }
    let user = around.xdg("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("uphaul").join(FILE_NAME));
    let places = [Some(PathBuf::from(FILE_NAME)), user];
    Ok(places.into_iter().flatten().find(|path| around.cwd.join(path).is_file()))
}

impl File {
    /// Reads and parses it.
    pub(crate) fn read(path: &Path, around: &Surroundings) -> Result<Self, Problem> {
        let problem = |what: String| Problem::at(path.display(), what);
        let absolute = around.cwd.join(path);
        let size = std::fs::metadata(&absolute).map(|meta| meta.len());
        match size {
            Ok(size) if size > FILE_MAX => {
                return Err(problem(format!("has {size} bytes; a configuration has at most {FILE_MAX}")));
            }
            Ok(_) => {}
            Err(error) => return Err(problem(format!("cannot be read: {error}"))),
        }
        let bytes = std::fs::read(&absolute).map_err(|error| problem(format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| problem("is not UTF-8 text".to_owned()))?;
        let document = ImDocument::parse(text.clone()).map_err(|error| {
            let line = error.span().map(|span| line_of(&text, &span));
            let said = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            Problem::at(place(path, line), format!("is not TOML: {said}"))
        })?;
        let folder = absolute.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self { path: path.to_path_buf(), folder, text, document })
    }

    /// The profiles that it has, in its order, and what is wrong with its top level.
    pub(crate) fn profiles(&self) -> (Vec<String>, Vec<Problem>) {
        let (mut profiles, mut problems) = (Vec::new(), Vec::new());
        for (name, item) in self.document.iter() {
            let line = self.line(&[name]);
            let mut refuse = |what: String| problems.push(Problem::at(place(&self.path, line), what));
            if super::schema::is_section(name) {
                refuse(format!("[{name}] stands in no profile; write [default.{name}]"));
            } else if !item.is_table_like() {
                refuse(format!(
                    "`{name}` stands in no profile; put it below a table such as [default.service]"
                ));
            } else if name.eq_ignore_ascii_case("global") {
                refuse("[global] is not a profile; use [default]".to_owned());
            } else if name.to_ascii_lowercase() != name {
                refuse(format!("the profile [{name}] must be in lower case"));
            } else {
                profiles.push(name.to_owned());
            }
        }
        (profiles, problems)
    }

    /// The keys of a profile.
    pub(crate) fn profile(&self, name: &str) -> Dict {
        match self.document.get(name).map(item_value) {
            Some(Value::Dict(_, dict)) => dict,
            _ => Dict::new(),
        }
    }

    /// File and line of a key as a profile has it; of the nearest table above it where the key itself has none.
    pub(crate) fn place_of(&self, profile: &str, key: &str) -> String {
        let line = [profile, "default"].iter().find_map(|profile| {
            let mut path = vec![*profile];
            path.extend(key.split('.'));
            self.line(&path)
        });
        place(&self.path, line)
    }

    fn line(&self, path: &[&str]) -> Option<usize> {
        let mut item = self.document.as_item();
        let mut span = None;
        for part in path {
            let (key, next) = item.as_table_like()?.get_key_value(part)?;
            span = key.span().or_else(|| next.span());
            item = next;
        }
        span.map(|span| line_of(&self.text, &span))
    }
}

fn place(path: &Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    }
}

/// The line, from 1, on which a span begins.
pub(crate) fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.as_bytes().get(..span.start).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn item_value(item: &Item) -> Value {
    match item {
        Item::None => Value::Empty(Tag::Default, figment::value::Empty::Unit),
        Item::Value(value) => toml_value(value),
        Item::Table(table) => dict(table.iter().map(|(key, item)| (key.to_owned(), item_value(item)))),
        Item::ArrayOfTables(tables) => Value::Array(
            Tag::Default,
            tables
                .iter()
                .map(|table| dict(table.iter().map(|(key, item)| (key.to_owned(), item_value(item)))))
                .collect(),
        ),
    }
}

fn dict(entries: impl Iterator<Item = (String, Value)>) -> Value {
    Value::Dict(Tag::Default, entries.collect())
}

fn toml_value(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::from(text.value().as_str()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => Value::from(*number.value()),
        toml_edit::Value::Boolean(flag) => Value::from(*flag.value()),
        toml_edit::Value::Datetime(time) => Value::from(time.value().to_string()),
        toml_edit::Value::Array(items) => Value::Array(Tag::Default, items.iter().map(toml_value).collect()),
        toml_edit::Value::InlineTable(table) => {
            dict(table.iter().map(|(key, value)| (key.to_owned(), toml_value(value))))
        }
    }
}
