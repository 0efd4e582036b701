//! The whole table, state by input, and the same as a graph: a change of policy is a line in their diff.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::fixtures::{alphabet, begun, label};
use super::reach::{Reach, reach};
use crate::machine::State;

const LEGEND: &str = "\
#n  the attempt                   *  the failed update may have restarted the service
.   means nothing here            !  something failed on the way back
=   parked, the attempt kept      ^  the host went back by itself
ok: what the step succeeds with (Record: the previous version); Preflight may also find the host ALREADY THERE,
    Verify that it was REBOOTED; `start` is heard by a pending run alone
";

/// Every class of states with the same label, in the order of a run, and its row. A class has one row: states that
/// differ in the texts of their failures alone do the same.
fn rows(reach: &Reach) -> Vec<(String, Vec<String>)> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for (state, next) in reach.states.iter().zip(&reach.next) {
        let cell = |to: &Option<usize>| to.map_or_else(|| ".".into(), |to| label(&reach.states[to]));
        let row: Vec<String> = next.iter().map(cell).collect();
        let name = label(state);
        match places.get(&name) {
            Some(place) => assert_eq!(rows[*place].1, row, "two rows for {name}"),
            None => {
                places.insert(name.clone(), rows.len());
                rows.push((name, row));
            }
        }
    }
    rows
}

/// Puts the rows in the order of a run.
fn sorted(reach: &Reach) -> Vec<(String, Vec<String>)> {
    let order = |state: &State| {
        let parked = matches!(state, State::Parked(_));
        (state.is_finished(), parked, begun(state).map(|at| (at.step(), at.attempt())))
    };
    let mut keys: BTreeMap<String, _> = BTreeMap::new();
    for state in &reach.states {
        keys.insert(label(state), order(state));
    }
    let mut rows = rows(reach);
    rows.sort_by_key(|(name, _)| (keys[name], name.clone()));
    rows
}

fn table(reach: &Reach) -> String {
    let names: Vec<&str> = alphabet().iter().map(|(name, _)| *name).collect();
    let columns = ["ok", "failed", "interrupted", "reverted", "unreachable", "superseded"];
    let widths = [27, 22, 22, 22, 22, 13, 10];
    let mut text = LEGEND.to_owned();
    let mut line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(text, "{}", padded.collect::<Vec<_>>().join(" ").trim_end()).unwrap();
    };
    line(std::iter::once("state").chain(columns).collect());
    let mut aside = String::new();
    for (name, row) in sorted(reach) {
        let of = |column: &str| row[names.iter().position(|name| *name == column).unwrap()].as_str();
        let success = [of("ok"), of("previous"), of("start")].into_iter().find(|cell| *cell != ".");
        assert_eq!(of("previous"), of("previous (ill)"), "health decides where {name} leads");
        let mut cells = vec![name.as_str(), success.unwrap_or(".")];
        cells.extend(columns[1..].iter().map(|column| of(column)));
        let parked = format!("parked {name}");
        for cell in cells.iter_mut().skip(1).filter(|cell| **cell == parked) {
            *cell = "=";
        }
        line(cells);
        for column in ["already there", "rebooted"].into_iter().filter(|column| of(column) != ".") {
            writeln!(aside, "{name:27} {column:22} {}", of(column)).unwrap();
        }
    }
    text + "\n" + &aside
}

fn dot(reach: &Reach) -> String {
    let names: Vec<&str> = alphabet().iter().map(|(name, _)| *name).collect();
    let mut text = "digraph run {\n  rankdir=LR; node [shape=box];\n".to_owned();
    for (name, row) in sorted(reach) {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (input, to) in names.iter().zip(&row).filter(|(_, to)| *to != ".") {
            let input = if input.starts_with("previous") { "ok" } else { input };
            edges.entry(to).or_default().insert(input);
        }
        for (to, inputs) in edges {
            let inputs: Vec<&str> = inputs.into_iter().collect();
            writeln!(text, "  \"{name}\" -> \"{to}\" [label=\"{}\"];", inputs.join(", ")).unwrap();
        }
    }
    text + "}\n"
}

fn snapshot(name: &str, description: &str, text: &str) {
    insta::with_settings!({
        description => description,
        omit_expression => true,
        prepend_module_to_snapshot => false,
        snapshot_path => "snapshots",
    }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn table_without_a_switch() {
    let reach = reach(2, false);
    snapshot("table_without_a_switch", "state by input, at most 2 attempts, no switch", &table(&reach));
}

#[test]
fn table_with_a_switch() {
    let reach = reach(2, true);
    snapshot("table_with_a_switch", "state by input, at most 2 attempts, with the switch", &table(&reach));
}

#[test]
fn graph_of_the_table() {
    let reach = reach(2, true);
    snapshot("graph_of_the_table", "the table with the switch, for `dot -Tsvg`", &dot(&reach));
}
