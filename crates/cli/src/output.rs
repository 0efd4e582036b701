//! The only module that prints: results to stdout, everything else to stderr.
//!
//! Text is escaped here, so nothing that a host said can reach the terminal as a control character. A reader that
//! goes away (`uphaul status | head`) is no error and stops nothing: an update is not ended by a closed pipe.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use serde::Serialize;

use crate::error::CliError;
use crate::escape;

/// What was asked for on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mode {
    /// JSON instead of text.
    pub json: bool,
    /// Results, warnings and errors only.
    pub quiet: bool,
    /// How much more to say.
    pub verbose: u8,
}

/// How a piece of text looks where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// Stands out.
    Bold,
    /// Stands back.
    Dim,
    /// It went well.
    Good,
    /// It needs a look.
    Warn,
    /// It went wrong.
    Bad,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// One line of text, in pieces that have a style each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text as it is.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.styled(Style::Plain, text)
    }

    /// Adds text with a style.
    #[must_use]
    pub fn styled(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// The line as it is printed: escaped, and with colours if wanted.
    pub fn render(&self, color: bool) -> String {
        let mut all = String::new();
        for (style, text) in &self.0 {
            let text = escape::line(text);
            match color && *style != Style::Plain && !text.is_empty() {
                true => all.extend([style.code(), &text, "\x1b[0m"]),
                false => all.push_str(&text),
            }
        }
        // Blanks at the end of a padded column are of no use to anybody.
        if !color {
            all.truncate(all.trim_end().len());
        }
        all
    }

    /// The width in characters.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| escape::line(text).chars().count()).sum()
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::new().text(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::new().text(text)
    }
}

/// Where everything that people and scripts are told goes through. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Output {
    mode: Mode,
    color_out: bool,
    color_err: bool,
    live: bool,
    stdout: Arc<Mutex<Stdout>>,
    /// The picture at the end of the terminal, while there is one.
    picture: Arc<Mutex<Option<ProgressBar>>>,
}

#[derive(Debug, Default)]
struct Stdout {
    /// The reader has gone away.
    closed: bool,
    /// Something else went wrong, so that what was written is not all.
    lost: Option<String>,
}

impl Output {
    /// Looks at the process's streams and environment, and prints as `mode` says.
    pub fn new(mode: Mode) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = !set("NO_COLOR") && !dumb;
        let err_terminal = io::stderr().is_terminal();
        Self {
            mode,
            color_out: color && io::stdout().is_terminal(),
            color_err: color && err_terminal,
            live: err_terminal && !dumb && !mode.json && !mode.quiet,
            stdout: Arc::default(),
            picture: Arc::default(),
        }
    }

    /// Whether JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.mode.json
    }

    /// Whether only results, warnings and errors were asked for.
    pub fn is_quiet(&self) -> bool {
        self.mode.quiet
    }

    /// How much more is to be said.
    pub fn verbosity(&self) -> u8 {
        self.mode.verbose
    }

    /// Whether lines may be drawn anew on stderr.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The same that draws nothing: one picture cannot show what several tell.
    #[must_use]
    pub fn without_picture(&self) -> Self {
        Self { live: false, ..self.clone() }
    }

    /// Whether stderr has colours.
    pub fn has_color(&self) -> bool {
        self.color_err
    }

    /// Prints a line of the result.
    pub fn result(&self, line: impl Into<Line>) {
        self.write(&(line.into().render(self.color_out) + "\n"));
    }

    /// Prints text of our own that has several lines, such as a file that is generated.
    pub fn text(&self, text: &str) {
        for line in text.lines() {
            self.result(line);
        }
    }

    /// Prints one JSON value on a line of its own.
    pub fn json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.write(&(escape::json(&text).into_owned() + "\n")),
            Err(error) => self.lose(error.to_string()),
        }
    }

    /// Says something that is not the result.
    pub fn message(&self, line: impl Into<Line>) {
        if !self.mode.quiet && !self.mode.json {
            self.stderr(&line.into());
        }
    }

    /// Says something to those who asked for more.
    pub fn detail(&self, line: impl Into<Line>) {
        if self.mode.verbose > 0 {
            self.message(line);
        }
    }

    /// Warns. Not even `--quiet` keeps it back.
    pub fn warning(&self, text: &str) {
        if self.mode.json {
            self.json_err(&serde_json::json!({ "warning": text }));
            return;
        }
        self.stderr(&Line::new().styled(Style::Warn, "warning: ").text(text));
    }

    /// Tells an error.
    pub fn error(&self, error: &CliError) {
        if self.mode.json {
            let code = error.exit().code();
            self.json_err(&serde_json::json!({ "error": error, "exit_code": code }));
            return;
        }
        let part = |style, name: &str, text: &str| {
            self.stderr(&Line::new().styled(style, name).text(text));
        };
        part(Style::Bad, "error: ", &error.message);
        for cause in &error.causes {
            part(Style::Plain, "  cause: ", cause);
        }
        for hint in &error.hints {
            part(Style::Good, "  hint: ", hint);
        }
    }

    /// Why not all of the result could be written, if it could not. A reader that went away is no reason.
    pub fn lost(&self) -> Option<String> {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).lost.clone()
    }

    fn lose(&self, why: String) {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).lost = Some(why);
    }

    /// Height and width of the terminal that stderr is, in characters.
    pub fn terminal_size(&self) -> (usize, usize) {
        let (height, width) = Term::stderr().size();
        // The last column is left free: a character there makes some terminals begin a new line.
        (height.into(), usize::from(width).saturating_sub(1))
    }

    /// Draws lines over those that were drawn before, at the end of the terminal. What is said meanwhile scrolls up
    /// above them.
    pub fn draw(&self, lines: &[Line]) {
        if !self.live {
            return;
        }
        let text: Vec<String> = lines.iter().map(|line| line.render(self.color_err)).collect();
        let mut picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = picture.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.with_style(
                ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
            )
        });
        bar.set_message(text.join("\n"));
        bar.tick();
    }

    /// Takes the drawn lines away.
    pub fn end_drawing(&self) {
        if let Some(bar) = self.picture.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    /// Does something to the terminal while the picture is away.
    fn beside_picture(&self, act: impl FnOnce()) {
        match &*self.picture.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(act),
            None => act(),
        }
    }

    fn write(&self, text: &str) {
        self.beside_picture(|| self.write_stdout(text));
    }

    fn write_stdout(&self, text: &str) {
        let mut state = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return;
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => {}
            Err(error) => {
                state.closed = true;
                if error.kind() != io::ErrorKind::BrokenPipe {
                    state.lost = Some(error.to_string());
                }
            }
        }
    }

    fn json_err(&self, value: &serde_json::Value) {
        let text = value.to_string();
        self.beside_picture(|| drop(writeln!(io::stderr(), "{}", escape::json(&text))));
    }

    fn stderr(&self, line: &Line) {
        // Where even stderr is gone, there is nobody left to tell.
        self.beside_picture(|| drop(writeln!(io::stderr(), "{}", line.render(self.color_err))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_cannot_write_to_the_terminal() {
        let line = Line::new().styled(Style::Bad, "web-1 ").text("\x1b]0;owned\x07\r\nok");
        assert_eq!(line.render(false), "web-1 \\u{1b}]0;owned\\u{7}\\r\\nok");
        assert_eq!(line.render(true), "\x1b[31mweb-1 \x1b[0m\\u{1b}]0;owned\\u{7}\\r\\nok");
    }
}
