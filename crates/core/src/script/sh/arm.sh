# Sets the dead-man's switch: from now on the host goes back by itself when no driver puts that off.
S=$U_STATE W=$S/switch
unarmed() { rm -f "$W/state"; result unarmed "$1"; exit 0; }
[ "$U_MANAGER" = systemd ] && [ -d /run/systemd/system ] || unarmed 'systemd does not run here'
if [ "$U_SCOPE" != user ] && [ "$(id -u)" != 0 ]; then
  sudo -n -l systemd-run >/dev/null 2>&1 || unarmed "$me may not run systemd-run by sudo"
fi
unit=$(switch_unit)
if [ "$U_SCOPE" = user ]; then wants=default.target who=''; else wants=multi-user.target who="User=$me"; fi
rm -rf -- "$W.new" && mkdir -p "$W.new" && chmod 700 "$W.new" || fail "$W.new cannot be made (disk full?)"
(
  umask 077
  {
    # Without its values it was confirmed, and has nothing to do.
    printf '%s\n' '[ -r "${0%/*}/vars" ] || exit 0' '. "${0%/*}/vars"' "$U_LIB" "$U_SWITCH" >"$W.new/watch"
  } && printf '%s\n' "$U_LIB" "$U_SHARED" "$U_REVERT_CHECKOUT" >"$W.new/checkout" &&
    printf '%s\n' "$U_LIB" "$U_SHARED" "$U_REVERT_INSTALL" >"$W.new/install" &&
    printf '%s\n' "$U_LIB" "$U_SHARED" "$U_REVERT_RESTART" >"$W.new/restart" || exit 1
  unset U_LIB U_SHARED U_SWITCH U_REVERT_CHECKOUT U_REVERT_INSTALL U_REVERT_RESTART U_BODY U_JOB_TEXT U_JOB U_TOKEN
  U_PHASE=rollback U_STEP=switch U_TO=$(cat "$kept/previous")
  export U_PHASE U_STEP U_TO
  export -p >"$W.new/vars" && [ -s "$W.new/vars" ] && : >"$W.new/try1" && : >"$W.new/try2" && : >"$W.new/try3"
) || fail "$W.new cannot be written (disk full?)"
rm -rf -- "$W" && mv "$W.new" "$W" || fail "$W cannot be made"
put=$((U_LIMIT + 60)); [ "$put" -ge "$U_WINDOW" ] || put=$U_WINDOW
push_switch "$S" "$put" && mark_switch armed "$U_RUN" 0 0 'set' || fail "$W cannot be written (disk full?)"
sync "$W"/* "$W" 2>/dev/null || sync
# In the words of a unit `%` and `$` are doubled, and a quoted word has the escapes of C; a path of a condition has none.
percent() { printf '%s' "$1" | sed 's/%/%%/g'; }
words() { percent "$1" | sed 's/[\\"]/\\&/g; s/\$/$$/g'; }
said=$(
  {
    printf 'd=%s u=%s o=%s w=%s\n' "$(quoted "$unit_dir")" "$(quoted "$unit")" "$of_user" "$wants"
    printf '%s\n' 'mkdir -p "$d" && cat >"$d/$u.new" <<'\''UNIT'\'' && sync "$d/$u.new" && mv -f "$d/$u.new" "$d/$u" && sync "$d" &&'
    cat <<END
[Unit]
Description=uphaul: takes $(percent "$U_DIR") back when its update is not confirmed
RequiresMountsFor="$(words "$S")"
ConditionPathExists=$(percent "$W/watch")
StartLimitIntervalSec=0
[Service]
Type=simple
$who
ExecStart=/bin/sh "$(words "$W/watch")"
Restart=on-failure
RestartSec=3
[Install]
WantedBy=$wants
UNIT
END
    cat <<'END'
systemctl $o daemon-reload && systemctl $o enable --quiet "$u" && { sync "$d/$w.wants" 2>/dev/null || sync; } && systemctl $o restart "$u" && exit 0
code=$?
rm -f "$d/$u.new" "$d/$u"; systemctl $o daemon-reload
exit $code
END
  } | as_manager 2>&1
) || {
  rm -f "$W/state"
  case $said in
  *'Read-only file system'*) unarmed "$unit_dir cannot be written: it is read-only" ;;
  # `sudo -l` lists also what then asks for a password.
  sudo:*) unarmed "$me may not run systemd-run by sudo: $(printf '%s' "$said" | tail -n 1)" ;;
  esac
  printf '%s\n' "$said"
  fail "the dead-man's switch cannot be set: $(printf '%s' "$said" | tail -n 1)"
}
# It has to have begun to wait, as this user and from this place, before anything is touched.
n=0
while [ "$(cat "$W/awake" 2>/dev/null)" != "$(boot)" ]; do
  n=$((n + 1))
  [ "$n" -le 200 ] || {
    rm -f "$W/state"; systemctl $of_user status --no-pager --lines=10 "$unit" 2>&1; drop_switch
    fail "the dead-man's switch does not run within 10 s of its start: look at systemctl status $unit"; }
  sleep 0.05
done
