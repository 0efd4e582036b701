//! What a shell reads once, so that it asks this program for words from then on.

use clap_complete::env::{EnvCompleter as _, Fish, Zsh};

/// The shells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    /// bash 4.2 or newer.
    Bash,
    /// fish
    Fish,
    /// zsh
    Zsh,
}

/// bash cuts words at `=`, `:` and `@`, and so would a label or `@all`; that of clap_complete asks with such halves. This one
/// asks with the words as they were typed, and takes off the part that bash has already.
const BASH: &str = r#"# Completes the words of uphaul in bash; made by `uphaul completions bash`.
_uphaul() {
    local line=${COMP_LINE:0:COMP_POINT} words word typed cut
    read -ra words <<<"$line"
    if [[ $line == *[[:space:]] ]]; then words+=(""); fi
    typed=${words[${#words[@]} - 1]} cut=""
    if [[ $typed == *"$2" ]]; then cut=${typed%"$2"}; fi
    COMPREPLY=()
    while IFS= read -r word || [[ -n $word ]]; do
        if [[ -n $word ]]; then COMPREPLY+=("${word#"$cut"}"); fi
    done < <(COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) "$1" -- "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *[=/] ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -o bashdefault -o default -F _uphaul uphaul
"#;

/// The script of a shell.
pub(crate) fn script(shell: Shell) -> std::io::Result<String> {
    let mut script = Vec::new();
    match shell {
        Shell::Bash => return Ok(BASH.to_owned()),
        Shell::Fish => Fish.write_registration("COMPLETE", "uphaul", "uphaul", "uphaul", &mut script)?,
        Shell::Zsh => {
            Zsh.write_registration("COMPLETE", "uphaul", "uphaul", "uphaul", &mut script)?;
            // As a file of the name _uphaul, zsh reads it at the first TAB, which wants its answer already.
            script.extend_from_slice(
                b"if [ \"${funcstack[1]}\" = \"_uphaul\" ]; then _clap_dynamic_completer_uphaul \"$@\"; fi\n",
            );
        }
    }
    String::from_utf8(script).map_err(std::io::Error::other)
}
