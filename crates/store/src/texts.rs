//! How the statements of `sql` are said to one database: as they stand, or changed for its dialect and its tables.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::adopted::{Adopted, Columns};
use crate::{postgres, sql};

/// The statements that this database is told in other words.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    other: HashMap<&'static str, SqlStr>,
    /// Whether the hosts are rows of another program's table.
    pub(crate) adopted: bool,
}

impl Texts {
    /// SQLite, and tables of our own: every statement as it stands.
    pub(crate) fn sqlite() -> Arc<Self> {
        Arc::default()
    }

    /// Postgres, and tables of our own.
    pub(crate) fn postgres() -> Arc<Self> {
        let mut texts = Self::default();
        for (text, other) in postgres::OTHER {
            texts.insert(text, (*other).to_owned());
        }
        Arc::new(texts)
    }

    /// Hosts in a table of another program, and tables of our own beside it.
    pub(crate) fn adopted(adopted: &Adopted, columns: &Columns, postgres: bool) -> Arc<Self> {
        let mut texts = Self { other: HashMap::new(), adopted: true };
        for (_, text) in sql::ALL {
            texts.insert(text, prefixed(text));
        }
        for (text, other) in if postgres { postgres::OTHER } else { &[] } {
            texts.insert(text, prefixed(other));
        }
        for (text, other) in adopted.texts(columns, postgres) {
            texts.insert(text, other);
        }
        Arc::new(texts)
    }

    fn insert(&mut self, text: &'static str, other: String) {
        // Composed of our own words, and of names that were checked and quoted.
        let other: Arc<str> = other.into();
        self.other.insert(text, AssertSqlSafe(other).into_sql_str());
    }

    /// What this database is told.
    pub(crate) fn of(&self, text: &'static str) -> SqlStr {
        self.other.get(text).cloned().unwrap_or_else(|| SqlStr::from_static(text))
    }

    /// All statements as this database is told them.
    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<(&'static str, SqlStr)> {
        sql::ALL.iter().map(|(name, text)| (*name, self.of(text))).collect()
    }
}

/// The statement with our own tables and indexes under names that nobody else uses.
pub(crate) fn prefixed(text: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = rest.find(|c: char| is_word(c) != is_word(letter)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        if sql::OUR_TABLES.contains(&word) || sql::OUR_INDEXES.contains(&word) {
            out.push_str("uphaul_");
        }
        out.push_str(word);
        rest = after;
    }
    out
}
