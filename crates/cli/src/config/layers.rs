//! The layers of the configuration, later over earlier: built-in defaults, the file, the environment, the flags.

use std::collections::BTreeMap;

use figment::value::{Dict, Empty, Map, Tag, Value};
use figment::{Figment, Profile};

use super::backend::RULES;
use super::file::{self, File};
use super::origin::{Layer, Origin};
use super::problem::Problem;
use super::schema::{EXCLUSIVE, KEYS};
use super::{Flags, environment};
use crate::surroundings::Surroundings;

/// All layers, not yet read.
pub(crate) struct Layers {
    /// figment's merge of them.
    pub(crate) figment: Figment,
    /// What each metadata name of figment stands for.
    pub(crate) origins: BTreeMap<String, Origin>,
    /// The file, if there is one.
    pub(crate) file: Option<File>,
    /// The profiles that can be chosen.
    pub(crate) profiles: Vec<String>,
    /// The one that is chosen.
    pub(crate) profile: String,
    /// What should be said, without being wrong.
    pub(crate) warnings: Vec<String>,
}

impl Layers {
    /// Reads all of them. Problems are collected; what could be read is there all the same.
    pub(crate) fn read(flags: &Flags, around: &Surroundings, problems: &mut Vec<Problem>) -> Self {
        let mut layers = Self {
            figment: Figment::new(),
            origins: BTreeMap::new(),
            file: None,
            profiles: vec!["default".to_owned()],
            profile: "default".to_owned(),
            warnings: Vec::new(),
        };
        layers.add(Origin::Default, Profile::Default, defaults(around));
        layers.add_file(flags, around, problems);
        layers.choose_profile(flags, around, problems);
        let variables = environment::read(around, problems, &mut layers.warnings);
        for (name, dict) in variables {
            layers.add(Origin::Variable(name), Profile::Global, dict);
        }
        for (flag, key, value) in [
            ("--database", "database.url", &flags.database),
            ("--executor", "executor.backend", &flags.executor),
        ] {
            let Some(value) = value else { continue };
            layers.add(
                Origin::Flag(flag.to_owned()),
                Profile::Global,
                nested(key, Value::from(value.as_str())),
            );
        }
        layers.figment = std::mem::take(&mut layers.figment).select(layers.profile.as_str());
        layers
    }

    /// Environment and flags are of figment's global profile: in `default` the chosen profile of the file would
    /// win over them.
    fn add(&mut self, origin: Origin, profile: Profile, mut dict: Dict) {
        take_rivals_away(&mut dict);
        if origin != Origin::Default {
            take_rules_away(&mut dict);
        }
        self.add_all(origin, [(profile, dict)].into());
    }

    fn add_all(&mut self, origin: Origin, values: Map<Profile, Dict>) {
        self.origins.insert(origin.to_string(), origin.clone());
        self.figment = std::mem::take(&mut self.figment).merge(Layer { origin, values });
    }

    fn add_file(&mut self, flags: &Flags, around: &Surroundings, problems: &mut Vec<Problem>) {
        let file = file::find(flags.config.as_deref(), around)
            .and_then(|path| path.map(|path| File::read(&path, around)).transpose());
        let file = match file {
            Ok(Some(file)) => file,
            Ok(None) => return,
            Err(problem) => return problems.push(problem),
        };
        let (profiles, mut wrong) = file.profiles();
        problems.append(&mut wrong);
        let mut values = Map::new();
        for profile in &profiles {
            let mut dict = file.profile(profile);
            if profile != "default" {
                take_rules_away(&mut dict);
            }
            for (first, second) in rivals_in(&dict) {
                let place = file.place_of(profile, second);
                problems.push(Problem::at(
                    place,
                    format!("{second}: only one of `{first}` and `{second}` can be set"),
                ));
            }
            take_rivals_away(&mut dict);
            values.insert(Profile::new(profile), dict);
        }
        self.add_all(Origin::File(file.path.clone()), values);
        self.profiles.extend(profiles.into_iter().filter(|profile| profile != "default"));
        self.file = Some(file);
    }

