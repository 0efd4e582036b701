//! What the cells came to, as a page.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::fault::Fault;
use super::{Cell, STEPS};

/// How often a cell was missed before it was met, and what it came to; None where it is open.
type Tried = (u32, Option<String>);

static TRIED: Mutex<BTreeMap<Cell, Tried>> = Mutex::new(BTreeMap::new());

pub(super) fn note(cell: Cell, missed: u32, end: Option<String>) {
    // One that failed left the map as it was.
    TRIED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(cell, (missed, end));
}

/// Prints what was tried, if anything was.
pub(crate) fn print() {
    let tried = TRIED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for backend in ["openssh", "libssh2"] {
        let cells = tried.iter().filter(|(cell, _)| cell.backend == backend);
        let cells: BTreeMap<Cell, Tried> = cells.map(|(cell, tried)| (*cell, tried.clone())).collect();
        if !cells.is_empty() {
            println!("\n## By {backend}\n\n{}\n{}", counts(&cells), rows(backend, &cells));
        }
    }
}

fn rows(backend: &'static str, cells: &BTreeMap<Cell, Tried>) -> String {
    let mut text = "| step |".to_owned();
    for fault in Fault::ALL {
        text += &format!(" {} |", fault.name().replace('_', " "));
    }
    text += &format!("\n|{}\n", " --- |".repeat(Fault::ALL.len() + 1));
    for step in STEPS {
        text += &format!("| {step} |");
        for fault in Fault::ALL {
            let end = match cells.get(&Cell { backend, step, fault }) {
                None => "",
                Some((_, None)) => "**OPEN**",
                Some((_, Some(end))) => end,
            };
            text += &format!(" {end} |");
        }
        text += "\n";
    }
    text
}

fn counts(cells: &BTreeMap<Cell, Tried>) -> String {
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, end) in cells.values() {
        *ends.entry(end.as_deref().unwrap_or("open")).or_default() += 1;
    }
    let open = cells.values().filter(|(_, end)| end.is_none()).count();
    let missed: u32 = cells.values().map(|(missed, _)| missed).sum();
    let ends: Vec<String> = ends.iter().map(|(end, times)| format!("{times} {end}")).collect();
    format!(
        "{} cells, {open} open. {missed} runs were begun anew because the fault came after the step.\n\n{}.\n",
        cells.len(),
        ends.join("; ")
    )
}
