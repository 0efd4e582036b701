before=$(changed_files)
began=$(up)
operator "$U_INSTALL_S" "$U_INSTALL"; rc=$?; took=$(($(up) - began + 1))
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
if ended "$U_INSTALL_S"; then result timed_out "$U_INSTALL_S"; fail "the install command did not end within $U_INSTALL_S s"; fi
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
