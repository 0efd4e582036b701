//! Every value with its type and origin, in one flat map.

use std::collections::BTreeMap;

use figment::value::{Num, Value};
use serde::Serialize;

use super::backend::RuleText;
use super::database::mask;
use super::duration;
use super::layers::Layers;
use super::origin::Origin;
use super::problem::Problem;
use super::schema::{ENV_TABLE, EXCLUSIVE, Key, Kind, Known, lookup, nearest, suggestion};

/// A value that has the type of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Leaf {
    /// A text, a word, a URL or a variable.
    Text(String),
    /// Some texts.
    List(Vec<String>),
    /// Which backend reaches which hosts.
    Rules(Vec<RuleText>),
    /// A number.
    Count(u32),
    /// A time, shown as it is written.
    Seconds(#[serde(serialize_with = "as_duration")] u32),
    /// A switch.
    Flag(bool),
}

fn as_duration<S: serde::Serializer>(seconds: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration::show(*seconds))
}

/// A value, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The value.
    pub(crate) leaf: Leaf,
    /// Where it came from.
    pub(crate) origin: Origin,
    /// The same for people, with the line where there is one.
    pub(crate) place: String,
}

/// All values by key. Keys that nobody set and that have no default are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Values(pub(crate) BTreeMap<String, Setting>);

impl Values {
    /// Reads all values of the chosen profile.
    pub(crate) fn read(layers: &Layers, problems: &mut Vec<Problem>) -> Self {
        let mut values = Self::default();
        if let Ok(Value::Dict(_, dict)) = layers.figment.find_value("") {
            for (name, value) in dict {
                values.walk(layers, name, &value, problems);
            }
        }
        values
    }

    fn walk(&mut self, layers: &Layers, path: String, value: &Value, problems: &mut Vec<Problem>) {
        if matches!(value, Value::Empty(..)) {
            return;
        }
        let origin =
            layers.figment.get_metadata(value.tag()).and_then(|data| layers.origins.get(data.name.as_ref()));
        let origin = origin.cloned().unwrap_or(Origin::Default);
        let place = match (&origin, &layers.file) {
            (Origin::File(_), Some(file)) => file.place_of(&layers.profile, &path),
            _ => origin.to_string(),
        };
        let mut refuse = |what: String| problems.push(Problem::at(&place, format!("{path}: {what}")));
        match (lookup(&path), value) {
            (Known::Table, Value::Dict(_, dict)) => {
                for (name, value) in dict {
                    self.walk(layers, format!("{path}.{name}"), value, problems);
                }
            }
            (Known::Table, other) => refuse(format!("expected a table, found {}", found(other))),
            (Known::Unknown, _) => refuse(format!("no such key; {}", suggestion(&path))),
            (Known::Key(key), value) => match leaf(key, value, &origin) {
                Ok(Some(leaf)) => self.insert(path, Setting { leaf, origin, place }),
                Ok(None) => {}
                Err(why) => refuse(why),
            },
            (Known::Variable, Value::String(_, text)) => {
                self.insert(path, Setting { leaf: Leaf::Text(text.clone()), origin, place });
            }
            (Known::Variable, other) => refuse(format!("expected a text, found {}", found(other))),
        }
    }

    fn insert(&mut self, path: String, setting: Setting) {
        self.0.insert(path, setting);
    }

