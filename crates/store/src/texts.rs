//! How the statements of `sql` are said to one database: as they stand, or changed for its dialect and its tables.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::postgres;
#[cfg(test)]
use crate::sql;

/// The statements that this database is told in other words.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    other: HashMap<&'static str, SqlStr>,
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
