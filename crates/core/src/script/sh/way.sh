# The untracked files that a checkout of $1 would overwrite, at most 10.
way_of() {
  g diff --name-only --no-renames --diff-filter=A -z HEAD "$1" | tr '\0\n' '\n?' | while IFS= read -r _f; do
    _d=$U_DIR/$_f
    if [ -d "$_d" ] && [ ! -L "$_d" ]; then
      [ -z "$(g ls-files --others -- ":(literal)$_f" | head -n 1)" ] || printf '%s/\n' "$_f"
      continue
    fi
    if [ -e "$_d" ] || [ -L "$_d" ]; then
      # One that was added and not committed is an edit, which is kept.
      g ls-files --error-unmatch -- ":(literal)$_f" >/dev/null 2>&1 || printf '%s\n' "$_f"
      continue
    fi
    # A file, or a link, where the target needs a folder.
    _p=$_f
    while case $_p in */*) true ;; *) false ;; esac; do
      _p=${_p%/*}
      if { [ -f "$U_DIR/$_p" ] || [ -L "$U_DIR/$_p" ]; } && ! g ls-files --error-unmatch -- ":(literal)$_p" >/dev/null 2>&1; then
        printf '%s\n' "$_p"; break
      fi
    done
  done | sort -u | listed
}
