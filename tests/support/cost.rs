//! What a process cost, as the kernel counts it.

/// The most memory that a process ever had resident, in bytes. `process`: its number, or `self`.
///
/// # Panics
/// Where there is no such process.
pub fn peak(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// What this process (the first) and its children that have ended (the second) had of the processor, in milliseconds; the
/// kernel tells it in steps of 10 ms.
///
/// # Panics
/// Where there is no /proc.
pub fn spent_ms() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a /proc");
    // After the name, which may have anything in it, and the letter of the state.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = after.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let sum = |of: &[f64]| of.iter().sum::<f64>() * 10.0;
    (sum(&fields[10..12]), sum(&fields[12..14]))
}
