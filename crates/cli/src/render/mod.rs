//! How results and progress look. Everything here makes [`crate::output::Line`]s; nothing prints.

pub(crate) mod table;