    /// Puts one more text over what is there, as the layer above.
    pub(crate) fn overlay(&mut self, path: &str, text: &str, origin: &Origin) -> Result<(), Problem> {
        let place = origin.to_string();
        let refuse = |what: String| Problem::at(&place, format!("{path}: {what}"));
        let leaf = match lookup(path) {
            Known::Key(key) => leaf(key, &Value::from(text), origin).map_err(refuse)?,
            Known::Variable => Some(Leaf::Text(text.to_owned())),
            Known::Table => return Err(refuse("is a table; set its keys one by one".to_owned())),
            Known::Unknown => return Err(refuse(format!("no such key; {}", suggestion(path)))),
        };
        let inside = |key: &str, member: &str| {
            key.strip_prefix(member).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        for group in EXCLUSIVE.iter().filter(|group| group.iter().any(|member| inside(path, member))) {
            let rival = |key: &str| {
                let member = group.iter().find(|member| inside(key, member));
                member.is_some_and(|member| !inside(path, member))
            };
            self.0.retain(|key, setting| !rival(key) || setting.origin == *origin);
        }
        match leaf {
            Some(leaf) => self.insert(path.to_owned(), Setting { leaf, origin: origin.clone(), place }),
            None => drop(self.0.remove(path)),
        }
        Ok(())
    }

    /// The setting of a key.
    pub(crate) fn setting(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// The variables of the service, by name.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &Setting)> {
        let inside = |key: &'_ str| key.len() > ENV_TABLE.len() + 1 && key.starts_with(ENV_TABLE);
        let all = self.0.iter().filter(move |(key, _)| inside(key));
        all.filter_map(|(key, setting)| key.get(ENV_TABLE.len() + 1..).map(|name| (name, setting)))
    }
}

/// Gives a value the type of its key; none where an empty text says that an optional key is not wanted.
fn leaf(key: &Key, value: &Value, origin: &Origin) -> Result<Option<Leaf>, String> {
    let wrong = |found: String| format!("expected {}, found {found}", key.kind.expected());
    let text = value.as_str();
    if text == Some("") && key.default.is_none() && key.kind != Kind::Database {
        return Ok(None);
    }
    let number = || match (value, text) {
        (Value::Num(_, number), _) => {
            whole(*number).and_then(|n| u32::try_from(n).ok()).ok_or_else(|| wrong(found(value)))
        }
        (_, Some(text)) if origin.is_text() => text.trim().parse().map_err(|_| wrong(found(value))),
        _ => Err(wrong(found(value))),
    };
    let texts = |items: &[Value]| -> Result<Vec<String>, String> {
        let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| wrong(found(item)));
        items.iter().map(text).collect()
    };
    let seconds = |text: Option<&str>| match (text, value) {
        (Some(text), _) => {
            duration::parse(text).map_err(|why| format!("expected {}, {why}", key.kind.expected()))
        }
        (None, Value::Num(..)) => {
            let number = found(value);
            Err(wrong(format!("{number} without a unit; write \"{number}s\" for seconds")))
        }
        (None, _) => Err(wrong(found(value))),
    };
    let leaf = match (key.kind, text) {
        (Kind::Text, Some(text)) => Leaf::Text(text.to_owned()),
        (Kind::Database, Some(text)) => Leaf::Text(text.to_owned()),
        (Kind::Choice(words), Some(text)) if words.contains(&text) => Leaf::Text(text.to_owned()),
        (Kind::RestartLimit, Some("unit")) => Leaf::Text("unit".to_owned()),
        (Kind::RestartLimit, text) => within(seconds(text)?, 1, 86400, Leaf::Seconds, key)?,
        (Kind::Seconds { min, max }, text) => within(seconds(text)?, min, max, Leaf::Seconds, key)?,
        (Kind::Count { min, max }, _) => within(number()?, min, max, Leaf::Count, key)?,
        (Kind::List, Some(text)) if origin.is_text() => {
            Leaf::List(text.split(',').map(|item| item.trim().to_owned()).collect())
        }
        (Kind::List, Some(text)) => Leaf::List(vec![text.to_owned()]),
        (Kind::List, None) => match value.as_array() {
            Some(items) => Leaf::List(texts(items)?),
            None => return Err(wrong(found(value))),
        },
        (Kind::Flag, text) => match (value, text) {
            (Value::Bool(_, flag), _) => Leaf::Flag(*flag),
            (_, Some("true")) if origin.is_text() => Leaf::Flag(true),
            (_, Some("false")) if origin.is_text() => Leaf::Flag(false),
            _ => return Err(wrong(found(value))),
        },
        (Kind::Choice(words), Some(text)) => {
            let near = nearest(text, words.iter().copied());
            let meant = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            return Err(wrong(found(value) + &meant));
        }
        (Kind::Rules, _) => {
            Leaf::Rules(rules(value, origin).map_err(|why| why.unwrap_or_else(|| wrong(found(value))))?)
        }
        (Kind::Text | Kind::Database | Kind::Choice(_), _) => return Err(wrong(found(value))),
    };
    Ok(Some(leaf))
}

/// Rules, as only a file can have them. The error is none where it is no list at all.
fn rules(value: &Value, origin: &Origin) -> Result<Vec<RuleText>, Option<String>> {
    if origin.is_text() {
        return Err(Some("rules can only stand in the configuration file".to_owned()));
    }
    let tables = value.as_array().ok_or(None)?;
    let mut rules = Vec::with_capacity(tables.len());
    for (at, table) in tables.iter().enumerate() {
        let number = at + 1;
        let Value::Dict(_, table) = table else {
            return Err(Some(format!("rule {number}: expected a table, found {}", found(table))));
        };
        let words = ["match", "backend"];
        if let Some(unknown) = table.keys().find(|name| !words.contains(&name.as_str())) {
            let near = nearest(unknown, words.into_iter());
            let said = near
                .map_or("a rule has match and backend".to_owned(), |near| format!("did you mean `{near}`?"));
            return Err(Some(format!("rule {number} has no such key {unknown:?}; {said}")));
        }
        let text = |name: &str| match table.get(name) {
            Some(Value::String(_, text)) => Ok(text.clone()),
            Some(other) => Err(Some(format!("rule {number}: `{name}` is a text, found {}", found(other)))),
            None => Err(Some(format!("rule {number} has no `{name}`"))),
        };
        rules.push(RuleText { selector: text("match")?, backend: text("backend")? });
    }
    Ok(rules)
}

fn within(number: u32, min: u32, max: u32, leaf: fn(u32) -> Leaf, key: &Key) -> Result<Leaf, String> {
    let leaf = leaf(number);
    if (min..=max).contains(&number) {
        return Ok(leaf);
    }
    Err(format!("expected {}, found {}", key.kind.expected(), show(&leaf)))
}

/// A value for people, as it would be written in the file.
pub(crate) fn show(leaf: &Leaf) -> String {
    match leaf {
        Leaf::Text(text) => quoted(text),
        Leaf::List(items) => {
            let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
            format!("[{}]", items.join(", "))
        }
        Leaf::Rules(rules) => {
            let rule = |rule: &RuleText| {
                format!("{{ match = {}, backend = {} }}", quoted(&rule.selector), quoted(&rule.backend))
            };
            format!("[{}]", rules.iter().map(rule).collect::<Vec<_>>().join(", "))
        }
        Leaf::Count(number) => number.to_string(),
        Leaf::Seconds(seconds) => format!("\"{}\"", duration::show(*seconds)),
        Leaf::Flag(flag) => flag.to_string(),
    }
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// What was found where something else was expected, cut to a line, without passwords.
fn found(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{:?}", mask(text).chars().take(80).collect::<String>()),
        Value::Char(_, letter) => format!("{letter:?}"),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => match (whole(*number), number.to_f64()) {
            (Some(n), _) => n.to_string(),
            (None, Some(n)) => n.to_string(),
            (None, None) => "a number".to_owned(),
        },
        Value::Empty(..) => "nothing".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "a list".to_owned(),
    }
}

/// The number, if it has no fraction.
fn whole(number: Num) -> Option<i128> {
    number.to_i128().or_else(|| number.to_u128().and_then(|n| i128::try_from(n).ok()))
}
