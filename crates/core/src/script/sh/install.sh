# The folders of service.keep, as they are before any install of this run: the way back needs no network. Copies, since
# an installer may write into a file that two names share; where the file system can, they share their blocks.
K=$U_STATE/keep
# A link counts wherever it leads: from the place of the copy that may be nowhere.
there() { [ -e "$1" ] || [ -L "$1" ]; }
keep_folders() {
  [ -n "$U_KEEP" ] && [ ! -e "$kept/kept" ] || return 0
  rm -rf -- "$K" && mkdir -p "$K" || return 1
  printf '%s\n' "$U_KEEP" | { _n=0; while IFS= read -r _d; do
    _n=$((_n + 1))
    there "$U_DIR/$_d" || continue
    cp -a --reflink=auto -- "$U_DIR/$_d" "$K/$_n" || exit 1
  done; } || return 1
  # After a power cut the mark without the files would lead to empty ones.
  sync -f "$K" 2>/dev/null || sync
  : >"$kept/kept"
}
# The tracked files of a kept folder $1: the copy was made at the target, and the way back is to what HEAD is now, with
# the edits by hand that its checkout has put back.
put_tracked() {
  g diff --name-only --no-renames --diff-filter=A -z HEAD "$U_TARGET" -- ":(literal)$1" |
    tr '\0\n' '\n?' | while IFS= read -r _f; do rm -f -- "$U_DIR/$_f"; done || return 1
  [ -n "$(g ls-files -- ":(literal)$1" | head -n 1)" ] || return 0
  _from=HEAD; if [ -s "$kept/edits" ] && [ ! -e "$kept/edits_failed" ]; then _from=$(cat "$kept/edits"); fi
  g checkout --quiet "$_from" -- ":(literal)$1" && g reset --quiet HEAD -- ":(literal)$1"
}
put_kept_back() {
  [ "$U_PHASE" = rollback ] && [ -e "$kept/kept" ] || return 1
  printf '%s\n' "$U_KEEP" | { _n=0; while IFS= read -r _d; do
    _n=$((_n + 1))
    rm -rf -- "$U_DIR/$_d" || exit 1
    ! there "$K/$_n" || { mkdir -p -- "$(dirname -- "$U_DIR/$_d")" && cp -a --reflink=auto -- "$K/$_n" "$U_DIR/$_d"; } || exit 1
    put_tracked "$_d" || exit 1
  done; }
}
# A way back is not given up for it.
keep_folders || { rm -rf -- "$K"; [ "$U_PHASE" = rollback ] || fail "the folders of service.keep cannot be copied (disk full?): $(printf '%s' "$U_KEEP" | tr '\n' ' ')"; }
before=$(changed_files)
began=$(up)
limit=$U_INSTALL_S
# What was kept is there at once, so the installer of a way back is not waited for as long.
if [ "$U_PHASE" = rollback ] && [ -e "$kept/kept" ] && [ "$limit" -gt 60 ]; then limit=60; fi
operator "$limit" "$U_INSTALL"; rc=$?; took=$(($(up) - began + 1))
if [ "$rc" != 0 ] && put_kept_back; then
  printf 'uphaul: the install command failed on the way back (exit %s); what was kept before the update is in its place: %s\n' "$rc" "$(printf '%s' "$U_KEEP" | tr '\n' ' ')"
  result kept_used 1; rc=0
fi
note_changes() {
  after=$(changed_files)
  [ "$after" = "$before" ] || printf '%s\n' "$after" | while IFS= read -r _l; do
    [ -z "$_l" ] || printf '%s\n' "$before" | grep -Fqx -- "$_l" || printf '%s\n' "$_l"
  done >"$U_STATE/installed"
  [ "$(printf '%s\n' "$after" | wc -l)" -lt "$changed_max" ] ||
    printf 'uphaul: the install changes %s tracked files or more; those beyond stay changed\n' "$changed_max"
}
note_changes
ended() { [ "$took" -ge "$1" ] && { [ "$rc" = 124 ] || [ "$rc" = 137 ]; }; }
if ended "$limit"; then result timed_out "$limit"; fail "the install command did not end within $limit s"; fi
if [ "$rc" = 127 ]; then result found "the install command was not found (exit 127); look at service.env.PATH"; exit 127; fi
[ "$rc" != 137 ] || result found 'the install command was killed (signal 9; out of memory?)'
[ "$rc" = 0 ] || exit "$rc"
if [ -n "$U_BEFORE_RESTART" ]; then
  began=$(up)
  operator "$U_BEFORE_RESTART_S" "$U_BEFORE_RESTART"; rc=$?; took=$(($(up) - began + 1))
  note_changes
  if ended "$U_BEFORE_RESTART_S"; then result timed_out "$U_BEFORE_RESTART_S"; fail "before_restart did not end within $U_BEFORE_RESTART_S s"; fi
  [ "$rc" = 0 ] || { result found "before_restart: exit $rc"; exit "$rc"; }
fi
