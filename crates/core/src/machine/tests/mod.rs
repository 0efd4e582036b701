//! The machine's tests: its whole table, and an exploration of everything that four faults can do to a run.

mod exploration;
mod fixtures;
mod host;
mod invariants;
mod mutants;
mod proved;
mod reach;
mod scripts;
mod storage;
mod story;
mod table;
mod tidy;
mod world;