    fn choose_profile(&mut self, flags: &Flags, around: &Surroundings, problems: &mut Vec<Problem>) {
        let asked = flags.profile.as_deref().map(|profile| (profile, "flag --profile"));
        let asked = asked.or_else(|| around.var("UPHAUL_PROFILE").map(|profile| (profile, "UPHAUL_PROFILE")));
        let Some((asked, by)) = asked else { return };
        let asked_lower = asked.to_lowercase();
        if self.profiles.contains(&asked_lower) {
            self.profile = asked_lower;
            return;
        }
        let file_is_unread = self.file.is_none() && !problems.is_empty();
        if file_is_unread {
            return;
        }
        let known = match &self.file {
            Some(file) => format!("{} has {}", file.path.display(), self.profiles.join(", ")),
            None => "there is no configuration file, so `default` is the only one".to_owned(),
        };
        problems.push(Problem::at(by, format!("no such profile {asked:?}; {known}")));
    }
}

/// What holds without being set. The database is the one that depends on the surroundings; without a home it has
/// none, which is told when a command needs it.
fn defaults(around: &Surroundings) -> Dict {
    let mut all = Dict::new();
    for key in KEYS {
        if let Some(default) = key.default {
            insert(&mut all, key.path, Value::from(default));
        }
    }
    let state = around.xdg("XDG_STATE_HOME", ".local/state");
    if let Some(path) = state.as_ref().and_then(|folder| folder.to_str()) {
        insert(&mut all, "database.url", Value::from(format!("sqlite:{path}/uphaul/uphaul.db")));
    }
    all
}

/// A table with one key.
pub(crate) fn nested(path: &str, value: Value) -> Dict {
    let mut dict = Dict::new();
    insert(&mut dict, path, value);
    dict
}

/// Puts a value at a path, and the tables above it where they are missing.
fn insert(dict: &mut Dict, path: &str, value: Value) {
    let Some((table, rest)) = path.split_once('.') else {
        dict.insert(path.to_owned(), value);
        return;
    };
    let inner = dict.entry(table.to_owned()).or_insert_with(|| Value::Dict(Tag::Default, Dict::new()));
    if let Value::Dict(_, inner) = inner {
        insert(inner, rest, value);
    }
}

fn contains(dict: &Dict, path: &str) -> bool {
    match path.split_once('.') {
        None => dict.contains_key(path),
        Some((table, rest)) => match dict.get(table) {
            Some(Value::Dict(_, inner)) => contains(inner, rest),
            _ => false,
        },
    }
}

/// Pairs of keys that one place sets although only one of them can count.
pub(crate) fn rivals_in(dict: &Dict) -> Vec<(&'static str, &'static str)> {
    let mut pairs = Vec::new();
    for group in EXCLUSIVE {
        let set: Vec<&'static str> = group.iter().copied().filter(|member| contains(dict, member)).collect();
        pairs.extend(set.windows(2).map(|pair| (pair[0], pair[1])));
    }
    pairs
}

/// Whoever names a backend without rules means all hosts: the rules of the layers below would send some of them
/// elsewhere.
fn take_rules_away(dict: &mut Dict) {
    if contains(dict, "executor.backend") && !contains(dict, RULES) {
        insert(dict, RULES, Value::Empty(Tag::Default, Empty::None));
    }
}

/// Whoever sets one key of a group takes the other ones of the layers below away.
fn take_rivals_away(dict: &mut Dict) {
    for group in EXCLUSIVE {
        if !group.iter().any(|member| contains(dict, member)) {
            continue;
        }
        for member in group.iter().filter(|member| !contains(dict, member)).collect::<Vec<_>>() {
            insert(dict, member, Value::Empty(Tag::Default, Empty::None));
        }
    }
}
